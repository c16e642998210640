// Removing objects and subtrees, and the prefixes that vanish with them.
import { strict as assert } from 'node:assert';
import { type Case, collect, content, exists, fails, inPieces, namesOf, putEach } from './storage-case.js';

export const removeCases: readonly Case[] = [
  [
    'remove: an object is gone for every method',
    async (driver, at) => {
      await putEach(driver, [at('a/b'), at('a/c')]);
      await driver.remove(at('a/b'));
      await fails('not-found', driver.get(at('a/b')));
      await fails('not-found', driver.stat(at('a/b')));
      await fails('not-found', driver.open(at('a/b')));
      await fails('not-found', driver.remove(at('a/b')));
      assert.deepEqual(await namesOf(driver, at('a')), ['c']);
    },
  ],
  [
    'remove: everything below a prefix is gone, and nothing that only begins with its name',
    async (driver, at) => {
      const others = [at('l/a-b'), at('l/a.b/x'), at('l/ab/y')];
      await putEach(driver, [at('l/a/x'), at('l/a/y/z'), at('l/a/y/w/v'), ...others]);
      await driver.remove(at('l/a'));
      await fails('not-found', driver.stat(at('l/a')));
      await fails('not-found', driver.get(at('l/a/y/w/v')));
      for (const key of others) assert.equal((await driver.get(key)).toString(), key);
    },
  ],
  [
    'remove: a prefix of 1,200 objects goes whole',
    async (driver, at) => {
      await putEach(
        driver,
        Array.from({ length: 1200 }, (_, index) => at(`l/${index % 10}/${index}`)),
      );
      await driver.remove(at('l'));
      await fails('not-found', collect(driver.list(at('l'))));
    },
  ],
  [
    'remove: a prefix vanishes with the last object below it',
    async (driver, at) => {
      await putEach(driver, [at('a/b/c/d'), at('a/x')]);
      await driver.remove(at('a/b/c/d'));
      await fails('not-found', driver.stat(at('a/b/c')));
      await fails('not-found', driver.stat(at('a/b')));
      await fails('not-found', collect(driver.list(at('a/b'))));
      assert.deepEqual(await namesOf(driver, at('a')), ['x']);
      await driver.remove(at('a/x'));
      await fails('not-found', driver.stat(at('a')));
    },
  ],
  [
    'remove: neither an object nor a prefix is not-found',
    async (driver, at) => {
      await fails('not-found', driver.remove(at('a')));
      await driver.put(at('a'), content(1));
      await fails('not-found', driver.remove(at('a/b')));
      await fails('not-found', driver.remove(at('b/c')));
    },
  ],
  [
    'remove: what was appended and never committed goes too',
    async (driver, at) => {
      await driver.append(at('u/data'), 0, inPieces(content(100_000)));
      await driver.remove(at('u'));
      assert.equal(await exists(driver, at('u/data')), false);
      assert.equal(await driver.append(at('u/data'), 0, inPieces(content(5))), 5);
    },
  ],
  [
    'remove: of several at once at one key one succeeds',
    async (driver, at) => {
      await putEach(driver, [at('a/b/c'), at('a/b/d')]);
      const results = await Promise.allSettled([1, 2, 3].map(() => driver.remove(at('a/b'))));
      const failed = results.filter((result) => result.status === 'rejected');
      assert.ok(failed.length < 3, 'none succeeded');
      for (const { reason } of failed) await fails('not-found', Promise.reject(reason));
      assert.equal(await exists(driver, at('a')), false);
    },
  ],
  [
    'remove: what is written beside it at the same time is not lost',
    async (driver, at) => {
      for (let round = 0; round < 20; round++) {
        await driver.put(at('tags/old/link'), content(1));
        const key = at(`tags/new/${round}/link`);
        await Promise.all([driver.remove(at('tags/old')), driver.put(key, content(round + 1))]);
        assert.equal((await driver.stat(key)).size, round + 1);
        await driver.remove(at('tags'));
      }
    },
  ],
];
