// A storage driver made of a bucket. What is published at a key is one object; what is being appended
// stands beside it as parts, so that any host can go on, and a commit joins them within the store.
import { Readable } from 'node:stream';
import type {
  CallOptions,
  CommitOptions,
  Entry,
  ListOptions,
  OpenOptions,
  Stat,
  StorageDriver,
} from '../contracts/index.js';
import { DriverError, isDriverError } from '../errors.js';
import { appendParts } from './append.js';
import type { Bucket } from './bucket.js';
import { listChildren, walkBelow } from './listing.js';
import { Names } from './names.js';
import { Concatenation, collect } from './reading.js';
import { deleteHiding, findParts, findStanding, firstBelow, objectsBelow, sizeOf, survey } from './standing.js';

/** How many objects are removed at a time. */
const REMOVAL_BATCH = 1000;

export interface ObjectStorageOptions {
  /** What stands before all keys in the bucket; slashes before and after it mean nothing. Default: nothing. */
  readonly rootDirectory?: string | undefined;
  /**
   * The size in bytes of the parts in which an upload is stored until it is committed, no less than
   * {@link Bucket.minPartBytes}. Each append holds two of them in memory, or five where the bucket can
   * {@link Bucket.begin} an object in pieces. Large uploads have parts of half this size at least,
   * however small the chunks are in which they come, and {@link Bucket.maxParts} of them.
   */
  readonly partBytes: number;
}

class ObjectStorageDriver implements StorageDriver {
  readonly url?: NonNullable<StorageDriver['url']>;
  readonly purge?: NonNullable<StorageDriver['purge']>;
  readonly close?: NonNullable<StorageDriver['close']>;
  readonly #bucket: Bucket;
  readonly #names: Names;
  readonly #partBytes: number;

  constructor(bucket: Bucket, { rootDirectory = '', partBytes }: ObjectStorageOptions) {
    this.#bucket = bucket;
    this.#names = new Names(rootDirectory);
    this.#partBytes = partBytes;
    if (bucket.url) this.url = async (key, options) => bucket.url?.(this.#names.object(key), options);
    if (bucket.purge) this.purge = async (key, options) => bucket.purge?.(this.#names.below(key), options) ?? 0;
    if (bucket.close) this.close = async () => bucket.close?.();
  }

  /** What is being appended has to be opened: `get` is for small objects, and a miss costs one request. */
  async get(key: string, options?: CallOptions): Promise<Buffer> {
    return collect(await this.#bucket.read(this.#names.object(key), { signal: options?.signal }));
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#bucket.write(this.#names.object(key), bytes);
  }

  async stat(key: string): Promise<Stat> {
    const object = await absentIfNotFound(this.#bucket.head(this.#names.object(key)));
    if (object !== undefined) return { kind: 'object', size: object.size, modified: object.modified };
    const { pieces, below } = await survey(this.#bucket, this.#names.object(key));
    const last = pieces.at(-1);
    if (last !== undefined) return { kind: 'object', size: sizeOf(pieces), modified: last.modified };
    if (below[0] !== undefined) return { kind: 'prefix', size: 0, modified: below[0].modified };
    throw new DriverError('not-found', key);
  }

  async *list(key: string, options: ListOptions = {}): AsyncGenerator<Entry, void, undefined> {
    const prefix = this.#names.below(key);
    if (yield* listChildren(this.#bucket, prefix, options)) return;
    // A listing that begins at `after` does not see what is before.
    const before = options.after ? await firstBelow(this.#bucket, prefix, options) : undefined;
    if (before === undefined) throw new DriverError('not-found', key);
  }

  async open(key: string, options: OpenOptions = {}): Promise<Readable> {
    try {
      return await this.#bucket.read(this.#names.object(key), options);
    } catch (error) {
      // The first byte is one past the end only where there is none.
      if (isDriverError(error, 'invalid-offset') && !options.start) return Readable.from([], { objectMode: false });
      if (!isDriverError(error, 'not-found')) throw error;
    }
    const { pieces } = await findParts(this.#bucket, this.#names.object(key), options);
    if (pieces.length === 0) throw new DriverError('not-found', key);
    const { start = 0 } = options;
    if (start > 0 && start >= sizeOf(pieces)) throw new DriverError('invalid-offset', key);
    return new Concatenation(this.#bucket, pieces, options);
  }

  /**
   * An object that was put or committed is not appended to: `unsupported`, where the offset is its size.
   *
   * The signal does not reach the writes: what was received is stored though the caller went away.
   */
  async append(key: string, offset: number, source: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<number> {
    const name = this.#names.object(key);
    const { pieces, isParts, names } = await findStanding(this.#bucket, name, options);
    if (offset !== sizeOf(pieces)) throw new DriverError('offset-conflict', key);
    if (!isParts) throw new DriverError('unsupported', key);
    if (pieces.length === 0) await deleteHiding(this.#bucket, names);
    return appendParts(this.#bucket, name, pieces, source, { key, partBytes: this.#partBytes });
  }

  async commit(from: string, to: string, { size }: CommitOptions = {}): Promise<void> {
    const { pieces, isParts, names } = await findStanding(this.#bucket, this.#names.object(from));
    if (pieces.length > 0) assertSize(from, sizeOf(pieces), size);
    if (from === to && !isParts) return;
    const target = this.#names.object(to);
    const joined = pieces.length > 0 && (await happens(this.#bucket.join(pieces, target)));
    if (!joined) {
      // Not there, or no longer whole: an earlier commit, or one on another host, has been faster.
      const published = await absentIfNotFound(this.#bucket.head(target));
      if (published === undefined) throw new DriverError('not-found', from);
      assertSize(from, published.size, size);
    }
    await deleteHiding(this.#bucket, names);
  }

  async remove(key: string): Promise<void> {
    const { names, below, more } = await survey(this.#bucket, this.#names.object(key));
    if (names.length === 0 && below.length === 0) throw new DriverError('not-found', key);
    await deleteHiding(this.#bucket, more ? names : [...names, ...below.map(({ name }) => name)]);
    if (more) await this.#removeBelow(this.#names.below(key));
  }

  path(key: string): string {
    return this.#names.object(key);
  }

  async *walk(key: string, options?: CallOptions): AsyncGenerator<string, void, undefined> {
    for await (const name of walkBelow(this.#bucket, this.#names.below(key), options)) yield this.#names.key(name);
  }

  async check(options?: CallOptions): Promise<void> {
    await this.#bucket.check(options);
  }

  /** Ascending: the first part of a content is in the batch of the others or in one before. */
  async #removeBelow(prefix: string): Promise<void> {
    let batch: string[] = [];
    for await (const { name } of objectsBelow(this.#bucket, prefix)) {
      batch.push(name);
      if (batch.length < REMOVAL_BATCH) continue;
      await deleteHiding(this.#bucket, batch);
      batch = [];
    }
    await deleteHiding(this.#bucket, batch);
  }
}

function assertSize(key: string, present: number, wanted: number | undefined): void {
  if (wanted !== undefined && present !== wanted) throw new DriverError('offset-conflict', key);
}

async function absentIfNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isDriverError(error, 'not-found')) return undefined;
    throw error;
  }
}

/** Whether what is asked for is there. */
async function happens(call: Promise<unknown>): Promise<boolean> {
  return (await absentIfNotFound(call.then(() => true))) ?? false;
}

/**
 * Makes a storage driver of a bucket: all that a plugin for another object store has to bring is a
 * {@link Bucket}.
 *
 * A committed object at a key is an object of that name below `rootDirectory`, as `distribution` has
 * it. What is being appended at a key are objects named `<key>!/<offset>` until it is committed. Any
 * number of hosts may share the bucket.
 *
 * @throws RangeError when parts of `partBytes` could not be joined.
 */
export function objectStorage(bucket: Bucket, options: ObjectStorageOptions): StorageDriver {
  const { partBytes } = options;
  if (!Number.isSafeInteger(partBytes) || partBytes < Math.max(bucket.minPartBytes, 1)) {
    throw new RangeError(`partBytes must be a whole number, and ${bucket.minPartBytes} at least, not ${partBytes}`);
  }
  return new ObjectStorageDriver(bucket, options);
}
