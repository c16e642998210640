// Uploads that break off, by the client or by the storage, and many at once.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type ClientRequest, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Plugin, StorageDriver } from 'koa-registry';
import { DriverError, startPlugin } from 'koa-registry';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { memory } from 'koa-registry/plugins/storage/memory';
import { test } from 'uvu';
import { digestOf } from '../../lib/model/index.js';
import { ERROR, type LogLine, storageOf, withHost } from '../http/host-service.js';
import { RegistryClient } from '../support/registry-client.js';
import { tempFolder } from '../support/temp-folder.js';

const STORAGES: readonly (readonly [name: string, storage: () => Plugin<'storage'>])[] = [
  ['memory', () => memory()],
  ['filesystem', () => filesystem({ rootDirectory: tempFolder(), fsync: false })],
];

const CONTENT = randomBytes(3 << 20);
const DIGEST = digestOf(CONTENT);

/** Begins a PATCH and sends the first `bytes` of the content. */
function beginPatch(at: string, bytes: number, headers: Record<string, string> = {}): ClientRequest {
  const sent = request(at, { method: 'PATCH', agent: false, headers });
  // The client itself is what breaks it off.
  sent.on('error', () => undefined);
  sent.write(CONTENT.subarray(0, bytes));
  return sent;
}

/** How many bytes the session has, by its own word, and where it goes on. */
async function progress(at: string): Promise<{ size: number; at: string }> {
  const answer = await fetch(at.replace(/\?.*/, ''));
  assert.equal(answer.status, 204);
  const last = Number(answer.headers.get('Range')?.replace('0-', ''));
  return { size: last === 0 ? 0 : last + 1, at: answer.headers.get('Location') ?? '' };
}

/** The session once nothing is written to it any more. */
async function settledProgress(at: string): Promise<{ size: number; at: string }> {
  for (;;) {
    const before = await progress(at);
    await delay(50);
    const after = await progress(at);
    if (before.size === after.size && after.size > 0) return after;
  }
}

/** What the registry took for its own fault; Node and Koa tell the application of broken connections by themselves. */
function ourFaults(errors: readonly Error[], lines: readonly LogLine[]): unknown[] {
  const reported = errors.filter((error) => !('code' in error));
  return [...reported, ...lines.filter(({ level }) => level >= ERROR)];
}

for (const [name, storage] of STORAGES) {
  for (const headers of [{ 'Transfer-Encoding': 'chunked' }, { 'Content-Length': String(CONTENT.length) }]) {
    const [way] = Object.keys(headers);
    test(`${name}: a PATCH (${way}) whose client goes away leaves a session that tells the truth and goes on`, async () => {
      await withHost({ options: { storage: storage() } }, async ({ url, errors, lines }) => {
        const client = new RegistryClient(url);
        const begun = await client.startUpload('a');
        const sent = beginPatch(begun, 1 << 20, headers);
        while ((await progress(begun)).size === 0) await delay(5);
        sent.destroy();
        const session = await settledProgress(begun);
        assert.ok(session.size <= 1 << 20);

        const stale = await fetch(session.at, {
          method: 'PATCH',
          headers: { 'Content-Range': '0-9' },
          body: CONTENT.subarray(0, 10),
        });
        assert.equal(stale.status, 416);
        assert.equal(stale.headers.get('Range'), `0-${session.size - 1}`);

        const rest = await client.patchUpload(session.at, CONTENT.subarray(session.size), session.size);
        await client.finishUpload(rest, DIGEST);
        assert.deepEqual(await client.pullBlob('a', DIGEST), CONTENT);
        assert.deepEqual(ourFaults(errors, lines), []);
      });
    });
  }

  test(`${name}: a PUT whose client goes away publishes nothing, and the upload can be begun anew`, async () => {
    await withHost({ options: { storage: storage() } }, async ({ url, errors, lines }) => {
      const client = new RegistryClient(url);
      const begun = await client.startUpload('a');
      const headers = { 'Content-Length': String(CONTENT.length) };
      const sent = request(`${begun}&digest=${DIGEST}`, { method: 'PUT', agent: false, headers });
      sent.on('error', () => undefined);
      sent.write(CONTENT.subarray(0, 1 << 20));
      while ((await progress(begun)).size === 0) await delay(5);
      sent.destroy();
      await settledProgress(begun);
      assert.equal(await client.pullBlob('a', DIGEST), undefined);
      await client.pushBlob('a', CONTENT);
      assert.deepEqual(await client.pullBlob('a', DIGEST), CONTENT);
      assert.deepEqual(ourFaults(errors, lines), []);
    });
  });

  test(`${name}: fifty clients push one blob at once, in all ways, and all succeed`, async () => {
    await withHost({ options: { storage: storage() } }, async ({ url, errors }) => {
      const client = new RegistryClient(url);
      const blob = CONTENT.subarray(0, 100_000);
      const ways = ['post', 'put', 'stream', 'chunks'] as const;
      const pushes = Array.from({ length: 50 }, (_, index) =>
        client.pushBlob(`repository-${index % 5}`, blob, ways[index % ways.length]),
      );
      const [digest = ''] = await Promise.all(pushes);
      for (let index = 0; index < 5; index += 1) {
        assert.deepEqual(await client.pullBlob(`repository-${index}`, digest), blob);
      }
      assert.deepEqual(errors, []);
    });
  });
}

/** Fails in the middle of the first append that is long enough. */
function failingOnce(driver: StorageDriver, after: number): StorageDriver {
  let failed = false;
  return {
    ...driver,
    append: (key, offset, source, options) => {
      async function* part() {
        let passed = 0;
        for await (const chunk of source) {
          yield chunk;
          passed += chunk.length;
          if (failed || passed < after) continue;
          failed = true;
          throw new DriverError('unavailable', key);
        }
      }
      return driver.append(key, offset, part(), options);
    },
  };
}

test('a storage that fails in the middle of a PATCH is a 503, and the session goes on', async () => {
  const { instance } = await startPlugin(memory());
  await withHost({ options: { storage: storageOf(() => failingOnce(instance, 1 << 20)) } }, async ({ url, errors }) => {
    const client = new RegistryClient(url);
    const begun = await client.startUpload('a');
    const answer = await fetch(begun, { method: 'PATCH', body: CONTENT });
    assert.equal(answer.status, 503);
    assert.notEqual(answer.headers.get('Retry-After'), null);
    await answer.arrayBuffer();
    const session = await progress(begun);
    assert.ok(session.size >= 1 << 20 && session.size < CONTENT.length, String(session.size));
    const rest = await client.patchUpload(session.at, CONTENT.subarray(session.size), session.size);
    await client.finishUpload(rest, DIGEST);
    assert.deepEqual(await client.pullBlob('a', DIGEST), CONTENT);
    assert.deepEqual(errors, []);
  });
});

test('a full storage is a 503, and publishes nothing', async () => {
  await withHost({ options: { storage: memory({ maxBytes: '1MiB' }) } }, async ({ url, errors }) => {
    const client = new RegistryClient(url);
    const begun = await client.startUpload('a');
    const answer = await fetch(`${begun}&digest=${DIGEST}`, { method: 'PUT', body: CONTENT });
    assert.equal(answer.status, 503);
    await answer.arrayBuffer();
    assert.equal(await client.pullBlob('a', DIGEST), undefined);
    assert.equal((await fetch(`${url}/v2/`)).status, 200);
    assert.deepEqual(errors, []);
  });
});

test.run();
