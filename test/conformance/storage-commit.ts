// Publishing what was appended: commit.
import { strict as assert } from 'node:assert';
import { type Case, content, exists, fails, inPieces, namesOf, readAll, sameBytes } from './storage-case.js';

export const commitCases: readonly Case[] = [
  [
    'commit: publishes the content under its new key, and leaves nothing at the old one',
    async (driver, at) => {
      await driver.append(at('uploads/1/data'), 0, inPieces(content(100_000)));
      await driver.commit(at('uploads/1/data'), at('blobs/ab/data'));
      sameBytes(await readAll(driver, at('blobs/ab/data')), content(100_000));
      assert.deepEqual(await namesOf(driver, at('').slice(0, -1)), ['blobs']);
    },
  ],
  [
    'commit: leaves the neighbours alone',
    async (driver, at) => {
      await driver.put(at('uploads/1/startedat'), content(20));
      await driver.append(at('uploads/1/data'), 0, inPieces(content(5)));
      await driver.commit(at('uploads/1/data'), at('blobs/data'));
      assert.deepEqual(await namesOf(driver, at('uploads/1')), ['startedat']);
    },
  ],
  [
    'commit: publishes an empty object',
    async (driver, at) => {
      await driver.append(at('u'), 0, inPieces(content(0)));
      await driver.commit(at('u'), at('b'));
      assert.equal((await driver.stat(at('b'))).size, 0);
      assert.equal((await readAll(driver, at('b'))).length, 0);
    },
  ],
  [
    'commit: replaces what stood there',
    async (driver, at) => {
      await driver.put(at('b'), content(5000, 1));
      await driver.append(at('u'), 0, inPieces(content(10, 2)));
      await driver.commit(at('u'), at('b'));
      sameBytes(await readAll(driver, at('b')), content(10, 2));
      assert.equal((await driver.stat(at('b'))).size, 10);
    },
  ],
  [
    'commit: repeated, one after the other or at once, succeeds',
    async (driver, at) => {
      await driver.append(at('u/data'), 0, inPieces(content(10)));
      await Promise.all([1, 2, 3].map(() => driver.commit(at('u/data'), at('b/data'))));
      await driver.commit(at('u/data'), at('b/data'));
      sameBytes(await readAll(driver, at('b/data')), content(10));
    },
  ],
  [
    'commit: several uploads of one blob at once leave it whole',
    async (driver, at) => {
      const uploads = [1, 2, 3, 4].map((upload) => at(`uploads/${upload}/data`));
      for (const upload of uploads) await driver.append(upload, 0, inPieces(content(100_000)));
      await Promise.all(uploads.map((upload) => driver.commit(upload, at('blobs/data'))));
      sameBytes(await readAll(driver, at('blobs/data')), content(100_000));
      assert.equal(await exists(driver, at('uploads')), false);
    },
  ],
  [
    'commit: neither there, or only a prefix, is not-found',
    async (driver, at) => {
      await fails('not-found', driver.commit(at('u'), at('b')));
      await driver.put(at('u/x'), content(1));
      await fails('not-found', driver.commit(at('u'), at('b')));
      await driver.put(at('b/x'), content(1));
      await fails('not-found', driver.commit(at('v'), at('b')));
      assert.equal(await exists(driver, at('u/x')), true);
    },
  ],
  [
    'commit: a content of another size than was to be published is an offset-conflict, and stays',
    async (driver, at) => {
      await driver.append(at('u'), 0, inPieces(content(10)));
      await driver.append(at('u'), 10, inPieces(content(5)));
      for (const size of [0, 10, 16]) await fails('offset-conflict', driver.commit(at('u'), at('b'), { size }));
      assert.equal(await exists(driver, at('b')), false);
      assert.equal((await driver.stat(at('u'))).size, 15);
      await driver.commit(at('u'), at('b'), { size: 15 });
      assert.equal((await driver.stat(at('b'))).size, 15);
    },
  ],
  [
    'commit: repeated with the size of what was published succeeds, with another one it is an offset-conflict',
    async (driver, at) => {
      await driver.append(at('u'), 0, inPieces(content(10)));
      await driver.commit(at('u'), at('b'), { size: 10 });
      await driver.commit(at('u'), at('b'), { size: 10 });
      await fails('offset-conflict', driver.commit(at('u'), at('b'), { size: 11 }));
      await fails('not-found', driver.commit(at('u'), at('c'), { size: 10 }));
      sameBytes(await readAll(driver, at('b')), content(10));
    },
  ],
  [
    'commit: a new upload may begin where the last one was',
    async (driver, at) => {
      for (const seed of [1, 2]) {
        await driver.append(at('u/data'), 0, inPieces(content(10, seed)));
        await driver.commit(at('u/data'), at(`b${seed}`));
      }
      sameBytes(await readAll(driver, at('b1')), content(10, 1));
      sameBytes(await readAll(driver, at('b2')), content(10, 2));
    },
  ],
];
