// Listings: order, paging, and which children there are.
import { strict as assert } from 'node:assert';
import { type Case, collect, fails, namesOf, putEach } from './storage-case.js';

export const listCases: readonly Case[] = [
  [
    'list: yields direct children only, with their kind',
    async (driver, at) => {
      await putEach(driver, [at('a/object'), at('a/prefix/x'), at('a/prefix/y/z'), at('b')]);
      assert.deepEqual(await collect(driver.list(at('a'))), [
        { name: 'object', kind: 'object' },
        { name: 'prefix', kind: 'prefix' },
      ]);
    },
  ],
  [
    'list: ascends by byte order, also where names begin with each other',
    async (driver, at) => {
      const names = [
        'v1',
        'v1.0',
        'v1-0',
        'v10',
        'V1',
        '_v',
        'a',
        'a-b',
        'a.b',
        'ab',
        'a_b',
        'a0',
        'A',
        '0',
        '-',
        '.x',
      ];
      await putEach(
        driver,
        names.map((name) => at(`tags/${name}/current/link`)),
      );
      assert.deepEqual(await namesOf(driver, at('tags')), [...names].sort());
    },
  ],
  [
    'list: objects and prefixes stand in one order',
    async (driver, at) => {
      await putEach(driver, [at('l/a/x'), at('l/a-b'), at('l/a.b/x'), at('l/ab'), at('l/a0/x')]);
      assert.deepEqual(await collect(driver.list(at('l'))), [
        { name: 'a', kind: 'prefix' },
        { name: 'a-b', kind: 'object' },
        { name: 'a.b', kind: 'prefix' },
        { name: 'a0', kind: 'prefix' },
        { name: 'ab', kind: 'object' },
      ]);
    },
  ],
  [
    'list: a prefix does not list what only begins with its name',
    async (driver, at) => {
      await putEach(driver, [at('l/a/x'), at('l/ab/y'), at('l/a-b/z')]);
      assert.deepEqual(await namesOf(driver, at('l/a')), ['x']);
    },
  ],
  [
    'list: after leaves out what is not greater, whether it exists or not',
    async (driver, at) => {
      await putEach(
        driver,
        ['v1/x', 'v1.0/x', 'v1-0/x', 'v2'].map((path) => at(`l/${path}`)),
      );
      assert.deepEqual(await namesOf(driver, at('l'), 'v1'), ['v1-0', 'v1.0', 'v2']);
      assert.deepEqual(await namesOf(driver, at('l'), 'v1-0'), ['v1.0', 'v2']);
      assert.deepEqual(await namesOf(driver, at('l'), 'v1-x'), ['v1.0', 'v2']);
      assert.deepEqual(await namesOf(driver, at('l'), ''), ['v1', 'v1-0', 'v1.0', 'v2']);
      assert.deepEqual(await namesOf(driver, at('l'), 'v2'), []);
      assert.deepEqual(await namesOf(driver, at('l'), 'zz'), []);
    },
  ],
  [
    'list: 1,200 children come whole, and page by page without loss',
    async (driver, at) => {
      const names = Array.from({ length: 1200 }, (_, index) => `t${(index * 7919) % 1200}`);
      await putEach(
        driver,
        names.map((name) => at(`l/${name}`)),
      );
      const sorted = [...names].sort();
      assert.deepEqual(await namesOf(driver, at('l')), sorted);
      const paged: string[] = [];
      for (let after: string | undefined; ; after = paged.at(-1)) {
        const page = (await namesOf(driver, at('l'), after)).slice(0, 250);
        if (page.length === 0) break;
        paged.push(...page);
      }
      assert.deepEqual(paged, sorted);
    },
  ],
  [
    'list: shows at once what was put and what was removed',
    async (driver, at) => {
      const names = Array.from({ length: 150 }, (_, index) => `t${index + 100}`);
      await putEach(
        driver,
        names.map((name) => at(`l/${name}`)),
      );
      for (const name of ['t300', 't301', 't302']) {
        assert.deepEqual(await namesOf(driver, at('l')), names);
        await driver.put(at(`l/${name}`), Buffer.from(name));
        names.push(name);
      }
      for (const name of names.splice(10, 3)) await driver.remove(at(`l/${name}`));
      assert.deepEqual(await namesOf(driver, at('l')), names);
    },
  ],
  [
    'list: nothing there, or an object, is not-found',
    async (driver, at) => {
      await fails('not-found', collect(driver.list(at('a'))));
      await fails('not-found', collect(driver.list(at('a'), { after: 'x' })));
      await driver.put(at('a'), Buffer.from('x'));
      await fails('not-found', collect(driver.list(at('a'))));
      await fails('not-found', collect(driver.list(at('a/b'))));
    },
  ],
  [
    'list: may be left early',
    async (driver, at) => {
      await putEach(driver, [at('l/a'), at('l/b'), at('l/c')]);
      for await (const { name } of driver.list(at('l'))) {
        assert.equal(name, 'a');
        break;
      }
    },
  ],
  [
    'list: an aborted signal ends it with its reason',
    async (driver, at) => {
      await putEach(driver, [at('l/a'), at('l/b'), at('l/c')]);
      const controller = new AbortController();
      const reason = new Error('the caller went away');
      const names: string[] = [];
      const walk = async () => {
        for await (const { name } of driver.list(at('l'), { signal: controller.signal })) {
          names.push(name);
          controller.abort(reason);
        }
      };
      await assert.rejects(walk, (error) => error === reason);
      assert.deepEqual(names, ['a']);
    },
  ],
];
