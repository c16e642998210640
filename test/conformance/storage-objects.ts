// Small objects: get, put and stat.
import { strict as assert } from 'node:assert';
import { type Case, content, fails, putEach, sameBytes } from './storage-case.js';

/** Between the backend's clock and this one: what S3 tolerates in a signed request. */
const CLOCK_SKEW = 15 * 60 * 1000;

export const objectCases: readonly Case[] = [
  [
    'get: answers what was put',
    async (driver, at) => {
      await driver.put(at('a/link'), Buffer.from('sha256:abc'));
      assert.equal((await driver.get(at('a/link'))).toString(), 'sha256:abc');
    },
  ],
  [
    'get: answers an empty object and one of a million bytes',
    async (driver, at) => {
      for (const length of [0, 1, 65_535, 65_536, 65_537, 1_000_000]) {
        await driver.put(at('object'), content(length));
        sameBytes(await driver.get(at('object')), content(length));
      }
    },
  ],
  [
    'get: nothing there, a prefix, or a key below an object is not-found',
    async (driver, at) => {
      await fails('not-found', driver.get(at('a')));
      await driver.put(at('a/b'), content(3));
      await fails('not-found', driver.get(at('a')));
      await fails('not-found', driver.get(at('a/c')));
      await fails('not-found', driver.get(at('a/b/c')));
    },
  ],
  [
    'get: the caller may keep and change the bytes',
    async (driver, at) => {
      await driver.put(at('a'), Buffer.from('abc'));
      const first = await driver.get(at('a'));
      const second = await driver.get(at('a'));
      first.fill(0);
      assert.equal(second.toString(), 'abc');
      assert.equal((await driver.get(at('a'))).toString(), 'abc');
    },
  ],
  [
    'get: an aborted signal rejects with its reason',
    async (driver, at) => {
      const reason = new Error('the caller went away');
      await assert.rejects(driver.get(at('a'), { signal: AbortSignal.abort(reason) }), (error) => error === reason);
    },
  ],
  [
    'put: replaces what was there, also by something shorter',
    async (driver, at) => {
      await driver.put(at('a'), content(5000, 1));
      await driver.put(at('a'), content(10, 2));
      sameBytes(await driver.get(at('a')), content(10, 2));
      assert.equal((await driver.stat(at('a'))).size, 10);
    },
  ],
  [
    'put: later changes of the bytes do not reach the store',
    async (driver, at) => {
      const bytes = Buffer.from('abc');
      await driver.put(at('a'), bytes);
      bytes.fill(0);
      assert.equal((await driver.get(at('a'))).toString(), 'abc');
    },
  ],
  [
    'put: a reader sees the old or the new content, never a part',
    async (driver, at) => {
      const versions = [Buffer.alloc(200_000, 'a'), Buffer.alloc(150_000, 'b')] as const;
      await driver.put(at('a'), versions[0]);
      for (let round = 0; round < 10; round++) {
        const put = driver.put(at('a'), versions[round % 2 === 0 ? 1 : 0]);
        for (const read of await Promise.all([1, 2, 3, 4].map(() => driver.get(at('a'))))) {
          assert.ok(
            versions.some((version) => version.equals(read)),
            'a reader saw a mixture',
          );
        }
        await put;
      }
    },
  ],
  [
    'put: many at a time below prefixes that do not exist yet all arrive',
    async (driver, at) => {
      const keys = Array.from({ length: 60 }, (_, index) => at(`x/${index % 3}/${index % 6}/${index}/link`));
      await putEach(driver, keys);
      for (const key of keys) assert.equal((await driver.get(key)).toString(), key);
    },
  ],
  [
    'put: many at a time at one key leave one of them, whole',
    async (driver, at) => {
      await Promise.all(Array.from({ length: 10 }, (_, index) => driver.put(at('a/b'), content(1000, index + 1))));
      const left = await driver.get(at('a/b'));
      assert.ok(Array.from({ length: 10 }, (_, index) => content(1000, index + 1)).some((one) => one.equals(left)));
    },
  ],
  [
    'stat: an object has its size, a prefix has none',
    async (driver, at) => {
      await driver.put(at('a/b/c'), content(1234));
      const object = await driver.stat(at('a/b/c'));
      assert.deepEqual([object.kind, object.size], ['object', 1234]);
      const prefix = await driver.stat(at('a'));
      assert.deepEqual([prefix.kind, prefix.size], ['prefix', 0]);
    },
  ],
  [
    'stat: the time of modification is about now, and does not go back',
    async (driver, at) => {
      await driver.put(at('a'), content(1));
      const first = (await driver.stat(at('a'))).modified;
      assert.ok(first instanceof Date && Math.abs(first.getTime() - Date.now()) < CLOCK_SKEW, `${first}`);
      await driver.put(at('a'), content(2));
      assert.ok((await driver.stat(at('a'))).modified >= first);
    },
  ],
  [
    'stat: a key that others only begin with is not-found',
    async (driver, at) => {
      await putEach(driver, [at('ab'), at('a-b/x'), at('a.b')]);
      await fails('not-found', driver.stat(at('a')));
      await fails('not-found', driver.stat(at('a-')));
      await fails('not-found', driver.stat(at('ab/c')));
    },
  ],
];
