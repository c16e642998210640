// The grammar of keys: what is refused, and what must work though it looks odd.

import { strict as assert } from 'node:assert';
import { type Case, collect, content, fails, namesOf, putEach } from './storage-case.js';

const REFUSED = [
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/..',
  'a/./b',
  'a b',
  'a\\b',
  'a\0b',
  'a\nb',
  'a:b',
  'a%2fb',
  'a~b',
  'ä',
  '\u{1f600}',
  'x'.repeat(256),
  `${'x/'.repeat(512)}x`,
];

const ODD = ['_layers', '-', '--', '_', '...', '..a', '.hidden', 'a..b', '0', 'A', 'a', 'x'.repeat(255)];

export const keyCases: readonly Case[] = [
  [
    'keys: what breaks the grammar is invalid-key, for every method',
    async (driver, at) => {
      for (const key of REFUSED) {
        await fails('invalid-key', driver.get(key));
        await fails('invalid-key', driver.put(key, content(1)));
        await fails('invalid-key', driver.stat(key));
        await fails('invalid-key', driver.open(key));
        await fails('invalid-key', collect(driver.list(key)));
        await fails('invalid-key', driver.append(key, 0, nothing()));
        await fails('invalid-key', driver.commit(key, at('to')));
        await fails('invalid-key', driver.commit(at('from'), key));
        await fails('invalid-key', driver.remove(key));
      }
    },
  ],
  [
    'keys: the empty key is the root for list, and invalid-key otherwise',
    async (driver, at) => {
      await fails('invalid-key', driver.get(''));
      await fails('invalid-key', driver.put('', content(1)));
      await fails('invalid-key', driver.stat(''));
      await fails('invalid-key', driver.remove(''));
      await driver.put(at('a'), content(1));
      const [prefix = ''] = at('a').split('/');
      assert.ok((await namesOf(driver, '')).includes(prefix));
    },
  ],
  [
    'keys: odd ones are kept apart',
    async (driver, at) => {
      await putEach(driver, ODD.map(at));
      for (const key of ODD.map(at)) assert.equal((await driver.get(key)).toString(), key);
      assert.deepEqual(await namesOf(driver, at('').slice(0, -1)), [...ODD].sort());
    },
  ],
  [
    'keys: 1024 characters are allowed',
    async (driver, at) => {
      const key = at(`${'d/'.repeat(500)}`)
        .slice(0, 1023)
        .replace(/\/$/, 'd');
      const whole = key.padEnd(1024, 'e');
      await driver.put(whole, content(9));
      assert.equal((await driver.stat(whole)).size, 9);
    },
  ],
];

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}
