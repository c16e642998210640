// A body parser before the registry: what it keeps of a body is used, what it has eaten is told.
import assert from 'node:assert/strict';
import bodyParser from 'koa-bodyparser';
import { test } from 'uvu';
import { digestOf, OCI_CONFIG, OCI_IMAGE, OCI_INDEX } from '../../lib/model/index.js';
import { RegistryClient } from '../support/registry-client.js';
import { ERROR, type Host, type HostOptions, withHost } from './host-service.js';

const PARSED: HostOptions = { before: [bodyParser()] };
const FORM = 'application/x-www-form-urlencoded';

const INDEX = Buffer.from(`{ "schemaVersion" : 2, "mediaType": "${OCI_INDEX}",\n "manifests": [], "é": "ü" }\n`);

function push({ url }: Host, type: string, body: Buffer | ReadableStream): Promise<Response> {
  const init = { method: 'PUT', headers: { 'Content-Type': type }, body, duplex: 'half' } as const;
  return fetch(`${url}/v2/a/manifests/latest`, init);
}

/** A body whose length is not announced. */
function unannounced(bytes: Buffer): ReadableStream {
  return new Blob([new Uint8Array(bytes)]).stream();
}

test('a manifest of its own type passes a body parser, byte for byte', async () => {
  await withHost(PARSED, async (host) => {
    for (const body of [INDEX, unannounced(INDEX)]) {
      assert.equal((await push(host, OCI_INDEX, body)).status, 201);
      const pulled = await new RegistryClient(host.url).pullManifest('a', 'latest');
      assert.deepEqual(pulled, INDEX);
    }
  });
});

test('a manifest that a body parser has read as JSON is taken from what it has kept, byte for byte', async () => {
  const type = 'application/json';
  const odd: HostOptions = { before: [bodyParser({ extendTypes: { json: [OCI_INDEX, OCI_IMAGE] } })] };
  await withHost(odd, async (host) => {
    const client = new RegistryClient(host.url);
    await client.pushManifest('a', digestOf(INDEX), { mediaType: OCI_INDEX, bytes: INDEX });
    assert.deepEqual(await client.pullManifest('a', digestOf(INDEX)), INDEX);
  });
  await withHost(PARSED, async (host) => {
    const answer = await push(host, type, INDEX);
    assert.equal(answer.status, 400, 'application/json is no manifest type');
    assert.match(await answer.text(), /"MANIFEST_INVALID"/);
  });
});

test('a whole image is pushed and pulled through a host with a body parser', async () => {
  await withHost(PARSED, async ({ url }) => {
    const client = new RegistryClient(url);
    const layer = Buffer.from('{"looks":"like JSON"}');
    const config = Buffer.from('{}');
    for (const way of ['post', 'put', 'stream', 'chunks'] as const) await client.pushBlob('a', layer, way);
    await client.pushBlob('a', config);
    const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
    const document = { schemaVersion: 2, config: describe(OCI_CONFIG, config), layers: [describe('a/b', layer)] };
    const bytes = Buffer.from(JSON.stringify({ mediaType: OCI_IMAGE, ...document }));
    await client.pushManifest('a', 'latest', { mediaType: OCI_IMAGE, bytes });
    assert.equal((await client.pullWhole('a', 'latest')).size, 3);
  });
});

test('a blob that a body parser has eaten is a configuration error that says what to do, and no hang', async () => {
  await withHost(PARSED, async ({ url, lines, errors }) => {
    const client = new RegistryClient(url);
    const content = Buffer.from('a=1&b=2');
    const at = await client.startUpload('a');
    const digest = digestOf(content);
    const requests = [
      { method: 'PATCH', path: at },
      { method: 'PUT', path: `${at}&digest=${digest}` },
      { method: 'POST', path: `${url}/v2/a/blobs/uploads/?digest=${digest}` },
    ];
    for (const [count, { method, path }] of requests.entries()) {
      const answer = await fetch(path, { method, headers: { 'Content-Type': FORM }, body: content });
      assert.equal(answer.status, 500, method);
      const text = await answer.text();
      assert.equal(JSON.parse(text).errors[0].code, 'UNKNOWN');
      assert.equal(text.includes('parser'), false, 'it is not the business of the client');
      const logged = lines.filter(({ level }) => level === ERROR);
      assert.equal(logged.length, count + 1);
      assert.match(JSON.stringify(logged.at(-1)), /use koa-registry before the body parser/);
      assert.match(errors.at(-1)?.message ?? '', /use koa-registry before the body parser/);
    }
    await client.patchUpload(at, content, 0);
    await client.finishUpload(at.replace(/\?.*/, ''), digest);
    assert.deepEqual(await client.pullBlob('a', digest), content, 'the session lives on');
  });
});

test('a manifest of which a body parser has kept nothing, or not all, is a configuration error too', async () => {
  const eater: HostOptions = {
    before: [
      async (ctx, next) => {
        for await (const _ of ctx.req);
        return next();
      },
    ],
  };
  await withHost(eater, async (host) => {
    assert.equal((await push(host, OCI_INDEX, INDEX)).status, 500);
    assert.match(host.errors[0]?.message ?? '', /the request body was already read/);
  });
  await withHost(PARSED, async (host) => {
    assert.equal((await push(host, 'application/json', unannounced(INDEX))).status, 500, 'nothing says it is all');
    // What is not UTF-8 did not survive being read as text.
    assert.equal((await push(host, 'application/json', Buffer.from('{"a":"\xff"}', 'latin1'))).status, 500);
  });
});

test.run();
