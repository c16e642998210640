// Uploads: append, its offsets, and what remains when it is cut off.
import { strict as assert } from 'node:assert';
import type { StorageDriver } from 'koa-registry';
import { type Case, content, exists, fails, inPieces, readAll, sameBytes } from './storage-case.js';

const WHOLE = content(3_000_000);

/** Yields the first half of {@link WHOLE}, calls `then`, and says no more. */
async function* halfThen(then: () => void): AsyncGenerator<Uint8Array, void, undefined> {
  yield* inPieces(WHOLE.subarray(0, 1_500_000));
  then();
  await new Promise(() => undefined);
}

async function sizeOf(driver: StorageDriver, key: string): Promise<number> {
  return (await exists(driver, key)) ? (await driver.stat(key)).size : 0;
}

/** Asserts that what is at `key` is the beginning of {@link WHOLE}, by appending the rest and committing it. */
async function assertResumes(driver: StorageDriver, key: string, to: string): Promise<void> {
  const size = await sizeOf(driver, key);
  assert.ok(size >= 0 && size <= 1_500_000, `${size} bytes`);
  assert.equal(await driver.append(key, size, inPieces(WHOLE.subarray(size))), WHOLE.length);
  await driver.commit(key, to);
  sameBytes(await readAll(driver, to), WHOLE);
}

/** Appends `count` different contents at one offset, all at once, and answers those of them that won. */
async function race(driver: StorageDriver, key: string, offset: number, count: number): Promise<Buffer[]> {
  const contents = Array.from({ length: count }, (_, index) => content(400_000 + index, index + 1));
  const results = await Promise.allSettled(contents.map((bytes) => driver.append(key, offset, inPieces(bytes))));
  const won: Buffer[] = [];
  for (const [index, result] of results.entries()) {
    if (result.status === 'fulfilled') won.push(contents[index] as Buffer);
    else await fails('offset-conflict', Promise.reject(result.reason));
  }
  return won;
}

export const appendCases: readonly Case[] = [
  [
    'append: resolves with the new size, which stat confirms',
    async (driver, at) => {
      assert.equal(await driver.append(at('u/data'), 0, inPieces(WHOLE.subarray(0, 1_000_000))), 1_000_000);
      assert.equal((await driver.stat(at('u/data'))).size, 1_000_000);
      assert.equal(await driver.append(at('u/data'), 1_000_000, inPieces(WHOLE.subarray(1_000_000))), 3_000_000);
      assert.equal((await driver.stat(at('u/data'))).size, 3_000_000);
      await driver.commit(at('u/data'), at('b/data'));
      sameBytes(await readAll(driver, at('b/data')), WHOLE);
    },
  ],
  [
    'append: chunks of any size arrive in order',
    async (driver, at) => {
      const bytes = content(50_000);
      async function* pieces() {
        let at = 0;
        for (const size of [1, 0, 2, 0, 4095, 1, 4096, 4097, 20_000, 0, 7]) {
          yield bytes.subarray(at, at + size);
          at += size;
        }
        for (; at < bytes.length; at += 3) yield bytes.subarray(at, at + 3);
      }
      assert.equal(await driver.append(at('u'), 0, pieces()), 50_000);
      await driver.commit(at('u'), at('b'));
      sameBytes(await readAll(driver, at('b')), bytes);
    },
  ],
  [
    'append: offset 0 creates the object, also when the source is empty',
    async (driver, at) => {
      assert.equal(await driver.append(at('u/data'), 0, inPieces(content(0))), 0);
      const { kind, size } = await driver.stat(at('u/data'));
      assert.deepEqual([kind, size], ['object', 0]);
      assert.equal(await driver.append(at('u/data'), 0, inPieces(content(5))), 5);
      assert.equal(await driver.append(at('u/data'), 5, inPieces(content(0))), 5);
    },
  ],
  [
    'append: an offset that is not the present size is offset-conflict, and changes nothing',
    async (driver, at) => {
      await fails('offset-conflict', driver.append(at('u'), 1, inPieces(content(5))));
      assert.equal(await exists(driver, at('u')), false);
      await driver.append(at('u'), 0, inPieces(content(10)));
      for (const offset of [0, 9, 11, 2 ** 40]) {
        await fails('offset-conflict', driver.append(at('u'), offset, inPieces(content(5, 2))));
      }
      assert.equal((await driver.stat(at('u'))).size, 10);
      await driver.commit(at('u'), at('b'));
      sameBytes(await readAll(driver, at('b')), content(10));
    },
  ],
  [
    'append: a negative or broken offset is invalid-offset',
    async (driver, at) => {
      for (const offset of [-1, 0.5, Number.NaN, 2 ** 53]) {
        await fails('invalid-offset', driver.append(at('u'), offset, inPieces(content(1))));
      }
    },
  ],
  [
    'append: of several at one offset exactly one wins, and its content is whole',
    async (driver, at) => {
      await driver.append(at('u'), 0, inPieces(content(1000)));
      const [first, ...others] = await race(driver, at('u'), 1000, 4);
      assert.ok(first !== undefined && others.length === 0, `${others.length + 1} won`);
      assert.equal((await driver.stat(at('u'))).size, 1000 + first.length);
      await driver.commit(at('u'), at('b'));
      sameBytes(await readAll(driver, at('b')), Buffer.concat([content(1000), first]));
    },
  ],
  [
    'append: of several that would create the object exactly one wins',
    async (driver, at) => {
      const [first, ...others] = await race(driver, at('u/data'), 0, 4);
      assert.ok(first !== undefined && others.length === 0, `${others.length + 1} won`);
      await driver.commit(at('u/data'), at('b/data'));
      sameBytes(await readAll(driver, at('b/data')), first);
    },
  ],
  [
    'append: an abort rejects with its reason though the source is stuck, and the upload can go on',
    async (driver, at) => {
      const controller = new AbortController();
      const reason = new Error('the caller went away');
      const source = halfThen(() => setImmediate(() => controller.abort(reason)));
      const append = driver.append(at('u/data'), 0, source, { signal: controller.signal });
      await assert.rejects(append, (error) => error === reason);
      await assertResumes(driver, at('u/data'), at('b/data'));
    },
  ],
  [
    'append: a source that fails rejects with its error, and the upload can go on',
    async (driver, at) => {
      const reason = new Error('the connection was reset');
      async function* source() {
        yield* inPieces(WHOLE.subarray(0, 1_500_000));
        throw reason;
      }
      await assert.rejects(driver.append(at('u/data'), 0, source()), (error) => error === reason);
      await assertResumes(driver, at('u/data'), at('b/data'));
    },
  ],
  [
    'append: a signal that is aborted already changes nothing',
    async (driver, at) => {
      const reason = new Error('the caller went away');
      const signal = AbortSignal.abort(reason);
      await assert.rejects(driver.append(at('u'), 0, inPieces(content(5)), { signal }), (error) => error === reason);
      assert.equal(await exists(driver, at('u')), false);
    },
  ],
];
