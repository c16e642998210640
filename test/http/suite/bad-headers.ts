// Headers that no good client sends: each is refused or ignored, and the server answers the next request.
import assert from 'node:assert/strict';
import { digestOf, index, OCI_INDEX, pushManifest } from '../../support/content.js';
import { answered, empty, refused, withQuery } from './answers.js';
import type { Suite } from './index.js';
import { beginUpload } from './uploads.js';

const BAD_CONTENT_RANGES = [
  '',
  'x',
  '5',
  '-',
  '-5',
  '0-',
  '5-3',
  '0 - 9',
  '+0-9',
  '-0-9',
  '0x0-0x9',
  '0.0-9.0',
  '1e1-2e1',
  '0-9-9',
  '0-9,10-19',
  '0-9, 0-9',
  'bytes',
  'bytes 0-9/',
  'bytes */10',
  'items 0-9',
  'bytes 0-9/x',
  '0-99999999999999999999',
  '99999999999999999999-99999999999999999999',
  '٠-٩',
  '0-9'.repeat(2000),
  '0'.repeat(8000),
];

export const badHeadersSuite: Suite = (test, open) => {
  test('a malformed Content-Range is 400, and the session survives it', async () => {
    const at = await open();
    const session = await beginUpload(at, 'r');
    for (const range of BAD_CONTENT_RANGES) {
      const headers = { 'Content-Range': Buffer.from(range).toString('latin1') };
      for (const [method, path] of [
        ['PATCH', session],
        ['PUT', withQuery(session, { digest: digestOf('0123456789') })],
      ] as const) {
        const answer = await at.send(method, path, { body: '0123456789', headers });
        assert.equal(answer.status, 400, `${method} ${range.slice(0, 80)}: ${answer.status}`);
        refused(answer, 400, 'SIZE_INVALID');
      }
    }
    const done = withQuery(session, { digest: digestOf('0123456789') });
    empty(await at.send('PUT', done, { body: '0123456789', headers: { 'Content-Range': '0-9' } }), 201);
  });

  test('a range that would end where no blob can is refused', async () => {
    const at = await open();
    const session = await beginUpload(at, 'r');
    const headers = { 'Content-Range': `0-${Number.MAX_SAFE_INTEGER}` };
    refused(await at.send('PATCH', session, { body: 'x', headers }), 400, 'SIZE_INVALID');
    refused(
      await at.send('PATCH', session, {
        body: 'x',
        headers: { 'Content-Range': `${Number.MAX_SAFE_INTEGER}-${Number.MAX_SAFE_INTEGER}` },
      }),
      416,
      'RANGE_INVALID',
    );
  });

  test('two Content-Range headers are malformed', async () => {
    const at = await open();
    const session = await beginUpload(at, 'r');
    const headers = { 'Content-Range': ['0-0', '0-0'] };
    refused(await at.send('PATCH', session, { body: 'x', headers }), 400, 'SIZE_INVALID');
  });

  test('garbage in headers that do not matter does not matter', async () => {
    const at = await open();
    const digest = await pushManifest(at, 'r', index([]), 'latest');
    const garbage = [
      '',
      '\u00ff\u00fe',
      ',;="\\',
      '('.repeat(4000),
      '*/*;q=x',
      '"'.repeat(999),
      `${'a,'.repeat(4000)}`,
    ];
    for (const name of [
      'Accept',
      'If-None-Match',
      'Range',
      'If-Range',
      'Content-Type',
      'Forwarded',
      'X-Forwarded-Host',
    ]) {
      for (const value of garbage) {
        const answer = await at.send('GET', '/v2/r/manifests/latest', { headers: { [name]: value } });
        assert.equal(answered(answer, 200).headers['docker-content-digest'], digest);
        answered(await at.send('POST', '/v2/r/blobs/uploads/', { headers: { [name]: value } }), 202);
      }
    }
  });

  test('a Content-Type that is garbage is refused by a push', async () => {
    const at = await open();
    for (const type of ['\u00ff', ',', 'a/b/c', `${OCI_INDEX}, ${OCI_INDEX}`, 'x'.repeat(9000)]) {
      const options = { body: index([]), headers: { 'Content-Type': type } };
      refused(await at.send('PUT', '/v2/r/manifests/v1', options), 400, 'MANIFEST_INVALID');
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('a body where none is asked for is not minded', async () => {
    const at = await open();
    const digest = await pushManifest(at, 'r', index([]), 'latest');
    for (const body of ['x', 'x'.repeat(200_000)]) {
      answered(await at.send('GET', '/v2/', { body }), 200);
      answered(await at.send('GET', `/v2/r/manifests/${digest}`, { body }), 200);
      answered(await at.send('POST', '/v2/r/blobs/uploads/', { body }), 202);
    }
    empty(await at.send('DELETE', '/v2/r/manifests/latest', { body: 'x' }), 202);
  });
};
