// A host application that compresses its answers: what has a digest travels byte for byte.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { get, type IncomingMessage } from 'node:http';
import type { Middleware } from 'koa';
import compress from 'koa-compress';
import { test } from 'uvu';
import { digestOf, OCI_INDEX } from '../../lib/model/index.js';
import { RegistryClient } from '../support/registry-client.js';
import { type HostOptions, withHost } from './host-service.js';

const page: Middleware = (ctx) => {
  ctx.body = 'x'.repeat(10_000);
};
const COMPRESSING: HostOptions = { before: [compress({ threshold: 1, filter: () => true })], after: [page] };
const ACCEPT = { 'Accept-Encoding': 'br, gzip, deflate' };

/** As `fetch`, but without decoding what it gets. */
async function raw(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ head: IncomingMessage; body: Buffer }> {
  const head = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { headers: { ...ACCEPT, ...headers } }, resolve).on('error', reject);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of head) chunks.push(chunk);
  return { head, body: Buffer.concat(chunks) };
}

test('the host itself compresses', async () => {
  await withHost(COMPRESSING, async ({ url }) => {
    const { head, body } = await raw(`${url}/page`);
    assert.ok(head.headers['content-encoding'] !== undefined);
    assert.ok(body.length < 1000);
  });
});

test('a blob, kept in memory or streamed, whole or in part, is not compressed and keeps its length', async () => {
  await withHost(COMPRESSING, async ({ url }) => {
    const client = new RegistryClient(url);
    for (const blob of [Buffer.alloc(10_000, 'a'), Buffer.alloc(1 << 20, 'b'), randomBytes(5000), Buffer.alloc(0)]) {
      const path = `${url}/v2/a/blobs/${await client.pushBlob('a', blob)}`;
      const { head, body } = await raw(path);
      assert.equal(head.headers['content-encoding'], undefined);
      assert.equal(head.headers['content-length'], String(blob.length));
      assert.deepEqual(body, blob);
      if (blob.length === 0) continue;
      const part = await raw(path, { Range: 'bytes=100-4099' });
      assert.equal(part.head.statusCode, 206);
      assert.equal(part.head.headers['content-encoding'], undefined);
      assert.equal(part.head.headers['content-length'], '4000');
      assert.deepEqual(part.body, blob.subarray(100, 4100));
    }
  });
});

test('a manifest is not compressed and keeps its length', async () => {
  await withHost(COMPRESSING, async ({ url }) => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [], padding: 'x'.repeat(5000) }));
    await new RegistryClient(url).pushManifest('a', 'latest', { mediaType: OCI_INDEX, bytes });
    for (const reference of ['latest', digestOf(bytes)]) {
      const { head, body } = await raw(`${url}/v2/a/manifests/${reference}`);
      assert.equal(head.headers['content-encoding'], undefined);
      assert.equal(head.headers['content-length'], String(bytes.length));
      assert.deepEqual(body, bytes);
    }
  });
});

test.run();
