// Three repositories with an image each, and one request of each kind to one of them.
import { createHash } from 'node:crypto';

/** What can be asked of a registry, and what it takes to be allowed. */
export interface Wanted {
  readonly method: string;
  readonly path: string;
  /** As a client asks a token server for them. */
  readonly scopes: string;
  readonly body?: Buffer;
  readonly type?: string;
}

/** `base` asks only who the caller is. */
export type Right = 'base' | 'catalog' | 'pull' | 'push' | 'delete';

export interface RightfulRequest extends Wanted {
  readonly right: Right;
}

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

export interface Image {
  readonly config: Buffer;
  readonly layer: Buffer;
  readonly manifest: Buffer;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** An image that no other name has. */
export function imageOf(name: string): Image {
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', author: name }));
  const layer = Buffer.from(`the layer of ${name}`);
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  const document = {
    schemaVersion: 2,
    mediaType: IMAGE,
    config: describe(CONFIG, config),
    layers: [describe(LAYER, layer)],
  };
  return { config, layer, manifest: Buffer.from(JSON.stringify(document)) };
}

/** The repositories that the suite knows; each holds its own image, tagged `latest`. */
export const ONE = 'conformance/one';
export const TWO = 'conformance/two';
export const OTHER = 'conformance/other';

const ACTIONS = { pull: 'pull', push: 'pull,push', delete: 'delete' } as const;

/** A request to a repository, with the scopes that the registry asks for. */
export function wanted(
  right: keyof typeof ACTIONS,
  method: string,
  repository: string,
  rest: string,
  content: Pick<Wanted, 'body' | 'type'> = {},
): RightfulRequest {
  const scopes = `repository:${repository}:${ACTIONS[right]}`;
  return { right, method, path: `/v2/${repository}/${rest}`, scopes, ...content };
}

export const BASE: RightfulRequest = { right: 'base', method: 'GET', path: '/v2/', scopes: '' };

export const CATALOG: RightfulRequest = {
  right: 'catalog',
  method: 'GET',
  path: '/v2/_catalog',
  scopes: 'registry:catalog:*',
};

export function pushBlob(repository: string, bytes: Buffer): RightfulRequest {
  return wanted('push', 'POST', repository, `blobs/uploads/?digest=${digestOf(bytes)}`, { body: bytes });
}

export function pushManifest(repository: string, reference: string, bytes: Buffer): RightfulRequest {
  return wanted('push', 'PUT', repository, `manifests/${reference}`, { body: bytes, type: IMAGE });
}

/** The scopes of a mount are those of both repositories. */
export function mount(repository: string, digest: string, from: string): RightfulRequest {
  const request = wanted('push', 'POST', repository, `blobs/uploads/?mount=${digest}&from=${from}`);
  return { ...request, scopes: `${request.scopes} repository:${from}:pull` };
}

/** What pushes an image, in order. */
export function pushImage(repository: string, tag: string, { config, layer, manifest }: Image): RightfulRequest[] {
  return [pushBlob(repository, config), pushBlob(repository, layer), pushManifest(repository, tag, manifest)];
}

/** Nobody begins this upload: that it is not there is told only to those who may push. */
const SESSION = 'blobs/uploads/00000000-0000-4000-8000-000000000000';

/** One request of each kind to a repository that has its image; granted, none of them fails with 401 or 403. */
export function everyKind(repository: string): readonly RightfulRequest[] {
  const { layer, manifest } = imageOf(repository);
  const fresh = Buffer.from('what a refused push would leave behind');
  return [
    CATALOG,
    wanted('pull', 'GET', repository, 'manifests/latest'),
    wanted('pull', 'HEAD', repository, 'manifests/latest'),
    wanted('pull', 'GET', repository, `manifests/${digestOf(manifest)}`),
    wanted('pull', 'GET', repository, `blobs/${digestOf(layer)}`),
    wanted('pull', 'HEAD', repository, `blobs/${digestOf(layer)}`),
    wanted('pull', 'GET', repository, 'tags/list'),
    wanted('pull', 'GET', repository, `referrers/${digestOf(manifest)}`),
    wanted('push', 'POST', repository, 'blobs/uploads/'),
    pushBlob(repository, fresh),
    mount(repository, digestOf(layer), TWO),
    wanted('push', 'GET', repository, SESSION),
    wanted('push', 'PATCH', repository, SESSION, { body: fresh }),
    wanted('push', 'PUT', repository, `${SESSION}?digest=${digestOf(fresh)}`),
    wanted('push', 'DELETE', repository, SESSION),
    pushManifest(repository, 'refused', manifest),
    wanted('delete', 'DELETE', repository, 'manifests/latest'),
    wanted('delete', 'DELETE', repository, `blobs/${digestOf(layer)}`),
  ];
}
