// The contract of a storage driver: eight methods and six capabilities. `koa-registry/conformance`
// publishes `storageDriverSuite`, which checks every one of them.
import type { Readable } from 'node:stream';

/** What stands at a key: an object with content, or a prefix under which objects stand. */
export type EntryKind = 'object' | 'prefix';

/** The answer of {@link StorageDriver.stat}. */
export interface Stat {
  readonly kind: EntryKind;
  /** In bytes; 0 for a prefix. */
  readonly size: number;
  /** When the content last changed, by the backend's clock. */
  readonly modified: Date;
}

/** A direct child, as {@link StorageDriver.list} yields it. */
export interface Entry {
  /** The last component of the child's key. */
  readonly name: string;
  readonly kind: EntryKind;
}

/** Options of every call that may take long: an aborted signal ends it with the signal's reason. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface ListOptions extends CallOptions {
  /** Only children whose name is greater than this, by byte order; it need not exist. */
  readonly after?: string | undefined;
}

export interface OpenOptions extends CallOptions {
  /** The first byte, counted from 0. Default: 0. */
  readonly start?: number | undefined;
  /** The last byte, inclusive, clamped to the end of the object. Default: the end. */
  readonly end?: number | undefined;
}

export interface CommitOptions {
  /**
   * How many bytes are to be published, where that is known: somebody may have appended since, and a store
   * that shows writes late may not show all of them yet.
   */
  readonly size?: number | undefined;
}

export interface PurgeOptions extends CallOptions {
  /** Only what was begun before this is removed: what is younger may be at work. */
  readonly before: Date;
  /** Whether it is only counted. */
  readonly dryRun: boolean;
}

export interface UrlOptions {
  /** The method that the client will use. */
  readonly method: 'GET' | 'HEAD';
  /** For how long the URL must serve, in milliseconds. */
  readonly expires: number;
  /** The address of the client, where the URL may depend on it. */
  readonly client?: string | undefined;
}

/**
 * Where a registry keeps its content. Keys are `/`-separated, relative, and already checked by the
 * guard that wraps every driver: each component is one of `A-Z a-z 0-9 . _ -`, none is `.` or `..`.
 *
 * Prefixes exist as long as an object stands below them: no call creates one, and an empty one is
 * indistinguishable from one that never was.
 *
 * Every method throws {@link DriverError} and nothing else for a failure of the backend; whatever
 * else a driver throws is taken as `unavailable`, with the error as its cause. An outage, a time-out
 * or a refused credential is never `not-found`.
 *
 * Memory stays bounded: no method but `get` and `put` ever holds a whole object.
 *
 * An optional method is a capability: leave it out where the backend cannot do it.
 */
export interface StorageDriver {
  /**
   * The whole of a small object (a link, a manifest). The caller may keep the bytes.
   *
   * @throws DriverError `not-found` when there is no object at `key`, also when it is a prefix.
   */
  get(key: string, options?: CallOptions): Promise<Buffer>;

  /** Writes a small object whole, of at most 4 MiB or whatever `http.maxManifestBytes` allows: durable when it resolves; a reader sees the old or the new content, never a part. */
  put(key: string, bytes: Uint8Array): Promise<void>;

  /** @throws DriverError `not-found` when there is neither an object at `key` nor one below it. */
  stat(key: string): Promise<Stat>;

  /**
   * The direct children of a prefix, ascending by the byte order of their names, streamed. `''` is
   * the root.
   *
   * @throws DriverError `not-found`, from the first step, when nothing stands below `key`. With
   *   `after`, a prefix whose children are all before it yields nothing.
   */
  list(key: string, options?: ListOptions): AsyncIterable<Entry>;

  /**
   * The content from `start` to `end` as a stream, which goes on with the content it began with though
   * the object is replaced meanwhile. Destroying the stream releases everything it holds.
   *
   * @throws DriverError `not-found`; `invalid-offset` for a negative `start`, one at or past the end
   *   of the object (offset 0 of an empty object is an empty stream), or an `end` before `start`.
   */
  open(key: string, options?: OpenOptions): Promise<Readable>;

  /**
   * Streams `source`, whose pieces may be of any size, on at `offset`, which must be the object's present size (0 creates it, also
   * when `source` is empty), and resolves with the new size, which a later `stat` on any host
   * confirms. Of two appends at one offset exactly one wins, the other gets `offset-conflict`.
   *
   * After an abort, or when `source` fails, the promise rejects with that reason, the size is some
   * value between the two, and the content up to it is intact. What was appended need not be
   * durable before `commit`, but `stat` confirms its size and `open` reads it.
   *
   * @throws DriverError `offset-conflict` if `offset` is not the present size.
   */
  append(key: string, offset: number, source: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<number>;

  /**
   * Publishes what was appended under `from` at `to`, replacing what stood there: atomic, durable
   * when it resolves, and idempotent (a repeated call whose `from` is gone and whose `to` is there
   * succeeds). Nothing is left at `from`.
   *
   * @throws DriverError `not-found` when neither is there; `offset-conflict`, with all as it was, when the
   *   content is not of `options.size`.
   */
  commit(from: string, to: string, options?: CommitOptions): Promise<void>;

  /**
   * Removes an object, or everything below a prefix, gone for good when it resolves. An object is
   * hidden before it is removed: no reader sees a part of it.
   *
   * @throws DriverError `not-found` when there is neither.
   */
  remove(key: string): Promise<void>;

  /**
   * Capability: a URL at which a client gets the object directly for a while, or `undefined` where
   * this one object cannot be had so.
   */
  url?(key: string, options: UrlOptions): Promise<string | undefined>;

  /**
   * Capability: where the object at a key is in the backend, whether or not there is one: its whole name in a bucket,
   * root directory included and without a slash before it, or the absolute path of its file. Without I/O.
   */
  path?(key: string): string;

  /** Capability: every object below a prefix, its whole key, in any order, faster than `list` on every prefix. */
  walk?(key: string, options?: CallOptions): AsyncIterable<string>;

  /**
   * Capability: removes what calls about keys below a prefix have left in the backend when they were cut off,
   * where no other method shows it, such as an unfinished multipart upload; resolves with how many of such there
   * were. What keys show is left alone.
   */
  purge?(key: string, options: PurgeOptions): Promise<number>;

  /** Capability: resolves when the backend can be reached and used; rejects with `unavailable` otherwise. */
  check?(options?: CallOptions): Promise<void>;

  /** Capability: releases connections and the like. No call follows; a stream that was opened may still be read. */
  close?(): Promise<void>;
}
