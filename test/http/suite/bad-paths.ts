// Names, digests, tags and paths of every wrong shape: refused with the right code, and nothing is stored.
import assert from 'node:assert/strict';
import { digestOf, index, NOWHERE, OCI_INDEX, pushManifest } from '../../support/content.js';
import type { Answer } from '../../support/http-client.js';
import { answered, json, refused } from './answers.js';
import type { Suite } from './index.js';

const BAD_NAMES = [
  'A',
  'a/B',
  '-a',
  'a-',
  '.a',
  'a.',
  '_a',
  'a..b',
  'a___b',
  'a._b',
  'a//b',
  '/a',
  'a/',
  '.',
  '..',
  '../..',
  'a/../b',
  'a/./b',
  '%2e%2e',
  '%2e%2e/%2e%2e',
  'a%2Fb',
  'a%2fb',
  '..%2f..',
  'a%00',
  '%00',
  'a%0d%0ab',
  'a%20b',
  'a+b',
  'a:b',
  'a@b',
  'a~b',
  'a*',
  '%',
  '%zz',
  '%e4',
  '%C3%A4',
  'a\\b',
  '',
  'a'.repeat(256),
  `${'a/'.repeat(127)}aa`,
  'a/'.repeat(3000),
  '-'.repeat(5000),
  `a${'-'.repeat(5000)}`,
];

const BAD_DIGESTS = [
  'sha256:',
  'sha256',
  'latest',
  'sha256:zzz',
  `sha256:${'0'.repeat(63)}`,
  `sha256:${'0'.repeat(65)}`,
  `sha256:${'A'.repeat(64)}`,
  `SHA256:${'0'.repeat(64)}`,
  `sha512:${'0'.repeat(64)}`,
  `md5:${'0'.repeat(32)}`,
  `__proto__:${'0'.repeat(64)}`,
  'sha256:..',
  'sha256:%2e%2e%2f%2e%2e',
  `sha256:${'0'.repeat(64)}%00`,
  `sha256:${'0'.repeat(64)}%0a`,
  `sha256%253A${'0'.repeat(64)}`,
  'sha256:%ff',
  '%',
  ':',
  'x'.repeat(5000),
];

const BAD_TAGS = [
  '-a',
  '.a',
  '..',
  '%2e%2e',
  'a%20b',
  'a%2Fb',
  '%00',
  'a%0a',
  'a@b',
  '%C3%A9',
  'a+b',
  '%',
  'x'.repeat(129),
];

function refusedTo(what: string, answer: Answer, code: string): void {
  assert.ok(answer.status === 400, `${what}: ${answer.status}`);
  refused(answer, 400, code);
}

export const badPathsSuite: Suite = (test, open, mount) => {
  test('a name that breaks the grammar is NAME_INVALID on every route', async () => {
    const at = await open();
    for (const name of BAD_NAMES) {
      const routes = {
        [`${name}/manifests/latest`]: ['GET', 'PUT', 'DELETE'],
        [`${name}/blobs/${NOWHERE}`]: ['GET', 'DELETE'],
        [`${name}/blobs/uploads/`]: ['POST'],
        [`${name}/blobs/uploads/00000000-0000-4000-8000-000000000000`]: ['GET', 'PATCH', 'PUT', 'DELETE'],
        [`${name}/tags/list`]: ['GET'],
        [`${name}/referrers/${NOWHERE}`]: ['GET'],
      };
      for (const [path, methods] of Object.entries(routes)) {
        for (const method of methods) {
          const what = `${mount.name}: ${method} /v2/${path}`.slice(0, 200);
          refusedTo(what, await at.send(method, `/v2/${path}`), 'NAME_INVALID');
        }
      }
    }
    assert.deepEqual(await at.keys(), []);
    answered(await at.send('GET', '/v2/'), 200);
  });

  test('a digest of a wrong shape is DIGEST_INVALID', async () => {
    const at = await open();
    for (const digest of BAD_DIGESTS) {
      for (const [method, path] of [
        ['GET', `blobs/${digest}`],
        ['DELETE', `blobs/${digest}`],
        ['GET', `referrers/${digest}`],
      ] as const) {
        refusedTo(`${method} ${path}`, await at.send(method, `/v2/r/${path}`), 'DIGEST_INVALID');
      }
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('a reference with a colon is a bad digest, and no tag', async () => {
    const at = await open();
    for (const digest of BAD_DIGESTS.filter((text) => text.includes(':') && !text.endsWith('%ff'))) {
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const answer = await at.send(method, `/v2/r/manifests/${digest}`);
        refusedTo(`${method} ${digest}`, answer, 'DIGEST_INVALID');
      }
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('a tag of a wrong shape is TAG_INVALID', async () => {
    const at = await open();
    for (const tag of BAD_TAGS) {
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const headers = { 'Content-Type': OCI_INDEX };
        const body = method === 'PUT' ? index([]) : undefined;
        const answer = await at.send(method, `/v2/r/manifests/${tag}`, { headers, body });
        refusedTo(`${method} ${tag}`, answer, 'TAG_INVALID');
      }
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('paths that try to climb reach nothing', async () => {
    const at = await open();
    await pushManifest(at, 'r', index([]), 'latest');
    const before = await at.keys();
    for (const path of [
      '/v2/r/manifests/../latest',
      '/v2/r/blobs/../../r/manifests/latest',
      `/v2/r/blobs/sha256:../../${digestOf(index([]))}`,
      '/v2/r/manifests/latest/',
      '/v2/r/manifests//latest',
      '/v2/%72/../r/manifests/latest',
      '/v2/r%2Fmanifests%2Flatest',
      '/v2/r/manifests%2Flatest',
      '/v2/..',
      '/v2/../v2/r/manifests/latest',
      '/v2/%2e%2e/v2/r/manifests/latest',
      '/v2/r/manifests/latest%00.json',
      '/v2/r;x=1/manifests/latest',
    ]) {
      for (const method of ['GET', 'DELETE', 'PUT']) {
        const { status } = await at.send(method, path);
        assert.ok(status >= 400 && status < 500, `${method} ${path}: ${status}`);
      }
    }
    assert.deepEqual(await at.keys(), before);
  });

  test('bytes that are no part of a path are refused by the server, and the next is answered', async () => {
    const at = await open();
    assert.equal((await at.send('GET', '/v2/\u00e4/tags/list')).status, 400);
    answered(await at.send('GET', '/v2/'), 200);
  });

  test('a path longer than the server takes is refused, and the next is answered', async () => {
    const at = await open();
    const { status } = await at.send('GET', `/v2/${'a/'.repeat(20_000)}manifests/latest`);
    assert.equal(status, 431);
    answered(await at.send('GET', '/v2/'), 200);
  });

  test('of a parameter given twice the first counts', async () => {
    const at = await open();
    for (const tag of ['a', 'b', 'c']) await pushManifest(at, 'r', index([]), tag);
    const list = await at.send('GET', '/v2/r/tags/list?n=1&n=x&last=a&last=b');
    assert.deepEqual(json(list), { name: 'r', tags: ['b'] });
    refused(await at.send('GET', '/v2/r/tags/list?n=x&n=1'), 400, 'PAGINATION_NUMBER_INVALID');
    const [first, second] = [digestOf('first'), digestOf('second')];
    const path = `/v2/r/blobs/uploads/?digest=${first}&digest=${second}`;
    refused(await at.send('POST', path, { body: 'second' }), 400, 'DIGEST_INVALID');
    const answer = answered(await at.send('POST', path, { body: 'first' }), 201);
    assert.equal(answer.headers['docker-content-digest'], first);
  });

  test('parameters with odd names and encodings break nothing', async () => {
    const at = await open();
    for (const query of ['__proto__=1', 'n[]=1', 'n%00=1', '%', '%ff=%ff', '&&&', '=', 'constructor=1&toString=2']) {
      for (const path of ['/v2/', '/v2/_catalog']) answered(await at.send('GET', `${path}?${query}`), 200);
      refused(await at.send('GET', `/v2/r/tags/list?${query}`), 404, 'NAME_UNKNOWN');
    }
  });
};
