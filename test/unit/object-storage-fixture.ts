// What the tests of `objectStorage` have in common: drivers over a bucket in memory, and content.
import { type Entry, isDriverError, objectStorage, type StorageDriver } from 'koa-registry';
import { MemoryBucket, type MemoryBucketOptions } from '../support/memory-bucket.js';

/** Small enough that a few bytes are many parts. */
export const PART_BYTES = 10;
export const MIN_PART_BYTES = 4;

/** Another host with the same bucket. */
export function driverOver(bucket: MemoryBucket, partBytes = PART_BYTES): StorageDriver {
  return objectStorage(bucket, { partBytes });
}

export function smallBucket(options: MemoryBucketOptions = {}): MemoryBucket {
  return new MemoryBucket({ minPartBytes: MIN_PART_BYTES, ...options });
}

/** Bytes that tell their place, and whose they are. */
export function bytesOf(length: number, seed = 0): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (index * 7 + seed * 101) & 0xff));
}

export async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

export function once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  return pieces(bytes, Math.max(bytes.byteLength, 1));
}

export async function collect<T>(items: AsyncIterable<T> | Iterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

export async function readAll(driver: StorageDriver, key: string, start?: number, end?: number): Promise<Buffer> {
  return Buffer.concat(await collect(await driver.open(key, { start, end })));
}

export async function listed(driver: StorageDriver, key: string, after?: string): Promise<string[]> {
  const shown = ({ name, kind }: Entry) => (kind === 'prefix' ? `${name}/` : name);
  return (await collect(driver.list(key, { after }))).map(shown);
}

/** What stands at a key, or `undefined`. */
export async function contentAt(driver: StorageDriver, key: string): Promise<Buffer | undefined> {
  try {
    if ((await driver.stat(key)).kind === 'prefix') return undefined;
  } catch (error) {
    if (isDriverError(error, 'not-found')) return undefined;
    throw error;
  }
  return readAll(driver, key);
}
