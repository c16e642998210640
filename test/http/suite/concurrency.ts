// Many clients at once: each push counts, and none is half-seen.
import assert from 'node:assert/strict';
import {
  content,
  digestOf,
  image,
  index,
  pushBlob,
  pushImage,
  pushManifest,
  putManifest,
} from '../../support/content.js';
import { answered, empty, json, sameBytes, withQuery } from './answers.js';
import type { Suite } from './index.js';
import { referrersOf, SUBJECT } from './referrers.js';
import { beginUpload } from './uploads.js';

const CLIENTS = Array.from({ length: 12 }, (_, number) => number);

export const concurrencySuite: Suite = (test, open) => {
  test('many push the same blob', async () => {
    const at = await open();
    const bytes = content(300_000);
    await Promise.all(CLIENTS.map((client) => pushBlob(at, client % 2 === 0 ? 'even' : 'odd', bytes)));
    for (const name of ['even', 'odd']) {
      sameBytes(answered(await at.send('GET', `/v2/${name}/blobs/${digestOf(bytes)}`), 200).body, bytes);
    }
    assert.ok(!(await at.keys()).some((key) => key.includes('_uploads')));
  });

  test('many push different images to one repository', async () => {
    const at = await open();
    const digests = await Promise.all(CLIENTS.map((client) => pushImage(at, 'r', `v${client}`, client)));
    for (const client of CLIENTS) {
      const { headers } = answered(await at.send('GET', `/v2/r/manifests/v${client}`), 200);
      assert.equal(headers['docker-content-digest'], digests[client]);
    }
    assert.equal(json<{ tags: string[] }>(await at.send('GET', '/v2/r/tags/list')).tags.length, CLIENTS.length);
  });

  test('many move one tag: it leads to one of theirs', async () => {
    const at = await open();
    const documents = CLIENTS.map((client) => index([], { annotations: { client: `${client}` } }));
    const answers = await Promise.all(documents.map((document) => putManifest(at, 'r', 'latest', document)));
    for (const answer of answers) empty(answer, 201);
    const { body } = answered(await at.send('GET', '/v2/r/manifests/latest'), 200);
    assert.ok(documents.includes(body.toString()));
  });

  test('many refer to one subject: all are listed', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const pushes = CLIENTS.map((client) => pushManifest(at, 'r', image([], { subject: SUBJECT, client })));
    const digests = await Promise.all(pushes);
    const answer = answered(await at.send('GET', `/v2/r/referrers/${SUBJECT.digest}`), 200);
    assert.deepEqual(
      referrersOf(answer).map(({ digest }) => digest),
      digests.sort(),
    );
  });

  test('many finish one session: the blob is there, and nobody gets a 5xx', async () => {
    const at = await open();
    const session = await beginUpload(at, 'r');
    empty(await at.send('PATCH', session, { body: 'abc' }), 202);
    const finish = withQuery(String(session.split('?')[0]), { digest: digestOf('abc') });
    const statuses = await Promise.all(CLIENTS.map(async () => (await at.send('PUT', finish)).status));
    assert.ok(statuses.includes(201));
    assert.deepEqual(
      statuses.filter((status) => status !== 201 && status !== 404),
      [],
    );
    answered(await at.send('GET', `/v2/r/blobs/${digestOf('abc')}`), 200);
  });

  test('what is being pushed is not seen by half', async () => {
    const at = await open();
    const bytes = content(200_000);
    const { write, request, answer } = at.begin('POST', `/v2/r/blobs/uploads/?digest=${digestOf(bytes)}`, {
      headers: { 'Content-Length': String(bytes.length) },
    });
    await write(bytes.subarray(0, 150_000));
    assert.equal((await at.send('HEAD', `/v2/r/blobs/${digestOf(bytes)}`)).status, 404);
    request.end(bytes.subarray(150_000));
    empty(await answer, 201);
    sameBytes((await at.send('GET', `/v2/r/blobs/${digestOf(bytes)}`)).body, bytes);
  });
};
