// Bodies that are wrong, stop half-way or come too slowly: refused, nothing is stored, nothing stays open.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { content, digestOf, image, index, NOWHERE, OCI_IMAGE, OCI_INDEX, pushBlob } from '../../support/content.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, refused } from './answers.js';
import { resume } from './chunks.js';
import type { Suite } from './index.js';
import { beginUpload } from './uploads.js';

const CONFIG = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: NOWHERE, size: 2 };

/** Documents that are no manifests, and their Content-Type. */
const BAD_MANIFESTS: Readonly<Record<string, readonly [body: string, type?: string]>> = {
  nothing: [''],
  'no JSON': ['no JSON'],
  'JSON that is cut off': [index([]).slice(0, -1)],
  'an array': ['[]'],
  'a string': ['"x"'],
  null: ['null'],
  'an empty object': ['{}'],
  'deep nesting': ['['.repeat(100_000)],
  'a type that nobody knows': [index([], { mediaType: 'application/json' }), 'application/json'],
  'a mediaType that is no string': [index([], { mediaType: 5 })],
  'another schema version': [index([], { schemaVersion: 1 })],
  'no schema version': [index([], { schemaVersion: undefined })],
  'manifests that are no array': [index([], { manifests: {} })],
  'a child without a digest': [index([{ mediaType: OCI_IMAGE, size: 1 }])],
  'a child with a bad digest': [index([{ mediaType: OCI_IMAGE, size: 1, digest: 'sha256:../..' }])],
  'a child with a bad size': [index([{ mediaType: OCI_IMAGE, size: -1, digest: NOWHERE }])],
  'a child without a type': [index([{ size: 1, digest: NOWHERE }])],
  'a child that is null': [index([null as unknown as object])],
  'an image without a config': [image([], { config: undefined }), OCI_IMAGE],
  'layers that are no descriptors': [image([], { layers: ['x'] }), OCI_IMAGE],
  'an image that is an index too': [image([], { manifests: [] }), OCI_IMAGE],
  'an index that is an image too': [index([], { config: CONFIG, layers: [] })],
  'a subject that is no descriptor': [index([], { subject: 'x' })],
  'a subject with a bad digest': [index([], { subject: { ...CONFIG, digest: 'x' } })],
  'annotations that are no strings': [index([], { annotations: { a: 1 } })],
  'an artifactType that is no media type': [index([], { artifactType: '../..' })],
};

/** Waits until nothing is stored: a server notices that a client went away when it gets to it. */
async function nothingStored(at: OpenRegistry): Promise<void> {
  const patience = Date.now() + 10_000;
  for (let keys = await at.keys(); keys.length > 0; keys = await at.keys()) {
    if (Date.now() > patience) assert.deepEqual(keys, []);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Sends half of a body, and has the connection closed. */
async function sendHalf(at: OpenRegistry, method: string, path: string, bytes: Uint8Array): Promise<void> {
  const headers = { 'Content-Length': String(bytes.length), 'Content-Type': OCI_INDEX };
  const { write, abort } = at.begin(method, path, { headers });
  await write(bytes.subarray(0, bytes.length / 2));
  await abort();
}

export const badBodiesSuite: Suite = (test, open) => {
  for (const [what, [body, type = OCI_INDEX]] of Object.entries(BAD_MANIFESTS)) {
    test(`a manifest that is ${what} is refused`, async () => {
      const at = await open();
      const headers = { 'Content-Type': type };
      refused(await at.send('PUT', '/v2/r/manifests/v1', { body, headers }), 400, 'MANIFEST_INVALID');
      const path = `/v2/r/manifests/${digestOf(body)}`;
      refused(await at.send('PUT', path, { body: [Buffer.from(body)], headers }), 400, 'MANIFEST_INVALID');
      assert.deepEqual(await at.keys(), []);
    });
  }

  test('a manifest that never comes whole stores nothing', async () => {
    const at = await open();
    await sendHalf(at, 'PUT', '/v2/r/manifests/v1', Buffer.from(index([])));
    refused(await at.send('GET', '/v2/r/manifests/v1'), 404, 'MANIFEST_UNKNOWN');
    assert.deepEqual(await at.keys(), []);
  });

  test('a whole blob in one request that never comes whole stores nothing', async () => {
    const at = await open();
    const bytes = content(100_000);
    await sendHalf(at, 'POST', `/v2/r/blobs/uploads/?digest=${digestOf(bytes)}`, bytes);
    await nothingStored(at);
    answered(await at.send('GET', '/v2/'), 200);
  });

  test('a last chunk that never comes whole makes no blob, and the session can go on', async () => {
    const at = await open();
    const bytes = content(100_000);
    const session = await beginUpload(at, 'r');
    await sendHalf(at, 'PUT', `${session}&digest=${digestOf(bytes)}`, bytes);
    refused(await at.send('GET', `/v2/r/blobs/${digestOf(bytes)}`), 404, 'BLOB_UNKNOWN');
    await resume(at, String(session.split('?')[0]), bytes);
  });

  for (const [method, path] of [
    ['PUT', '/v2/r/manifests/v1'],
    ['POST', `/v2/r/blobs/uploads/?digest=${NOWHERE}`],
  ] as const) {
    test(`a client that stops sending to ${method} ${path.slice(0, 20)}… is 408, and nothing is stored`, async () => {
      const at = await open({ http: { bodyTimeout: 30 } });
      const { answer, write, abort } = at.begin(method, path, { headers: { 'Content-Length': '1000' } });
      await write(Buffer.from('{'));
      refused(await answer, 408, 'SIZE_INVALID');
      await abort();
      await nothingStored(at);
    });
  }

  test('a client that stops sending a chunk is 408, and the session can go on', async () => {
    const at = await open({ http: { bodyTimeout: 30 } });
    const bytes = content(5000);
    const session = await beginUpload(at, 'r');
    const { answer, write, abort } = at.begin('PATCH', session, { headers: { 'Content-Length': '5000' } });
    await write(bytes.subarray(0, 2000));
    const stopped = await answer;
    refused(stopped, 408, 'SIZE_INVALID');
    assert.equal(stopped.headers.range, '0-1999');
    await abort();
    await resume(at, at.within(stopped.headers.location), bytes);
  });

  test('a client that sends slowly, but sends, is served', async () => {
    const at = await open({ http: { bodyTimeout: 2000 } });
    const bytes = content(50);
    const { answer, write, request } = at.begin('POST', `/v2/r/blobs/uploads/?digest=${digestOf(bytes)}`, {
      headers: { 'Content-Length': '50' },
    });
    for (const byte of bytes) await write(Buffer.of(byte));
    request.end();
    empty(await answer, 201);
  });

  test('an answer to a body that nobody wants reaches a client that is still sending', async () => {
    const at = await open();
    const body = Buffer.alloc(9 << 20, ' ');
    refused(await at.send('PUT', '/v2/r/manifests/v1', { body }), 413, 'MANIFEST_INVALID');
    refused(await at.send('PUT', '/v2/A/manifests/v1', { body }), 400, 'NAME_INVALID');
    refused(await at.send('PATCH', '/v2/r/blobs/uploads/none', { body }), 404, 'BLOB_UPLOAD_UNKNOWN');
    assert.deepEqual(await at.keys(), []);
  });

  test('a connection goes on after an answer that came before the body did', async () => {
    const at = await open();
    const socket = connect(at.port, '127.0.0.1').setEncoding('latin1');
    const said = socket[Symbol.asyncIterator]();
    socket.write(`PATCH ${at.base}/v2/r/blobs/uploads/none HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n`);
    assert.match((await said.next()).value, /^HTTP\/1\.1 404 /);
    socket.write(`${' '.repeat(9999)}GET ${at.base}/v2/ HTTP/1.1\r\nHost: x\r\n\r\n`);
    let text = '';
    while (!text.includes('HTTP/1.1 200')) text += (await said.next()).value;
    socket.destroy();
  });

  test('a client that goes away from a download does not disturb others', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', content(3_000_000));
    for (let round = 0; round < 5; round++) {
      const { request, answer } = at.begin('GET', `/v2/r/blobs/${digest}`);
      answer.catch(() => undefined);
      request.end();
      const [incoming] = await once(request, 'response');
      incoming.destroy();
      await once(incoming, 'close');
    }
    assert.equal(answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200).body.length, 3_000_000);
    assert.deepEqual(
      at.log.filter(({ level }) => level === 'error'),
      [],
    );
  });
};
