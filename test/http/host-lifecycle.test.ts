// A registry's life within its host: before its backend is there, while it is, switched to read-only,
// and after it was closed.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { Middleware } from 'koa';
import { registry } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { test } from 'uvu';
import { RegistryClient } from '../support/registry-client.js';
import { memoryDriver, recordingLogger, storageOf, WARN, withHost } from './host-service.js';

const BLOB = Buffer.from('content');

const page: Middleware = (ctx) => {
  ctx.body = 'page of the host';
};

async function statusOf(url: string, init?: RequestInit): Promise<number> {
  const answer = await fetch(url, init);
  await answer.arrayBuffer();
  return answer.status;
}

const TIMEOUT = /server\.requestTimeout cuts off uploads that take longer than 300 s/;

test('a host whose server would cut uploads off is warned, once', async () => {
  await withHost({ requestTimeout: 300_000, after: [page] }, async ({ url, lines }) => {
    const warnings = () => lines.filter(({ level, msg }) => level === WARN && TIMEOUT.test(msg));
    await fetch(`${url}/page`);
    assert.equal(warnings().length, 0, 'not before somebody uses the registry');
    for (let count = 0; count < 3; count += 1) await fetch(`${url}/v2/`);
    assert.equal(warnings().length, 1);
    assert.equal(warnings()[0]?.requestTimeout, 300_000);
  });
});

test('a host whose server has no time limit is not warned', async () => {
  await withHost({ requestTimeout: 0 }, async ({ url, lines }) => {
    await fetch(`${url}/v2/`);
    assert.deepEqual(
      lines.filter(({ msg }) => msg.includes('requestTimeout')),
      [],
    );
  });
});

test('an open registry says so in the log, once', async () => {
  await withHost({}, async ({ url, lines }) => {
    for (let count = 0; count < 3; count += 1) await fetch(`${url}/v2/`);
    const said = lines.filter(({ level, msg }) => level === WARN && msg.startsWith('no auth handler'));
    assert.equal(said.length, 1);
  });
});

test('while its storage cannot be started the registry answers 503, the host goes on, and no restart is needed', async () => {
  const driver = await memoryDriver();
  let attempts = 0;
  const storage = storageOf(() => {
    attempts += 1;
    if (attempts <= 2) throw new Error(`attempt ${attempts} failed`);
    return driver;
  });
  await withHost({ options: { storage }, after: [page] }, async ({ url, registry: ours, lines }) => {
    assert.equal(attempts, 0, 'nothing starts before it is asked for');
    const ready = ours.ready();
    while ((await ours.health()).checks['storage/of-a-test'] === undefined) await delay(5);
    const answer = await fetch(`${url}/v2/`);
    assert.equal(answer.status, 503);
    assert.match(answer.headers.get('Retry-After') ?? '', /^[1-9]\d*$/);
    const text = await answer.text();
    assert.deepEqual(JSON.parse(text), { errors: [{ code: 'UNAVAILABLE', message: 'service unavailable' }] });
    assert.equal(await statusOf(`${url}/page`), 200);
    const health = await ours.health();
    assert.equal(health.ok, false);
    assert.match(health.checks['storage/of-a-test'] ?? '', /attempt \d failed/);
    await ready;
    assert.equal(attempts, 3);
    assert.equal(await statusOf(`${url}/v2/`), 200);
    assert.equal((await ours.health()).ok, true);
    assert.equal(lines.filter(({ msg }) => msg === 'plugin started').length, 1);
  });
});

test('the first request waits for a storage that takes a moment', async () => {
  const driver = await memoryDriver();
  const storage = storageOf(() => new Promise((resolve) => setImmediate(resolve, driver)));
  await withHost({ options: { storage } }, async ({ url }) => {
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => statusOf(`${url}/v2/`))), [200, 200, 200]);
  });
});

test('health asks the backends and never throws', async () => {
  const driver = await memoryDriver();
  let away = false;
  const check = async () => {
    if (away) throw new Error('connection refused');
  };
  await withHost({ options: { storage: storageOf(() => ({ ...driver, check })) } }, async ({ registry: ours }) => {
    assert.deepEqual(await ours.health(), { ok: false, ready: false, checks: { plugins: 'not started' } });
    await ours.ready();
    assert.deepEqual(await ours.health(), { ok: true, ready: true, checks: { storage: 'ok' } });
    away = true;
    const { ok, checks } = await ours.health();
    assert.equal(ok, false);
    assert.match(checks.storage ?? '', /unavailable/);
    away = false;
    assert.equal((await ours.health()).ok, true);
    await ours.close();
    assert.equal((await ours.health()).ok, false);
  });
});

test('read-only is switched while the registry runs', async () => {
  await withHost({ options: { delete: { enabled: true } } }, async ({ url, registry: ours }) => {
    const client = new RegistryClient(url);
    const digest = await client.pushBlob('a', BLOB);
    const at = await client.startUpload('a');
    const writes: readonly (readonly [path: string, init: RequestInit])[] = [
      [`${url}/v2/a/blobs/uploads/`, { method: 'POST' }],
      [at, { method: 'PATCH', body: BLOB }],
      [`${at}&digest=${digest}`, { method: 'PUT', body: BLOB }],
      [at, { method: 'DELETE' }],
      [`${url}/v2/a/manifests/x`, { method: 'PUT', body: '{}' }],
      [`${url}/v2/a/manifests/x`, { method: 'DELETE' }],
      [`${url}/v2/a/blobs/${digest}`, { method: 'DELETE' }],
    ];
    assert.equal(ours.readOnly, false);
    ours.readOnly = true;
    for (const [path, init] of writes) {
      const answer = await fetch(path, init);
      assert.equal(answer.status, 405, `${init.method} ${path}`);
      assert.equal(JSON.parse(await answer.text()).errors[0].code, 'UNSUPPORTED');
      assert.doesNotMatch(answer.headers.get('Allow') ?? '', /POST|PUT|PATCH|DELETE/);
    }
    assert.deepEqual(await client.pullBlob('a', digest), BLOB);
    ours.readOnly = false;
    assert.equal(await statusOf(at, { method: 'PATCH', body: BLOB }), 202, 'the session has outlived it');
  });
});

test('after close every request is a 503, and the host goes on', async () => {
  await withHost({ after: [page] }, async ({ url, registry: ours, errors }) => {
    assert.equal(await statusOf(`${url}/v2/`), 200);
    await ours.close();
    await ours.close();
    for (const path of ['/v2/', '/v2/a/tags/list', '/v2/_catalog']) assert.equal(await statusOf(url + path), 503, path);
    assert.equal(await statusOf(`${url}/page`), 200);
    await assert.rejects(ours.ready(), /closed/);
    assert.deepEqual(errors, []);
  });
});

test('a registry that was never used closes, and is closed then', async () => {
  await withHost({}, async ({ url, registry: ours }) => {
    await ours.close();
    assert.equal(await statusOf(`${url}/v2/`), 503);
  });
});

test('several registries in one application share nothing', async () => {
  const { logger } = recordingLogger();
  const second = registry({ storage: memory(), prefix: '/second', logger });
  const options = { prefix: '/first', delete: { enabled: true } };
  await withHost({ options, after: [second, page] }, async ({ url, registry: first }) => {
    const [one, two] = [new RegistryClient(`${url}/first`), new RegistryClient(`${url}/second`)];
    const digest = await one.pushBlob('a', BLOB);
    assert.equal(await two.pullBlob('a', digest), undefined);
    const at = await one.startUpload('a');
    assert.equal(await statusOf(at.replace('/first/', '/second/')), 404, 'a session of the other');
    first.readOnly = true;
    assert.equal(second.readOnly, false);
    await two.pushBlob('a', BLOB);
    assert.equal(await statusOf(`${url}/first/v2/a/blobs/uploads/`, { method: 'POST' }), 405);
    assert.equal(await statusOf(`${url}/second/v2/a/blobs/${digest}`, { method: 'DELETE' }), 405);
    await first.close();
    assert.deepEqual(await two.pullBlob('a', digest), BLOB);
    await second.close();
  });
});

test('what clients send as credentials is in no log', async () => {
  await withHost({}, async ({ url, lines, errors }) => {
    const secret = 'a-password-of-somebody';
    const headers = { Authorization: `Basic ${secret}`, Cookie: `session=${secret}`, 'Content-Type': 'x/y' };
    const paths = ['/v2/', '/v2/A/tags/list', '/v2/a/manifests/none', '/v2/a/blobs/uploads/x?_state=y'];
    for (const path of paths) await statusOf(url + path, { headers });
    await statusOf(`${url}/v2/a/manifests/x`, { method: 'PUT', headers, body: '{' });
    assert.ok(lines.length > 3);
    assert.equal(inspect([lines, errors], { depth: 20, maxStringLength: null }).includes(secret), false);
  });
});

test.run();
