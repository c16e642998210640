// The optional methods. A driver that lacks one keeps its promise by lacking it.
import { strict as assert } from 'node:assert';
import { readFile } from 'node:fs/promises';
import { type Case, collect, content, fails, inPieces, putEach, sameBytes } from './storage-case.js';

const EXPIRES = 60_000;

const A_DAY = 86_400_000;

export const capabilityCases: readonly Case[] = [
  [
    'url: a client gets the object from it, whole and in part',
    async (driver, at) => {
      const bytes = content(100_000);
      await driver.put(at('blob/data'), bytes);
      const url = await driver.url?.(at('blob/data'), { method: 'GET', expires: EXPIRES });
      if (url === undefined) return;
      const whole = await fetch(url);
      assert.equal(whole.status, 200);
      sameBytes(new Uint8Array(await whole.arrayBuffer()), bytes);
      const part = await fetch(url, { headers: { range: 'bytes=10-19' } });
      assert.equal(part.status, 206);
      sameBytes(new Uint8Array(await part.arrayBuffer()), bytes.subarray(10, 20));
    },
  ],
  [
    'url: one for HEAD answers HEAD',
    async (driver, at) => {
      await driver.put(at('blob/data'), content(1000));
      const url = await driver.url?.(at('blob/data'), { method: 'HEAD', expires: EXPIRES });
      if (url === undefined) return;
      const answer = await fetch(url, { method: 'HEAD' });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get('content-length'), '1000');
    },
  ],
  [
    'path: is the same before there is an object and after, and another for each key',
    async (driver, at) => {
      if (driver.path === undefined) return;
      const keys = [at('p/a'), at('q/a'), at('p'), at('pa')];
      const paths = () => keys.map((key) => driver.path?.(key));
      const before = paths();
      for (const path of before) assert.ok(typeof path === 'string' && path !== '', `${path} is no path`);
      assert.equal(new Set(before).size, keys.length, 'two keys have one path');
      await putEach(driver, [at('p/a'), at('q/a')]);
      assert.deepEqual(paths(), before);
      await fails(
        'invalid-key',
        Promise.resolve().then(() => driver.path?.('../p')),
      );
    },
  ],
  [
    'path: an absolute one is that of the file, and one in a bucket has no slash before it',
    async (driver, at) => {
      const bytes = content(1000);
      await driver.append(at('blob/upload'), 0, inPieces(bytes));
      await driver.commit(at('blob/upload'), at('blob/data'));
      const path = driver.path?.(at('blob/data'));
      if (path?.startsWith('/')) sameBytes(await readFile(path), bytes);
    },
  ],
  [
    'walk: yields every object below a prefix, and no other',
    async (driver, at) => {
      if (driver.walk === undefined) return;
      const keys = [at('w/a'), at('w/b/c'), at('w/b/d/e')];
      await putEach(driver, [...keys, at('w-x/f'), at('wa')]);
      assert.deepEqual((await collect(driver.walk(at('w')))).sort(), keys);
      await fails('invalid-key', collect(driver.walk('../w')));
    },
  ],
  [
    'purge: finds nothing where no call was cut off, and leaves what keys show',
    async (driver, at) => {
      if (driver.purge === undefined) return;
      const bytes = content(1000);
      await driver.put(at('p/object'), bytes);
      await driver.append(at('p/upload'), 0, inPieces(bytes));
      const before = new Date(Date.now() + A_DAY);
      for (const dryRun of [true, false]) assert.equal(await driver.purge(at('p'), { before, dryRun }), 0);
      sameBytes(await driver.get(at('p/object')), bytes);
      assert.equal(await driver.append(at('p/upload'), bytes.length, inPieces(bytes)), 2 * bytes.length);
      await driver.commit(at('p/upload'), at('p/committed'));
      assert.equal(await driver.purge(at('p'), { before, dryRun: true }), 0);
      await fails('invalid-key', driver.purge('../p', { before, dryRun: true }));
    },
  ],
  [
    'check: resolves while the backend is there',
    async (driver) => {
      await driver.check?.();
    },
  ],
];
