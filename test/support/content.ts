// Content to push, and pushing it as clients do: the shortest correct way to have something there.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Answer } from './http-client.js';
import type { OpenRegistry } from './registry.js';

export const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
export const DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';

/** Bytes that differ from their neighbours and from those of another seed. */
export function content(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = Math.imul(seed, 0x9e3779b1);
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

export function digestOf(bytes: string | Uint8Array, algorithm: 'sha256' | 'sha512' = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** A digest that nothing has. */
export const NOWHERE = digestOf('nobody ever pushes this');

export interface Described {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export function describe(mediaType: string, bytes: string | Uint8Array, more: object = {}): Described {
  return { mediaType, digest: digestOf(bytes), size: Buffer.byteLength(bytes), ...more };
}

/** Pushes a blob in one request; answers its digest. */
export async function pushBlob(at: OpenRegistry, repository: string, bytes: string | Uint8Array): Promise<string> {
  const digest = digestOf(bytes);
  // Chunked, so that an empty one has a body too.
  const body = [Buffer.from(bytes)];
  const answer = await at.send('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body });
  assert.equal(answer.status, 201, answer.body.toString());
  return digest;
}

/** The JSON of an image of a config and layers. */
export function image(layers: readonly Uint8Array[], more: object = {}, config: string | Uint8Array = '{}'): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    config: describe(OCI_CONFIG, config),
    layers: layers.map((layer) => describe(OCI_LAYER, layer)),
    ...more,
  });
}

/** The JSON of an index of images. */
export function index(manifests: readonly object[], more: object = {}): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests, ...more });
}

/** Sends a manifest; its type is what it says itself. */
export function putManifest(at: OpenRegistry, repository: string, reference: string, json: string): Promise<Answer> {
  const { mediaType = OCI_IMAGE } = JSON.parse(json) as { mediaType?: string };
  return at.send('PUT', `/v2/${repository}/manifests/${reference}`, {
    body: json,
    headers: { 'Content-Type': mediaType },
  });
}

/** Pushes a manifest whose blobs are there; answers its digest. */
export async function pushManifest(
  at: OpenRegistry,
  repository: string,
  json: string,
  reference = digestOf(json),
): Promise<string> {
  const answer = await putManifest(at, repository, reference, json);
  assert.equal(answer.status, 201, answer.body.toString());
  return digestOf(json);
}

/** Pushes an image of one small layer, with its blobs; answers its digest. Another seed is another image. */
export async function pushImage(at: OpenRegistry, repository: string, reference?: string, seed = 1): Promise<string> {
  const layer = content(100, seed);
  await pushBlob(at, repository, '{}');
  await pushBlob(at, repository, layer);
  return pushManifest(at, repository, image([layer]), reference);
}
