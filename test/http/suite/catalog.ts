// `GET _catalog`: the repositories that hold a manifest, in byte order, page by page.
import assert from 'node:assert/strict';
import { digestOf, index, pushBlob, pushManifest } from '../../support/content.js';
import type { Answer } from '../../support/http-client.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, json, refused } from './answers.js';
import type { Suite } from './index.js';
import { readPages } from './tags.js';

/** In the order of their bytes, which is not the order of folders: `-` and `.` come before `/`. */
const NAMES = [
  '0',
  'a',
  'a-b',
  'a-b/c',
  'a-b/c/d',
  'a.b',
  'a/b',
  'a/b-c',
  'a/b/c',
  'a0',
  'a_b',
  'ab',
  'library/alpine',
  'z',
];

const namesOf = (answer: Answer) => json<{ repositories: string[] }>(answer).repositories;

async function pushAll(at: OpenRegistry, names: readonly string[]): Promise<void> {
  for (const name of [...names].reverse()) await pushManifest(at, name, index([]), 'latest');
}

export const catalogSuite: Suite = (test, open) => {
  test('an empty registry has an empty list', async () => {
    const answer = answered(await (await open()).send('GET', '/v2/_catalog'), 200);
    assert.deepEqual(json(answer), { repositories: [] });
    assert.equal(answer.headers['content-type'], 'application/json');
  });

  test('all repositories in byte order, without Link', async () => {
    const at = await open();
    await pushAll(at, NAMES);
    const answer = answered(await at.send('GET', '/v2/_catalog'), 200);
    assert.deepEqual(json(answer), { repositories: NAMES });
    assert.equal(answer.headers.link, undefined);
  });

  for (const n of [1, 2, 5, NAMES.length]) {
    test(`pages of ${n} lose nothing`, async () => {
      const at = await open();
      await pushAll(at, NAMES);
      const pages = await readPages(at, `/v2/_catalog?n=${n}`, namesOf);
      assert.deepEqual(pages.flat(), NAMES);
      assert.equal(pages.length, Math.ceil(NAMES.length / n));
    });
  }

  test('last need not exist', async () => {
    const at = await open();
    await pushAll(at, NAMES);
    for (const last of [
      '',
      '1',
      'a-',
      'a-b/',
      'a-b/c/',
      'a-b/x/y',
      'a.',
      'a/',
      'a/b-',
      'aa',
      'library',
      'zz',
      'A',
      '~',
    ]) {
      const answer = answered(await at.send('GET', `/v2/_catalog?last=${last}`), 200);
      assert.deepEqual(
        namesOf(answer),
        NAMES.filter((name) => name > last),
        `after ${last}`,
      );
    }
  });

  test('last that is no name at all breaks nothing', async () => {
    const at = await open();
    await pushAll(at, ['a', 'b']);
    for (const last of [
      '..',
      '../x',
      './a',
      '%2e%2e%2f',
      'a//',
      '/',
      '%00',
      'a%00/b',
      '%ff/%ff',
      'a%20b/c',
      '%C3%A9/x',
      '-',
    ]) {
      assert.ok(Array.isArray(namesOf(answered(await at.send('GET', `/v2/_catalog?last=${last}`), 200))), last);
    }
    answered(await at.send('GET', `/v2/_catalog?last=${'a/'.repeat(2000)}`), 200);
    answered(await at.send('GET', `/v2/_catalog?last=${'a.'.repeat(2000)}/b`), 200);
  });

  test('n is that of every list', async () => {
    const at = await open({ catalog: { maxEntries: 2 } });
    await pushAll(at, ['a', 'b', 'c']);
    for (const query of ['', '?n=3', '?n=99999']) {
      assert.deepEqual(await readPages(at, `/v2/_catalog${query}`, namesOf), [['a', 'b'], ['c']]);
    }
    const none = answered(await at.send('GET', '/v2/_catalog?n=0'), 200);
    assert.deepEqual(json(none), { repositories: [] });
    assert.equal(none.headers.link, undefined);
    for (const n of ['', '-1', 'x', '1.5']) {
      refused(await at.send('GET', `/v2/_catalog?n=${n}`), 400, 'PAGINATION_NUMBER_INVALID');
    }
  });

  test('only repositories that hold a manifest are listed', async () => {
    const at = await open();
    await pushBlob(at, 'blobs', 'abc');
    empty(await at.send('POST', '/v2/uploading/blobs/uploads/'), 202);
    await pushAll(at, ['kept', 'emptied']);
    empty(await at.send('DELETE', `/v2/emptied/manifests/${digestOf(index([]))}`), 202);
    assert.deepEqual(namesOf(await at.send('GET', '/v2/_catalog')), ['kept']);
  });

  test('a repository whose tags are gone is still listed', async () => {
    const at = await open();
    await pushAll(at, ['r']);
    empty(await at.send('DELETE', '/v2/r/manifests/latest'), 202);
    assert.deepEqual(namesOf(await at.send('GET', '/v2/_catalog')), ['r']);
  });
};
