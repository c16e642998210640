// A bucket of Google Cloud Storage as `objectStorage` wants it: each method is one request of the JSON
// API (https://cloud.google.com/storage/docs/json_api/v1), with generations as versions.
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { createCRC32, type IHasher } from 'hash-wasm';
import type {
  Bucket,
  BucketListOptions,
  BucketObject,
  BucketPage,
  BucketReadOptions,
  BucketWriteOptions,
  CallOptions,
  DriverErrorReason,
  UrlOptions,
} from 'koa-registry';
import { DriverError, isDriverError } from 'koa-registry';
import { composeTree } from './compose-tree.js';
import { GcsError, type JsonApi } from './json-api.js';
import type { UrlSigner } from './url-signer.js';

/** The part of an object's resource that is asked for. */
interface ObjectResource {
  readonly name: string;
  readonly size: string;
  readonly updated: string;
  readonly generation: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

interface ObjectList {
  readonly items?: readonly ObjectResource[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
}

const FIELDS = 'name,size,updated,generation';
const REASONS: Readonly<Record<number, DriverErrorReason>> = {
  404: 'not-found',
  412: 'offset-conflict',
  416: 'invalid-offset',
};

/** How the service says that it is the object that is absent, and not the bucket. */
const NO_OBJECT = /\bno such object\b/i;

/** The polynomial of CRC32C (Castagnoli), reversed. */
const CASTAGNOLI = 0x82f63b78;

/**
 * A part that is shorter is written again when more comes: small, for the service allows one write per
 * second to one name, and large enough that an upload in small chunks makes no thousands of parts.
 */
export const MIN_PART_BYTES = 256 * 1024;

export class GcsBucket implements Bucket {
  readonly minPartBytes = MIN_PART_BYTES;
  readonly maxParts = Number.POSITIVE_INFINITY;
  readonly url?: (name: string, options: UrlOptions) => Promise<string | undefined>;
  readonly #name: string;
  readonly #api: JsonApi;
  readonly #crc32c: IHasher;

  private constructor(name: string, api: JsonApi, crc32c: IHasher, signer: UrlSigner | undefined) {
    this.#name = name;
    this.#api = api;
    this.#crc32c = crc32c;
    if (signer !== undefined) this.url = (object, options) => signer.sign(`/${name}/${encodePath(object)}`, options);
  }

  static async open(name: string, api: JsonApi, signer?: UrlSigner): Promise<GcsBucket> {
    return new GcsBucket(name, api, await createCRC32(CASTAGNOLI), signer);
  }

  async head(name: string, { signal }: CallOptions = {}): Promise<BucketObject> {
    return toObject(await this.#resource(name, FIELDS, signal));
  }

  async read(name: string, { start = 0, end, signal }: BucketReadOptions = {}): Promise<Readable> {
    const range = start === 0 && end === undefined ? {} : { range: `bytes=${start}-${end ?? ''}` };
    // With gzip accepted nothing is unpacked on the way: what was stored compressed is the content.
    const headers = { ...range, 'accept-encoding': 'gzip' };
    try {
      return await this.#api.stream({ path: this.#path(name), query: { alt: 'media' }, headers, signal });
    } catch (error) {
      // An empty object is the one of which not even the first byte can be had.
      if (start === 0 && error instanceof GcsError && error.status === 416)
        return Readable.from([], { objectMode: false });
      throw await this.#failure(error, name);
    }
  }

  async write(name: string, bytes: Uint8Array, { expect, signal }: BucketWriteOptions = {}): Promise<BucketObject> {
    const nonce = expect === undefined ? undefined : randomUUID();
    const ifGenerationMatch = expect === 'absent' ? '0' : expect?.version;
    try {
      const resource = await this.#api.json<ObjectResource>({
        method: 'POST',
        path: `/upload/storage/v1/b/${this.#name}/o`,
        query: { uploadType: 'multipart', name, ifGenerationMatch, fields: FIELDS },
        ...multipart({ crc32c: this.#checksum(bytes), ...(nonce && { metadata: { nonce } }) }, bytes),
        signal,
      });
      return toObject(resource);
    } catch (error) {
      const failure = await this.#failure(error, name);
      const own = isDriverError(failure, 'offset-conflict') && (await this.#findOwn(name, nonce));
      if (own) return own;
      throw failure;
    }
  }

  async join(parts: readonly BucketObject[], to: string): Promise<void> {
    await composeTree(parts, to, {
      compose: (sources, name) => this.#compose(sources, name),
      remove: (names) => this.delete(names),
    });
  }

  async list(prefix: string, { delimited, from, limit, next, signal }: BucketListOptions): Promise<BucketPage> {
    const query = {
      prefix,
      delimiter: delimited ? '/' : undefined,
      startOffset: from,
      maxResults: limit?.toString(),
      pageToken: next,
      fields: `items(${FIELDS}),prefixes,nextPageToken`,
    };
    try {
      const page = await this.#api.json<ObjectList>({ path: `/storage/v1/b/${this.#name}/o`, query, signal });
      return toPage(page);
    } catch (error) {
      throw await this.#failure(error, prefix);
    }
  }

  async delete(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#delete(name)));
  }

  /** Lists, which every account that may use the bucket may; where nothing can stand, so that it costs little. */
  async check({ signal }: CallOptions = {}): Promise<void> {
    const query = { prefix: '!', maxResults: '1', fields: 'nextPageToken' };
    try {
      await this.#api.json({ path: `/storage/v1/b/${this.#name}/o`, query, signal, retries: 0 });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new DriverError('unavailable', '', { cause });
    }
  }

  async close(): Promise<void> {
    this.#api.close();
  }

  /** What an earlier try of the same write has written, though its answer was lost. */
  async #findOwn(name: string, nonce: string | undefined): Promise<BucketObject | undefined> {
    try {
      const resource = await this.#resource(name, `${FIELDS},metadata`);
      return resource.metadata?.nonce === nonce ? toObject(resource) : undefined;
    } catch (error) {
      if (isDriverError(error, 'not-found')) return undefined;
      throw error;
    }
  }

  async #resource(name: string, fields: string, signal?: AbortSignal): Promise<ObjectResource> {
    try {
      return await this.#api.json<ObjectResource>({ path: this.#path(name), query: { fields }, signal });
    } catch (error) {
      throw await this.#failure(error, name);
    }
  }

  async #compose(sources: readonly BucketObject[], to: string): Promise<BucketObject> {
    const sourceObjects = sources.map(({ name, version }) => ({ name, generation: version }));
    const body = { sourceObjects, destination: { contentType: 'application/octet-stream' } };
    try {
      const resource = await this.#api.json<ObjectResource>({
        method: 'POST',
        path: `${this.#path(to)}/compose`,
        query: { fields: FIELDS },
        headers: { 'content-type': 'application/json' },
        body: [Buffer.from(JSON.stringify(body))],
      });
      return toObject(resource);
    } catch (error) {
      // Of a source that is gone the service says 404; its emulator, 500.
      const isUnclear = error instanceof GcsError && error.status === 500;
      if (isUnclear) await Promise.all(sources.map(({ name }) => this.head(name)));
      throw await this.#failure(error, to);
    }
  }

  async #delete(name: string): Promise<void> {
    try {
      await this.#api.done({ method: 'DELETE', path: this.#path(name) });
    } catch (error) {
      const failure = await this.#failure(error, name);
      if (!isDriverError(failure, 'not-found')) throw failure;
    }
  }

  #path(name: string): string {
    return `/storage/v1/b/${this.#name}/o/${encodeURIComponent(name)}`;
  }

  /** As the service writes it: base64 of the four bytes. */
  #checksum(bytes: Uint8Array): string {
    return Buffer.from(this.#crc32c.init().update(bytes).digest('binary')).toString('base64');
  }

  async #failure(error: unknown, name: string): Promise<unknown> {
    if (!(error instanceof GcsError)) return error;
    const reason = REASONS[error.status] ?? 'unavailable';
    const isOutage = reason === 'not-found' && !NO_OBJECT.test(error.message) && (await this.#isAbsent());
    return new DriverError(isOutage ? 'unavailable' : reason, name, { cause: error });
  }

  /** Whether there is no bucket; asked where an answer leaves open what is absent, as those of emulators do. */
  async #isAbsent(): Promise<boolean> {
    try {
      await this.#api.done({ path: `/storage/v1/b/${this.#name}`, query: { fields: 'name' } });
      return false;
    } catch (error) {
      return !(error instanceof GcsError) || error.status !== 403;
    }
  }
}

function toObject({ name, size, updated, generation }: ObjectResource): BucketObject {
  return { name, size: Number(size), modified: new Date(updated), version: generation };
}

function toPage({ items = [], prefixes = [], nextPageToken: next }: ObjectList): BucketPage {
  // A name that ends with a slash is a folder that somebody made in the console, and holds nothing.
  const objects = items.filter(({ name }) => !name.endsWith('/')).map(toObject);
  return { objects, prefixes, next };
}

/** As a signature has it: slashes stay. */
function encodePath(name: string): string {
  const strictly = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(name)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, strictly);
}

/** The body of an upload whose resource comes along with its content, and the header that says so. */
function multipart(resource: object, bytes: Uint8Array) {
  const boundary = randomUUID();
  const head = [
    `--${boundary}\r\ncontent-type: application/json\r\n\r\n${JSON.stringify(resource)}\r\n`,
    `--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`,
  ];
  return {
    headers: { 'content-type': `multipart/related; boundary=${boundary}` },
    body: [Buffer.from(head.join('')), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)],
  };
}
