// `GET tags/list`: the order of tags, and its pages.
import assert from 'node:assert/strict';
import { index, pushBlob, pushManifest, putManifest } from '../../support/content.js';
import type { Answer } from '../../support/http-client.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, json, refused } from './answers.js';
import type { Suite } from './index.js';

/** In the order of their bytes. Some are lexical prefixes of others. */
const TAGS = ['0', '1.10', '1.2', 'A', 'Z', '_x', 'a', 'v1', 'v1-0', 'v1.0', 'v1.0-rc', 'v10', 'v1_0', 'z'];

async function pushTags(at: OpenRegistry, tags: readonly string[], repository = 'r'): Promise<void> {
  // Backwards, so that the order of the answer is not that of the pushes.
  for (const tag of [...tags].reverse()) await pushManifest(at, repository, index([]), tag);
}

/** The path that `Link` names as the next page. */
export function nextPage(at: OpenRegistry, { headers }: Answer): string | undefined {
  if (headers.link === undefined) return undefined;
  const match = /^<([^>]+)>; rel="next"$/.exec(String(headers.link));
  assert.ok(match, `${headers.link} is no link to a next page`);
  return at.within(match[1]);
}

/** Reads all pages from one on, as clients do: by following `Link`. */
export async function readPages<T>(at: OpenRegistry, first: string, itemsOf: (answer: Answer) => T[]): Promise<T[][]> {
  const pages: T[][] = [];
  for (let path: string | undefined = first; path !== undefined; ) {
    const answer = answered(await at.send('GET', path), 200);
    pages.push(itemsOf(answer));
    path = nextPage(at, answer);
    assert.ok(pages.length < 100, 'the pages do not end');
  }
  return pages;
}

const tagsOf = (answer: Answer) => json<{ tags: string[] }>(answer).tags;

export const tagsSuite: Suite = (test, open) => {
  test('all tags in byte order, without Link', async () => {
    const at = await open();
    await pushTags(at, TAGS);
    const answer = answered(await at.send('GET', '/v2/r/tags/list'), 200);
    assert.deepEqual(json(answer), { name: 'r', tags: TAGS });
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.headers.link, undefined);
  });

  for (const n of [1, 3, TAGS.length - 1, TAGS.length, TAGS.length + 1]) {
    test(`pages of ${n} lose nothing, and the last has no Link`, async () => {
      const at = await open();
      await pushTags(at, TAGS);
      const pages = await readPages(at, `/v2/r/tags/list?n=${n}`, tagsOf);
      assert.deepEqual(pages.flat(), TAGS);
      assert.equal(pages.length, Math.ceil(TAGS.length / n));
    });
  }

  test('last without n, last that is no tag, and last at the end', async () => {
    const at = await open();
    await pushTags(at, TAGS);
    const after = async (last: string) => tagsOf(answered(await at.send('GET', `/v2/r/tags/list?last=${last}`), 200));
    assert.deepEqual(await after('v1'), TAGS.slice(TAGS.indexOf('v1') + 1));
    assert.deepEqual(await after('v1.'), TAGS.slice(TAGS.indexOf('v1.0')));
    assert.deepEqual(await after(''), TAGS);
    assert.deepEqual(await after('zz'), []);
    for (const odd of ['..', '%00', '%2e%2e%2f', 'a/b', '%ff', 'x'.repeat(3000)]) assert.ok(await after(odd));
  });

  test('n=0 is an empty list without Link', async () => {
    const at = await open();
    await pushTags(at, ['a']);
    const answer = answered(await at.send('GET', '/v2/r/tags/list?n=0'), 200);
    assert.deepEqual(json(answer), { name: 'r', tags: [] });
    assert.equal(answer.headers.link, undefined);
  });

  test('n over the maximum, and no n, are clamped to it', async () => {
    const at = await open({ tags: { maxEntries: 3 } });
    await pushTags(at, TAGS);
    for (const query of ['', '?n=4', '?n=999999999']) {
      const pages = await readPages(at, `/v2/r/tags/list${query}`, tagsOf);
      assert.deepEqual(pages.flat(), TAGS);
      assert.equal(pages[0]?.length, 3);
    }
  });

  test('n that is no number is refused', async () => {
    const at = await open();
    await pushTags(at, ['a']);
    for (const n of ['', '-1', '1.5', 'x', '1e3', '0x1', '%201', '+1', 'NaN', 'Infinity']) {
      refused(await at.send('GET', `/v2/r/tags/list?n=${n}`), 400, 'PAGINATION_NUMBER_INVALID');
    }
  });

  test('a repository without tags has none, and is there', async () => {
    const at = await open();
    await pushManifest(at, 'untagged', index([]));
    await pushBlob(at, 'blobs', 'abc');
    for (const name of ['untagged', 'blobs']) {
      const answer = answered(await at.send('GET', `/v2/${name}/tags/list`), 200);
      assert.deepEqual(json(answer), { name, tags: [] });
    }
  });

  test('when the last tag goes, the list is empty', async () => {
    const at = await open();
    await pushTags(at, ['only']);
    empty(await at.send('DELETE', '/v2/r/manifests/only'), 202);
    assert.deepEqual(json(await at.send('GET', '/v2/r/tags/list')), { name: 'r', tags: [] });
  });

  test('a repository that nobody pushed to is unknown, also where another is nested in it', async () => {
    const at = await open();
    await pushTags(at, ['a'], 'outer/inner');
    for (const name of ['outer', 'outer/inner/most', 'none']) {
      refused(await at.send('GET', `/v2/${name}/tags/list`), 404, 'NAME_UNKNOWN');
    }
  });

  test('tags of repositories that are nested do not mix', async () => {
    const at = await open();
    for (const name of ['a', 'a/b', 'a-b']) await pushTags(at, [`of-${name.replace('/', '.')}`], name);
    for (const name of ['a', 'a/b', 'a-b']) {
      assert.deepEqual(tagsOf(await at.send('GET', `/v2/${name}/tags/list`)), [`of-${name.replace('/', '.')}`]);
    }
  });

  test('a tag of 128 characters', async () => {
    const at = await open();
    await pushTags(at, ['t'.repeat(128)]);
    answered(await at.send('GET', `/v2/r/manifests/${'t'.repeat(128)}`), 200);
    refused(await putManifest(at, 'r', 't'.repeat(129), index([])), 400, 'TAG_INVALID');
  });
};
