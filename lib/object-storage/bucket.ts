// What an object store (GCS, S3 and the like) has to offer so that `objectStorage` can make a storage
// driver of it: whole objects, conditional writes, server-side concatenation, listing.
import type { Readable } from 'node:stream';
import type { CallOptions, PurgeOptions, UrlOptions } from '../contracts/index.js';

/** An object as the store lists it. */
export interface BucketObject {
  /** The whole name, from the bucket's root. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly modified: Date;
  /** Changes whenever the content is written: a generation, an ETag. */
  readonly version: string;
}

export interface BucketPage {
  /** Ascending by byte order of their names. */
  readonly objects: readonly BucketObject[];
  /** What {@link BucketListOptions.delimited} has gathered, each with its `/` at the end; ascending. */
  readonly prefixes: readonly string[];
  /** Where the next page begins; left out on the last one. */
  readonly next?: string | undefined;
}

export interface BucketListOptions extends CallOptions {
  /** Whether names with a `/` after the prefix are gathered into one for each text before it. */
  readonly delimited: boolean;
  /** Only names (and gathered prefixes) that are greater, or equal: the caller leaves out what it does not want. */
  readonly from?: string | undefined;
  /** The most entries of the page. Default: whatever the store sends at once. */
  readonly limit?: number | undefined;
  /** {@link BucketPage.next} of the page before. */
  readonly next?: string | undefined;
}

export interface BucketReadOptions extends CallOptions {
  /** The first byte, from 0. */
  readonly start?: number | undefined;
  /** The last byte, inclusive; the store clamps it to the end. */
  readonly end?: number | undefined;
}

export interface BucketWriteOptions extends CallOptions {
  /** What has to stand there now: nothing, or this version of the object. Default: whatever. */
  readonly expect?: 'absent' | { readonly version: string } | undefined;
}

/**
 * An object on its way into the bucket, of which nothing is there before it is complete. It ends with a
 * {@link PiecewiseWrite.complete} that resolves, or with an {@link PiecewiseWrite.abort}.
 */
export interface PiecewiseWrite {
  /**
   * Sends the piece that follows those sent before, which may still be under way. None but the last is
   * smaller than {@link Bucket.minPartBytes}. The caller may use the bytes again once the promise is settled.
   */
  add(bytes: Uint8Array): Promise<void>;

  /**
   * Makes the object of the pieces, which have all been sent, where there is none: atomic, durable when it
   * resolves. As with {@link Bucket.write}, an earlier try of its own is not somebody else's object.
   *
   * @throws DriverError `offset-conflict` when an object stands there.
   */
  complete(): Promise<void>;

  /** Gives back what the pieces take up; none of them is under way. */
  abort(): Promise<void>;
}

/**
 * A bucket of an object store. Names are whole names within the bucket; a name of `objectStorage` has
 * only `A-Z a-z 0-9 . _ - / !`.
 *
 * Methods throw `DriverError` with `not-found` for an absent object (an absent bucket, a time-out or a
 * refused credential is `unavailable`), `invalid-offset` for a range that the object does not have,
 * `offset-conflict` for an expectation that does not hold. They retry what may be tried again.
 */
export interface Bucket {
  /** The least size in bytes of a part but the last of a {@link Bucket.join}; `objectStorage` makes no smaller ones. */
  readonly minPartBytes: number;

  /** The most parts of a {@link Bucket.join}; `objectStorage` makes no more of one content. `Infinity` where any number can be joined. */
  readonly maxParts: number;

  head(name: string, options?: CallOptions): Promise<BucketObject>;

  /** The content as a stream, of one version from start to end. */
  read(name: string, options?: BucketReadOptions): Promise<Readable>;

  /**
   * Writes an object whole: atomic, durable when it resolves. Where a try may have succeeded without
   * an answer, the next one sees that it was its own and does not take it for somebody else's. The
   * caller may use the bytes again once the promise is settled.
   */
  write(name: string, bytes: Uint8Array, options?: BucketWriteOptions): Promise<BucketObject>;

  /**
   * Capability: begins an object that is sent in pieces, several of them at a time. `undefined` where
   * this store turns out not to be able to.
   */
  begin?(name: string): Promise<PiecewiseWrite | undefined>;

  /**
   * Makes one object of several, in order, without the bytes coming by here: atomic, durable when it
   * resolves, replacing what stood at `to`. There is at least one part, {@link Bucket.maxParts} at most,
   * and none but the last is smaller than {@link Bucket.minPartBytes}. What it makes in between it removes
   * again, also when it fails.
   *
   * @throws DriverError `not-found` when a part is gone (somebody else has committed them),
   *   `offset-conflict` where the store can tell that one has another version than it had.
   */
  join(parts: readonly BucketObject[], to: string): Promise<void>;

  list(prefix: string, options: BucketListOptions): Promise<BucketPage>;

  /** Removes objects; absent ones are no failure. */
  delete(names: readonly string[]): Promise<void>;

  /** Capability: see `StorageDriver.url`. */
  url?(name: string, options: UrlOptions): Promise<string | undefined>;

  /** Capability: see `StorageDriver.purge`; of what {@link Bucket.begin} and {@link Bucket.join} could not remove again. */
  purge?(prefix: string, options: PurgeOptions): Promise<number>;

  /** Rejects with `unavailable` unless the bucket can be used. */
  check(options?: CallOptions): Promise<void>;

  close?(): Promise<void>;
}
