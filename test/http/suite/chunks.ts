// Chunks: in order, out of order, with wrong sizes, at once, on two hosts, and after the client went away.
import assert from 'node:assert/strict';
import { content, digestOf } from '../../support/content.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, refused, withQuery } from './answers.js';
import type { Suite } from './index.js';
import { beginUpload, created, sessionOf } from './uploads.js';

const SECRET = { http: { secret: 'the same on every host' } };

function patch(at: OpenRegistry, session: string, body: string | Uint8Array, range?: string) {
  return at.send('PATCH', session, { body, headers: range === undefined ? {} : { 'Content-Range': range } });
}

/** How many bytes a session says that it has; it must have none or more than one. */
async function received(at: OpenRegistry, path: string): Promise<number> {
  const answer = empty(await at.send('GET', path), 204);
  const last = Number(/^0-(\d+)$/.exec(String(answer.headers.range))?.[1]);
  return last === 0 ? 0 : last + 1;
}

/** Sends what is left of a blob, as a client does that lost its connection: it asks, and goes on from there. */
export async function resume(at: OpenRegistry, path: string, bytes: Uint8Array): Promise<void> {
  for (;;) {
    const start = await received(at, path);
    const rest = bytes.subarray(start);
    const answer = await patch(at, path, rest, `${start}-${bytes.length - 1}`);
    // The server may only just have noticed that the client before was gone.
    if (answer.status === 416) continue;
    const done = await at.send('PUT', withQuery(sessionOf(at, empty(answer, 202)), { digest: digestOf(bytes) }));
    return created(at, done, digestOf(bytes), bytes);
  }
}

export const chunksSuite: Suite = (test, open) => {
  test('chunks in order, the last in the PUT', async () => {
    const at = await open();
    const bytes = content(3000);
    const first = empty(await patch(at, await beginUpload(at, 'r'), bytes.subarray(0, 1000), '0-999'), 202);
    assert.equal(first.headers.range, '0-999');
    assert.ok(first.headers['docker-upload-uuid']);
    const second = empty(await patch(at, sessionOf(at, first), bytes.subarray(1000, 2000), '1000-1999'), 202);
    assert.equal(second.headers.range, '0-1999');
    const answer = await at.send('PUT', withQuery(sessionOf(at, second), { digest: digestOf(bytes) }), {
      body: bytes.subarray(2000),
      headers: { 'Content-Range': '2000-2999' },
    });
    await created(at, answer, digestOf(bytes), bytes);
  });

  test('a range with a unit is tolerated', async () => {
    const at = await open();
    const first = empty(await patch(at, await beginUpload(at, 'r'), 'abc', 'bytes 0-2/*'), 202);
    const second = empty(await patch(at, sessionOf(at, first), 'def', 'bytes 3-5/6'), 202);
    assert.equal(second.headers.range, '0-5');
  });

  test('an empty PATCH changes nothing', async () => {
    const at = await open();
    const answer = empty(await patch(at, await beginUpload(at, 'r'), ''), 202);
    assert.equal(answer.headers.range, '0-0');
    empty(await at.send('PUT', withQuery(sessionOf(at, answer), { digest: digestOf('') })), 201);
  });

  test('GET says how far a session is, with its state or without', async () => {
    const at = await open();
    const patched = await patch(at, await beginUpload(at, 'r'), 'abcd');
    for (const path of [sessionOf(at, patched), String(sessionOf(at, patched).split('?')[0])]) {
      const answer = empty(await at.send('GET', path), 204);
      assert.equal(answer.headers.range, '0-3');
      assert.equal(answer.headers['docker-upload-uuid'], patched.headers['docker-upload-uuid']);
      empty(await at.send('GET', sessionOf(at, answer)), 204);
    }
  });

  test('a session goes on without its state', async () => {
    const at = await open();
    const [path = ''] = (await beginUpload(at, 'r')).split('?');
    empty(await patch(at, path, 'ab'), 202);
    empty(await patch(at, path, 'cd', '2-3'), 202);
    empty(await at.send('PUT', `${path}?digest=${digestOf('abcdef')}`, { body: 'ef' }), 201);
  });

  for (const [start, range] of Object.entries({ later: '5-7', earlier: '0-2', 'the last byte': '2-4' })) {
    test(`a chunk that begins ${start} is 416, says where the session is, and may be sent right`, async () => {
      const at = await open();
      const session = sessionOf(at, await patch(at, await beginUpload(at, 'r'), 'abc', '0-2'));
      const wrong = await patch(at, session, 'def', range);
      refused(wrong, 416, 'RANGE_INVALID');
      assert.equal(wrong.headers.range, '0-2');
      const put = await at.send('PUT', withQuery(session, { digest: digestOf('abcdef') }), {
        body: 'def',
        headers: { 'Content-Range': range },
      });
      refused(put, 416, 'RANGE_INVALID');
      assert.equal(put.headers.range, '0-2');
      const right = empty(await patch(at, sessionOf(at, wrong), 'def', '3-5'), 202);
      empty(await at.send('PUT', withQuery(sessionOf(at, right), { digest: digestOf('abcdef') })), 201);
    });
  }

  test('a first chunk that does not begin at 0 is 416', async () => {
    const at = await open();
    const answer = await patch(at, await beginUpload(at, 'r'), 'abc', '1-3');
    refused(answer, 416, 'RANGE_INVALID');
    assert.equal(answer.headers.range, '0-0');
    empty(await patch(at, sessionOf(at, answer), 'abc', '0-2'), 202);
  });

  test('a stream sent again from a state that is outdated is 416', async () => {
    const at = await open();
    const session = await beginUpload(at, 'r');
    empty(await patch(at, session, 'abc'), 202);
    const again = await patch(at, session, 'abc');
    refused(again, 416, 'RANGE_INVALID');
    assert.equal(again.headers.range, '0-2');
  });

  test('a length that is not the span is refused, and the session lives on', async () => {
    const at = await open();
    const session = await beginUpload(at, 'r');
    for (const [body, range] of [
      ['abc', '0-1'],
      ['abc', '0-9'],
    ] as const) {
      const answer = await patch(at, session, body, range);
      refused(answer, 400, 'SIZE_INVALID');
      assert.equal(answer.headers.range, '0-0');
      assert.equal(await received(at, sessionOf(at, answer)), 0);
    }
    empty(await patch(at, session, 'abc', '0-2'), 202);
  });

  test('a chunked body that is not as long as its span is refused, and the session can go on', async () => {
    const at = await open();
    for (const [body, range] of [
      ['abcdef', '0-2'],
      ['abc', '0-5'],
    ] as const) {
      const session = await beginUpload(at, 'r');
      const answer = await at.send('PATCH', session, {
        body: [Buffer.from(body)],
        headers: { 'Content-Range': range },
      });
      refused(answer, 400, 'SIZE_INVALID');
      assert.equal(await received(at, session), 3);
      await resume(at, String(session.split('?')[0]), Buffer.from('abcdef'));
    }
  });

  test('of two chunks at once for one place one is taken', async () => {
    const at = await open();
    const session = await beginUpload(at, 'r');
    const answers = await Promise.all([patch(at, session, 'abc', '0-2'), patch(at, session, 'abc', '0-2')]);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [202, 416]);
    empty(await at.send('PUT', withQuery(session, { digest: digestOf('abc') })), 201);
  });

  test('each request of an upload may go to another host', async () => {
    const first = await open(SECRET);
    const second = await open({ ...SECRET, driver: first.storage });
    const bytes = content(5000);
    const session = await beginUpload(first, 'r');
    const one = empty(await patch(second, session, bytes.subarray(0, 2000), '0-1999'), 202);
    const two = empty(await patch(first, sessionOf(second, one), bytes.subarray(2000), '2000-4999'), 202);
    const answer = await second.send('PUT', withQuery(sessionOf(first, two), { digest: digestOf(bytes) }));
    await created(second, answer, digestOf(bytes), bytes);
    answered(await first.send('HEAD', `/v2/r/blobs/${digestOf(bytes)}`), 200);
  });

  test('a state that a host with another secret signed is refused', async () => {
    const first = await open(SECRET);
    const second = await open({ driver: first.storage, http: { secret: 'another' } });
    const session = await beginUpload(first, 'r');
    refused(await patch(second, session, 'abc'), 404, 'BLOB_UPLOAD_INVALID');
    empty(await patch(first, session, 'abc'), 202);
  });

  test('a client that goes away leaves a session that says how far it is and can go on', async () => {
    const at = await open();
    const bytes = content(300_000);
    const session = await beginUpload(at, 'r');
    const { write, abort } = at.begin('PATCH', session, { headers: { 'Content-Length': String(bytes.length) } });
    await write(bytes.subarray(0, 200_000));
    await abort();
    await resume(at, String(session.split('?')[0]), bytes);
  });

  test('a client that closes before it sent what it announced leaves a session that can go on', async () => {
    const at = await open();
    const bytes = content(50_000);
    const session = await beginUpload(at, 'r');
    const outgoing = at.begin('PATCH', session, { headers: { 'Content-Length': String(bytes.length) } });
    await outgoing.write(bytes.subarray(0, 20_000));
    outgoing.request.socket?.end();
    await outgoing.answer.catch(() => undefined);
    await resume(at, String(session.split('?')[0]), bytes);
  });
};
