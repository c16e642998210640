// Upload sessions: how they begin, how they end, and who may speak to them.
import assert from 'node:assert/strict';
import { content, digestOf, NOWHERE, pushBlob } from '../../support/content.js';
import type { Answer } from '../../support/http-client.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, json, refused, sameBytes, withQuery } from './answers.js';
import type { Suite } from './index.js';

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/** Begins a session; answers its path. */
export async function beginUpload(at: OpenRegistry, repository: string, query = ''): Promise<string> {
  return sessionOf(at, empty(await at.send('POST', `/v2/${repository}/blobs/uploads/${query}`), 202));
}

/** The path of the session that an answer's `Location` leads to. */
export function sessionOf(at: OpenRegistry, { headers }: Answer): string {
  return at.within(headers.location);
}

/** Asserts that an answer says that the blob is there, and that its `Location` leads to it. */
export async function created(at: OpenRegistry, answer: Answer, digest: string, bytes: Uint8Array): Promise<void> {
  empty(answer, 201);
  assert.equal(answer.headers['docker-content-digest'], digest);
  const blob = answered(await at.send('GET', at.within(answer.headers.location)), 200);
  sameBytes(blob.body, bytes);
}

export const uploadsSuite: Suite = (test, open) => {
  test('POST begins a session', async () => {
    const at = await open();
    const answer = empty(await at.send('POST', '/v2/r/blobs/uploads/'), 202);
    const uuid = String(answer.headers['docker-upload-uuid']);
    assert.match(uuid, UUID);
    assert.ok(sessionOf(at, answer).startsWith(`/v2/r/blobs/uploads/${uuid}?_state=`));
    assert.equal(answer.headers.range, '0-0');
    assert.equal(answer.headers['oci-chunk-min-length'], '1');
  });

  test('the least chunk is told as the options say', async () => {
    const at = await open({ uploads: { minChunkBytes: '5MiB' } });
    const answer = await at.send('POST', '/v2/r/blobs/uploads/');
    assert.equal(answer.headers['oci-chunk-min-length'], String(5 << 20));
  });

  test('POST, then PUT with everything', async () => {
    const at = await open();
    const bytes = content(70_000);
    const session = await beginUpload(at, 'r');
    const answer = await at.send('PUT', withQuery(session, { digest: digestOf(bytes) }), { body: bytes });
    await created(at, answer, digestOf(bytes), bytes);
    refused(await at.send('GET', session), 404, 'BLOB_UPLOAD_UNKNOWN');
  });

  test('POST, one PATCH as a stream, then an empty PUT', async () => {
    const at = await open();
    const bytes = content(700_000);
    const patched = await at.send('PATCH', await beginUpload(at, 'r'), { body: [bytes] });
    empty(patched, 202);
    assert.equal(patched.headers.range, '0-699999');
    const answer = await at.send('PUT', withQuery(sessionOf(at, patched), { digest: digestOf(bytes) }));
    await created(at, answer, digestOf(bytes), bytes);
  });

  test('POST with a digest and a body is the whole push', async () => {
    const at = await open();
    const bytes = content(1000);
    const answer = await at.send('POST', `/v2/r/blobs/uploads/?digest=${digestOf(bytes)}`, { body: bytes });
    await created(at, answer, digestOf(bytes), bytes);
    assert.ok(!(await at.keys()).some((key) => key.includes('_uploads')), 'a session was left behind');
  });

  test('POST with a digest but no body begins a session', async () => {
    const at = await open();
    const session = await beginUpload(at, 'r', `?digest=${digestOf('x')}`);
    await created(
      at,
      await at.send('PUT', withQuery(session, { digest: digestOf('x') }), { body: 'x' }),
      digestOf('x'),
      Buffer.from('x'),
    );
  });

  test('POST of the whole with another digest stores nothing', async () => {
    const at = await open();
    refused(await at.send('POST', `/v2/r/blobs/uploads/?digest=${NOWHERE}`, { body: 'x' }), 400, 'DIGEST_INVALID');
    assert.deepEqual(await at.keys(), []);
  });

  test('POST of the whole with a bad range stores nothing', async () => {
    const at = await open();
    const options = { body: 'x', headers: { 'Content-Range': 'nonsense' } };
    const path = `/v2/r/blobs/uploads/?digest=${digestOf('x')}`;
    refused(await at.send('POST', path, options), 400, 'SIZE_INVALID');
    assert.deepEqual(await at.keys(), []);
  });

  test('a zero-byte blob, in one request and in two', async () => {
    const at = await open();
    await pushBlob(at, 'one', '');
    const session = await beginUpload(at, 'two');
    const answer = await at.send('PUT', withQuery(session, { digest: digestOf('') }));
    await created(at, answer, digestOf(''), Buffer.alloc(0));
    const got = answered(await at.send('GET', `/v2/one/blobs/${digestOf('')}`), 200);
    assert.equal(got.headers['content-length'], '0');
  });

  for (const query of ['?digest-algorithm=sha512', '']) {
    test(`a sha512 blob${query === '' ? ' in a session that did not say so' : ''}`, async () => {
      const at = await open();
      const bytes = content(5000);
      const patched = empty(await at.send('PATCH', await beginUpload(at, 'r', query), { body: bytes }), 202);
      const digest = digestOf(bytes, 'sha512');
      await created(at, await at.send('PUT', withQuery(sessionOf(at, patched), { digest })), digest, bytes);
    });
  }

  test('an algorithm that nobody registered is refused', async () => {
    const at = await open();
    for (const query of ['digest-algorithm=md5', 'digest-algorithm=', 'digest-algorithm=__proto__', 'digest=md5:00']) {
      refused(await at.send('POST', `/v2/r/blobs/uploads/?${query}`, { body: 'x' }), 400, 'DIGEST_INVALID');
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('a blob may be pushed again', async () => {
    const at = await open();
    await pushBlob(at, 'r', 'twice');
    await pushBlob(at, 'r', 'twice');
    assert.equal((await at.send('GET', `/v2/r/blobs/${digestOf('twice')}`)).body.toString(), 'twice');
  });

  test('PUT without a digest, or with a malformed one, is refused and the session lives on', async () => {
    const at = await open();
    const session = sessionOf(at, await at.send('PATCH', await beginUpload(at, 'r'), { body: 'abc' }));
    refused(await at.send('PUT', session), 400, 'DIGEST_INVALID');
    for (const digest of ['', 'abc', 'sha256:zzz', 'md5:00', `sha256:${'0'.repeat(63)}`]) {
      refused(await at.send('PUT', withQuery(session, { digest })), 400, 'DIGEST_INVALID');
    }
    empty(await at.send('PUT', withQuery(session, { digest: digestOf('abc') })), 201);
  });

  test('PUT with another digest ends the session and stores nothing', async () => {
    const at = await open();
    const session = sessionOf(at, await at.send('PATCH', await beginUpload(at, 'r'), { body: 'abc' }));
    refused(await at.send('PUT', withQuery(session, { digest: NOWHERE })), 400, 'DIGEST_INVALID');
    refused(await at.send('GET', session), 404, 'BLOB_UPLOAD_UNKNOWN');
    assert.deepEqual(await at.keys(), []);
  });

  test('DELETE ends a session and gives back what it held', async () => {
    const at = await open();
    const session = sessionOf(at, await at.send('PATCH', await beginUpload(at, 'r'), { body: 'abc' }));
    empty(await at.send('DELETE', session), 204);
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      refused(await at.send(method, session), 404, 'BLOB_UPLOAD_UNKNOWN');
    }
    const put = await at.send('PUT', withQuery(session, { digest: digestOf('abc') }));
    refused(put, 404, 'BLOB_UPLOAD_UNKNOWN');
    assert.deepEqual(await at.keys(), []);
  });

  test('a session that never was is unknown', async () => {
    const at = await open();
    for (const uuid of ['00000000-0000-4000-8000-000000000000', 'x', '..', '%2e%2e', `${'a'.repeat(300)}`]) {
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        refused(await at.send(method, `/v2/r/blobs/uploads/${uuid}`), 404, 'BLOB_UPLOAD_UNKNOWN');
      }
    }
  });

  test('a session is of its repository alone', async () => {
    const at = await open();
    const session = await beginUpload(at, 'mine');
    const [path = ''] = session.replace('/mine/', '/yours/').split('?');
    refused(await at.send('GET', path), 404, 'BLOB_UPLOAD_UNKNOWN');
    refused(await at.send('PATCH', session.replace('/mine/', '/yours/'), { body: 'x' }), 404, 'BLOB_UPLOAD_INVALID');
  });

  test('a state that was tampered with, or is of another session, is refused and the session lives on', async () => {
    const at = await open();
    const [session, other] = [await beginUpload(at, 'r'), await beginUpload(at, 'r')];
    const [path = '', state = ''] = session.split('?_state=');
    const flipped = `${state[0] === 'A' ? 'B' : 'A'}${state.slice(1)}`;
    for (const bad of [flipped, '', 'x', state.slice(0, -4), '%00', `${state}AAAA`, other.split('?_state=')[1]]) {
      for (const method of ['PATCH', 'PUT', 'GET', 'DELETE']) {
        const target = `${path}?_state=${bad}&digest=${digestOf('x')}`;
        refused(await at.send(method, target), 404, 'BLOB_UPLOAD_INVALID');
      }
    }
    empty(await at.send('PUT', withQuery(session, { digest: digestOf('x') }), { body: 'x' }), 201);
  });

  test('a single POST of a blob of no bytes needs no body', async () => {
    const at = await open();
    const digest = digestOf('');
    await created(at, await at.send('POST', `/v2/hollow/blobs/uploads/?digest=${digest}`), digest, Buffer.alloc(0));
    const other = await at.send('POST', `/v2/hollow/blobs/uploads/?digest=${digestOf('x')}`);
    assert.equal(empty(other, 202).headers['docker-content-digest'], undefined);
  });

  test('an upload under way makes no repository', async () => {
    const at = await open();
    await beginUpload(at, 'young');
    refused(await at.send('GET', '/v2/young/tags/list'), 404, 'NAME_UNKNOWN');
    assert.deepEqual(json(await at.send('GET', '/v2/_catalog')), { repositories: [] });
  });
};
