// A registry that refuses every change, from the start or from some moment on.
import assert from 'node:assert/strict';
import { digestOf, index, NOWHERE, pushImage, putManifest } from '../../support/content.js';
import { allowed, answered, empty, refused } from './answers.js';
import type { Suite } from './index.js';
import { beginUpload } from './uploads.js';

const SESSION = '/v2/r/blobs/uploads/00000000-0000-4000-8000-000000000000';

/** Every write, and what the path still allows. */
const WRITES: readonly (readonly [method: string, path: string, allow: string])[] = [
  ['PUT', '/v2/r/manifests/latest', 'GET HEAD'],
  ['DELETE', '/v2/r/manifests/latest', 'GET HEAD'],
  ['DELETE', `/v2/r/manifests/${NOWHERE}`, 'GET HEAD'],
  ['DELETE', `/v2/r/blobs/${digestOf('{}')}`, 'GET HEAD'],
  ['POST', '/v2/r/blobs/uploads/', ''],
  ['POST', `/v2/r/blobs/uploads/?mount=${digestOf('{}')}&from=r`, ''],
  ['POST', `/v2/r/blobs/uploads/?digest=${digestOf('x')}`, ''],
  ['PATCH', SESSION, 'GET HEAD'],
  ['PUT', `${SESSION}?digest=${digestOf('x')}`, 'GET HEAD'],
  ['DELETE', SESSION, 'GET HEAD'],
];

export const readOnlySuite: Suite = (test, open) => {
  test('every write is 405 and changes nothing; every read is answered', async () => {
    const writable = await open();
    const digest = await pushImage(writable, 'r', 'latest');
    const at = await open({ driver: writable.storage, readOnly: true });
    const before = await at.keys();
    for (const [method, path, allow] of WRITES) {
      const answer = await at.send(method, path, { body: 'x' });
      assert.equal(answer.status, 405, `${method} ${path}`);
      refused(answer, 405, 'UNSUPPORTED');
      assert.equal(answer.headers.allow === undefined ? undefined : allowed(answer), allow, `${method} ${path}`);
    }
    assert.deepEqual(await at.keys(), before);
    const reads = [
      'manifests/latest',
      `manifests/${digest}`,
      `blobs/${digestOf('{}')}`,
      'tags/list',
      `referrers/${digest}`,
    ];
    for (const path of ['/v2/', '/v2/_catalog', ...reads.map((part) => `/v2/r/${part}`)]) {
      for (const method of ['GET', 'HEAD']) answered(await at.send(method, path), 200);
    }
  });

  test('it can be switched while the registry runs', async () => {
    const at = await open();
    assert.equal(at.registry.readOnly, false);
    empty(await putManifest(at, 'r', 'v1', index([])), 201);
    const session = await beginUpload(at, 'r');
    at.registry.readOnly = true;
    assert.equal(at.registry.readOnly, true);
    refused(await putManifest(at, 'r', 'v2', index([])), 405, 'UNSUPPORTED');
    refused(await at.send('PATCH', session, { body: 'x' }), 405, 'UNSUPPORTED');
    empty(await at.send('GET', session), 204);
    at.registry.readOnly = false;
    empty(await at.send('PATCH', session, { body: 'x' }), 202);
    empty(await putManifest(at, 'r', 'v2', index([])), 201);
  });
};
