// A small registry client for tests: it goes where `Location` sends it, and believes nothing that does
// not hash to the digest by which it was asked for.
import { type Contents, digestLike } from './oci-layout.js';

/** How a blob is sent: one POST; POST and PUT; POST, PATCH without a length and PUT; or in three chunks. */
export type UploadWay = 'post' | 'put' | 'stream' | 'chunks';

export const UPLOAD_WAYS: readonly UploadWay[] = ['post', 'put', 'stream', 'chunks'];

/** Bytes that are pushed as a manifest. */
export interface PushableManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** An image whose layers and config need not mean anything. */
export interface PushableImage extends PushableManifest {
  readonly digest: string;
  readonly blobs: Contents;
}

interface Descriptor {
  readonly digest: string;
}

interface ManifestDocument {
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
}

const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export class RegistryClient {
  /** Every `Location` that was answered, as it came. */
  readonly locations: string[] = [];
  readonly #root: string;

  /** @param url what precedes `/v2/`. */
  constructor(url: string) {
    this.#root = `${url}/v2/`;
  }

  /** @throws Error with the answer, unless its status is one of `statuses`. */
  async request(path: string, init: RequestInit & { readonly statuses: readonly number[] }): Promise<Response> {
    const { statuses, ...rest } = init;
    const response = await fetch(new URL(path, this.#root), { ...rest, ...(rest.body != null && { duplex: 'half' }) });
    const location = response.headers.get('Location');
    if (location !== null) this.locations.push(location);
    if (statuses.includes(response.status)) return response;
    throw new Error(`${rest.method ?? 'GET'} ${path}: ${response.status} ${await response.text()}`);
  }

  /** Pushes a blob. When it resolves, the registry has answered 201. */
  async pushBlob(
    repository: string,
    bytes: Buffer,
    way: UploadWay = 'stream',
    digest = digestLike(bytes),
  ): Promise<string> {
    let at = way === 'post' ? await this.#postBlob(repository, bytes, digest) : await this.startUpload(repository);
    if (at === undefined) return digest;
    if (way === 'stream') at = await this.#send('PATCH', at, 202, pieces(bytes));
    if (way === 'chunks') {
      const step = Math.ceil(bytes.length / 3) || 1;
      for (let start = 0; start < bytes.length; start += step) {
        at = await this.patchUpload(at, bytes.subarray(start, start + step), start);
      }
    }
    await this.#send('PUT', withDigest(at, digest), 201, way === 'put' || way === 'post' ? bytes : undefined);
    return digest;
  }

  /** Sends a blob at once; answers where the upload goes on where the registry only takes this for its beginning. */
  async #postBlob(repository: string, bytes: Buffer, digest: string): Promise<string | undefined> {
    const path = `${repository}/blobs/uploads/?digest=${digest}`;
    const response = await this.request(path, { method: 'POST', body: bytes, statuses: [201, 202] });
    await response.arrayBuffer();
    return response.status === 201 ? undefined : locationOf(response);
  }

  /** Begins an upload; answers where it goes on. */
  startUpload(repository: string): Promise<string> {
    return this.#send('POST', `${repository}/blobs/uploads/`, 202);
  }

  /** Sends the chunk that begins at `start`; answers where the upload goes on. */
  patchUpload(at: string, chunk: Buffer, start: number): Promise<string> {
    return this.#send('PATCH', at, 202, chunk, { 'Content-Range': `${start}-${start + chunk.length - 1}` });
  }

  /** Ends an upload. */
  async finishUpload(at: string, digest: string): Promise<void> {
    await this.#send('PUT', withDigest(at, digest), 201);
  }

  /** Pushes a manifest. When it resolves, the registry has answered 201. */
  async pushManifest(repository: string, reference: string, { mediaType, bytes }: PushableManifest): Promise<void> {
    await this.#send('PUT', `${repository}/manifests/${reference}`, 201, bytes, { 'Content-Type': mediaType });
  }

  /** Pushes the blobs one after another, then the manifest, as a client does. */
  async pushImage(repository: string, reference: string, image: PushableImage, ways = UPLOAD_WAYS): Promise<void> {
    let count = 0;
    for (const [digest, bytes] of image.blobs) {
      await this.pushBlob(repository, bytes, ways[count++ % ways.length], digest);
    }
    await this.pushManifest(repository, reference, image);
  }

  /**
   * A blob, or `undefined` where the registry does not have it.
   *
   * @throws Error for content that is not what was asked for.
   */
  async pullBlob(repository: string, digest: string): Promise<Buffer | undefined> {
    return verified(await this.request(`${repository}/blobs/${digest}`, { statuses: [200, 404] }), digest);
  }

  /** As {@link pullBlob}, for a manifest by its tag or digest. */
  async pullManifest(repository: string, reference: string): Promise<Buffer | undefined> {
    const init = { statuses: [200, 404], headers: { Accept: MANIFEST_TYPES } };
    const response = await this.request(`${repository}/manifests/${reference}`, init);
    const digest = reference.includes(':') ? reference : response.headers.get('Docker-Content-Digest');
    return verified(response, digest ?? 'sha256:missing');
  }

  /**
   * An image or an index with all that it is made of, by digest; the manifest itself comes first.
   *
   * @throws Error where anything of it is absent.
   */
  async pullWhole(repository: string, reference: string): Promise<Contents> {
    const bytes = there(await this.pullManifest(repository, reference), `${repository}:${reference}`);
    const contents = new Map([[digestLike(bytes, reference.includes(':') ? reference : undefined), bytes]]);
    const { config, layers = [], manifests = [] } = JSON.parse(bytes.toString('utf8')) as ManifestDocument;
    for (const { digest } of manifests) {
      for (const [name, content] of await this.pullWhole(repository, digest)) contents.set(name, content);
    }
    for (const { digest } of config === undefined ? layers : [config, ...layers]) {
      contents.set(digest, there(await this.pullBlob(repository, digest), `${repository}@${digest}`));
    }
    return contents;
  }

  async tags(repository: string): Promise<readonly string[]> {
    const response = await this.request(`${repository}/tags/list`, { statuses: [200] });
    return ((await response.json()) as { tags: string[] | null }).tags ?? [];
  }

  async catalog(): Promise<readonly string[]> {
    const response = await this.request('_catalog', { statuses: [200] });
    return ((await response.json()) as { repositories: string[] }).repositories;
  }

  /** Deletes a manifest or a blob: `library/a`, `manifests`, `sha256:…`. */
  async delete(repository: string, kind: 'blobs' | 'manifests', digest: string): Promise<void> {
    await this.#send('DELETE', `${repository}/${kind}/${digest}`, 202);
  }

  /** Answers the absolute URL of `Location`, or an empty text. */
  async #send(
    method: string,
    path: string,
    status: number,
    body?: Buffer | ReadableStream,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const response = await this.request(path, { method, headers, body: body ?? null, statuses: [status] });
    await response.arrayBuffer();
    return locationOf(response);
  }
}

function locationOf({ headers, url }: Response): string {
  const location = headers.get('Location');
  return location === null ? '' : new URL(location, url).href;
}

/** A body without a length, in a few pieces. */
function pieces(bytes: Buffer): ReadableStream {
  const step = Math.ceil(bytes.length / 4) || 1;
  let start = 0;
  return new ReadableStream({
    pull(controller) {
      if (start >= bytes.length) return controller.close();
      controller.enqueue(new Uint8Array(bytes.subarray(start, start + step)));
      start += step;
    },
  });
}

function withDigest(at: string, digest: string): string {
  const url = new URL(at);
  url.searchParams.set('digest', digest);
  return url.href;
}

async function verified(response: Response, digest: string): Promise<Buffer | undefined> {
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status === 404) return undefined;
  const actual = digestLike(bytes, digest);
  if (actual !== digest) throw new Error(`${response.url}: ${bytes.length} bytes of ${actual}`);
  return bytes;
}

function there(bytes: Buffer | undefined, what: string): Buffer {
  if (bytes === undefined) throw new Error(`${what} is not there`);
  return bytes;
}
