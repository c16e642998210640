// Streams: open and its ranges.
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import type { StorageDriver } from 'koa-registry';
import { type Case, collect, content, fails, inPieces, readAll, sameBytes } from './storage-case.js';

/** Enough that no driver has read it all when the first chunk arrives. */
const LONG = 24 * 1024 * 1024;

/** What a stream may read ahead of its reader, in bytes. */
const MAX_READ_AHEAD = 8 * 1024 * 1024;

/** Large objects are appended and committed; `put` is for small ones. */
async function publish(driver: StorageDriver, at: (path: string) => string, bytes: Uint8Array): Promise<void> {
  await driver.append(at('upload'), 0, inPieces(bytes, 1024 * 1024));
  await driver.commit(at('upload'), at('a'));
}

export const openCases: readonly Case[] = [
  [
    'open: streams the whole object',
    async (driver, at) => {
      for (const length of [0, 1, 65_536, 65_537, 1_000_000]) {
        await driver.put(at('a'), content(length));
        sameBytes(await readAll(driver, at('a')), content(length));
      }
    },
  ],
  [
    'open: streams the range from start to end, both inclusive',
    async (driver, at) => {
      const whole = content(1_000_000);
      await driver.put(at('a'), whole);
      for (const [start, end] of [
        [0, 0],
        [0, 9],
        [5, 5],
        [1, 70_000],
        [65_536, 999_998],
        [999_999, 999_999],
      ] as const) {
        sameBytes(await readAll(driver, at('a'), start, end), whole.subarray(start, end + 1));
      }
    },
  ],
  [
    'open: a range without an end goes to the end, and one past it is clamped',
    async (driver, at) => {
      const whole = content(200_000);
      await driver.put(at('a'), whole);
      sameBytes(await readAll(driver, at('a'), 199_990), whole.subarray(199_990));
      sameBytes(await readAll(driver, at('a'), 100, 200_000), whole.subarray(100));
      sameBytes(await readAll(driver, at('a'), 0, 2 ** 40), whole);
    },
  ],
  [
    'open: a start at or past the end, or a range that is none, is invalid-offset',
    async (driver, at) => {
      await driver.put(at('a'), content(10));
      for (const start of [10, 11, 2 ** 40, -1, 0.5, Number.NaN])
        await fails('invalid-offset', driver.open(at('a'), { start }));
      await fails('invalid-offset', driver.open(at('a'), { start: 5, end: 4 }));
      await fails('invalid-offset', driver.open(at('a'), { end: -1 }));
    },
  ],
  [
    'open: offset 0 of an empty object is an empty stream',
    async (driver, at) => {
      await driver.put(at('a'), content(0));
      assert.equal((await readAll(driver, at('a'), 0)).length, 0);
      assert.equal((await readAll(driver, at('a'), 0, 9)).length, 0);
      await fails('invalid-offset', driver.open(at('a'), { start: 1 }));
    },
  ],
  [
    'open: nothing there, a prefix, or a key below an object is not-found',
    async (driver, at) => {
      await fails('not-found', driver.open(at('a')));
      await driver.put(at('a/b'), content(3));
      await fails('not-found', driver.open(at('a')));
      await fails('not-found', driver.open(at('a/b/c'), { start: 1 }));
    },
  ],
  [
    'open: streams of one object do not disturb each other',
    async (driver, at) => {
      const whole = content(1_000_000);
      await driver.put(at('a'), whole);
      const starts = Array.from({ length: 10 }, (_, index) => index * 50_000);
      const reads = await Promise.all(starts.map((start) => readAll(driver, at('a'), start)));
      for (const [index, read] of reads.entries()) sameBytes(read, whole.subarray(index * 50_000));
    },
  ],
  [
    'open: a stream goes on with the content it began with, though the object is replaced',
    async (driver, at) => {
      const whole = content(1_000_000, 1);
      await driver.put(at('a'), whole);
      const stream = await driver.open(at('a'));
      await driver.put(at('a'), content(1_000_000, 2));
      sameBytes(Buffer.concat(await collect(stream)), whole);
    },
  ],
  [
    'open: a stream that nobody reads does not fill the memory',
    async (driver, at) => {
      await publish(driver, at, Buffer.alloc(LONG));
      const stream = await driver.open(at('a'));
      await once(stream, 'readable');
      for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
      assert.ok(
        stream.readableLength <= MAX_READ_AHEAD,
        `${stream.readableLength} bytes were read ahead, and at most ${MAX_READ_AHEAD} may be`,
      );
      stream.destroy();
    },
  ],
  [
    'open: an aborted signal ends the stream with its reason',
    async (driver, at) => {
      await publish(driver, at, Buffer.alloc(LONG));
      const controller = new AbortController();
      const stream = await driver.open(at('a'), { signal: controller.signal });
      await once(stream, 'readable');
      const reason = new Error('the caller went away');
      const failed = once(stream, 'error');
      controller.abort(reason);
      assert.equal((await failed)[0], reason);
      assert.ok(stream.destroyed);
      await assert.rejects(driver.open(at('a'), { signal: controller.signal }), (error) => error === reason);
    },
  ],
  [
    'open: a stream may be destroyed before its end',
    async (driver, at) => {
      await driver.put(at('a'), content(1_000_000));
      const stream = await driver.open(at('a'));
      const closed = once(stream, 'close');
      stream.destroy();
      await closed;
      assert.equal((await readAll(driver, at('a'))).length, 1_000_000);
    },
  ],
];
