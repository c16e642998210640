// What the tests of the storage suite have in common: their form, and how they make and compare content.
import { strict as assert } from 'node:assert';
import { type DriverErrorReason, isDriverError, type StorageDriver } from 'koa-registry';

/** One promise, and the test that fails where it is broken. `at` puts a path below the test's own prefix. */
export type Case = readonly [
  promise: string,
  body: (driver: StorageDriver, at: (path: string) => string) => Promise<void>,
];

/** Asserts that a call fails for `reason`, with the contract's own error. */
export async function fails(reason: DriverErrorReason, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => isDriverError(error, reason), `expected a DriverError "${reason}"`);
}

/** Bytes that differ from their neighbours and from those of another seed, so that a shift or a mix-up shows. */
export function content(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed * 2654435761;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** Yields `bytes` in pieces of `size`, letting others run in between. */
export async function* inPieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array, void, undefined> {
  for (let start = 0; start < bytes.byteLength; start += size) {
    await new Promise(setImmediate);
    yield bytes.subarray(start, start + size);
  }
}

/** Asserts equality without printing a million bytes. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(actual.byteLength, expected.byteLength, 'the length differs');
  assert.ok(Buffer.compare(actual, expected) === 0, 'the content differs');
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

/** What `open` streams. */
export async function readAll(driver: StorageDriver, key: string, start?: number, end?: number): Promise<Buffer> {
  return Buffer.concat(await collect(await driver.open(key, { start, end })));
}

/** The names below a prefix. */
export async function namesOf(driver: StorageDriver, key: string, after?: string): Promise<string[]> {
  return (await collect(driver.list(key, { after }))).map(({ name }) => name);
}

export async function exists(driver: StorageDriver, key: string): Promise<boolean> {
  try {
    await driver.stat(key);
    return true;
  } catch (error) {
    if (isDriverError(error, 'not-found')) return false;
    throw error;
  }
}

/** Puts an object of a few bytes at each key. */
export async function putEach(driver: StorageDriver, keys: readonly string[]): Promise<void> {
  for (let start = 0; start < keys.length; start += 50) {
    await Promise.all(keys.slice(start, start + 50).map((key) => driver.put(key, Buffer.from(key))));
  }
}
