// Mounting a blob that another repository has.
import assert from 'node:assert/strict';
import { digestOf, NOWHERE, pushBlob } from '../../support/content.js';
import { answered, empty, refused, withQuery } from './answers.js';
import type { Suite } from './index.js';
import { created, sessionOf } from './uploads.js';

export const mountsSuite: Suite = (test, open) => {
  test('a blob of another repository is mounted', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'source', 'shared');
    const answer = await at.send('POST', `/v2/target/blobs/uploads/?mount=${digest}&from=source`);
    await created(at, answer, digest, Buffer.from('shared'));
    assert.ok(at.within(answer.headers.location).startsWith('/v2/target/blobs/'));
  });

  test('a blob that the source does not have begins a session', async () => {
    const at = await open();
    await pushBlob(at, 'elsewhere', 'shared');
    for (const query of [`mount=${digestOf('shared')}&from=source`, `mount=${NOWHERE}&from=elsewhere`]) {
      const answer = empty(await at.send('POST', `/v2/target/blobs/uploads/?${query}`), 202);
      assert.equal(answer.headers.range, '0-0');
      const put = withQuery(sessionOf(at, answer), { digest: digestOf('x') });
      empty(await at.send('PUT', put, { body: 'x' }), 201);
    }
    refused(await at.send('GET', `/v2/target/blobs/${digestOf('shared')}`), 404, 'BLOB_UNKNOWN');
  });

  test('a source that is no name begins a session', async () => {
    const at = await open();
    for (const from of ['', '..', 'A', '%2e%2e%2fx', 'a'.repeat(300)]) {
      empty(await at.send('POST', `/v2/target/blobs/uploads/?mount=${NOWHERE}&from=${from}`), 202);
    }
  });

  test('without a source the blob is found where it was seen, or a session begins', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'source', 'shared');
    empty(await at.send('POST', `/v2/target/blobs/uploads/?mount=${NOWHERE}`), 202);
    const answer = await at.send('POST', `/v2/target/blobs/uploads/?mount=${digest}`);
    await created(at, answer, digest, Buffer.from('shared'));
  });

  test('a mount of what the repository has already is 201', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', 'mine');
    empty(await at.send('POST', `/v2/r/blobs/uploads/?mount=${digest}&from=r`), 201);
  });

  test('a digest that is malformed is refused', async () => {
    const at = await open();
    for (const mount of ['', 'x', 'sha256:zzz', 'latest']) {
      const path = `/v2/target/blobs/uploads/?mount=${mount}&from=source`;
      refused(await at.send('POST', path), 400, 'DIGEST_INVALID');
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('a mounted blob stays when its source gives it up', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'source', 'shared');
    empty(await at.send('POST', `/v2/target/blobs/uploads/?mount=${digest}&from=source`), 201);
    empty(await at.send('DELETE', `/v2/source/blobs/${digest}`), 202);
    refused(await at.send('GET', `/v2/source/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
    answered(await at.send('GET', `/v2/target/blobs/${digest}`), 200);
    empty(await at.send('POST', `/v2/third/blobs/uploads/?mount=${digest}&from=source`), 202);
  });
};
