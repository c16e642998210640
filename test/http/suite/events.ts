// Who is told what: every action, with the fields that listeners of distribution know, and addresses that lead back.
import assert from 'node:assert/strict';
import {
  type AuthHandler,
  definePlugin,
  deliveryOptions,
  type NotificationSink,
  type RegistryEvent,
} from 'koa-registry';
import { z } from 'zod';
import { content, digestOf, image, OCI_IMAGE, pushBlob, pushManifest, putManifest } from '../../support/content.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, refused } from './answers.js';
import type { Suite } from './index.js';

/** Hands events to a function of the test. */
const telling = definePlugin({
  kind: 'notification',
  name: 'telling',
  options: z.strictObject({ ...deliveryOptions(), write: z.custom<NotificationSink['write']>() }),
  create: ({ write, ...delivery }): NotificationSink => ({ delivery, write }),
});

const ada = definePlugin({
  kind: 'auth',
  name: 'ada',
  options: z.strictObject({}),
  create: (): AuthHandler => ({ authorize: ({ optional }) => ({ actor: { name: 'ada' }, granted: optional }) }),
});

/** A sink, and what it was told. */
function recording() {
  const told: RegistryEvent[] = [];
  const write = async (events: readonly RegistryEvent[]) => void told.push(...events);
  return { told, notifications: { sinks: [telling({ write })] } };
}

/** What happened, in short. */
const shortly = ({ action, target }: RegistryEvent) =>
  [action, target.repository, target.tag ?? target.digest, target.fromRepository].filter(Boolean).join(' ');

/** Waits until so many events have come; none is waited for that should not come. */
async function toldOf(told: readonly RegistryEvent[], count: number): Promise<string[]> {
  for (let turn = 0; turn < 5000 && told.length < count; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
  return told.map(shortly);
}

const LAYER = content(100);
const CONFIG = digestOf('{}');

async function pushImage(at: OpenRegistry): Promise<string> {
  await pushBlob(at, 'r', '{}');
  await pushBlob(at, 'r', LAYER);
  return pushManifest(at, 'r', image([LAYER]), 'latest');
}

export const eventsSuite: Suite = (test, open) => {
  test('pushes, pulls, mounts and deletes are told, in order and once', async () => {
    const { told, notifications } = recording();
    const at = await open({ notifications });
    const digest = await pushImage(at);
    const layer = digestOf(LAYER);
    answered(await at.send('GET', '/v2/r/manifests/latest'), 200);
    await toldOf(told, 4);
    answered(await at.send('GET', `/v2/r/blobs/${layer}`), 200);
    await toldOf(told, 5);
    empty(await at.send('POST', `/v2/other/blobs/uploads/?mount=${layer}&from=r`), 201);
    empty(await at.send('DELETE', `/v2/other/blobs/${layer}`), 202);
    empty(await at.send('DELETE', '/v2/r/manifests/latest'), 202);
    empty(await at.send('DELETE', `/v2/r/manifests/${digest}`), 202);
    assert.deepEqual(await toldOf(told, 9), [
      `push r ${CONFIG}`,
      `push r ${layer}`,
      'push r latest',
      'pull r latest',
      `pull r ${layer}`,
      `mount other ${layer} r`,
      `delete other ${layer}`,
      'delete r latest',
      `delete r ${digest}`,
    ]);
  });

  test('an event has all that listeners of distribution know', async () => {
    const { told, notifications } = recording();
    const at = await open({ notifications, auth: ada() });
    await pushBlob(at, 'r', '{}');
    await pushBlob(at, 'r', LAYER);
    const json = image([LAYER]);
    const headers = { 'Content-Type': OCI_IMAGE, 'User-Agent': 'docker/27', Host: 'registry.example' };
    answered(await at.send('PUT', '/v2/r/manifests/latest', { headers, body: json }), 201);
    await toldOf(told, 3);
    const event = told[2] ?? assert.fail();
    const { id, timestamp, source, request, ...rest } = event;
    const parsed = JSON.parse(json) as { config: object; layers: object[] };
    assert.deepEqual(rest, {
      action: 'push',
      target: {
        mediaType: OCI_IMAGE,
        size: json.length,
        digest: digestOf(json),
        length: json.length,
        repository: 'r',
        url: `http://registry.example${at.base}/v2/r/manifests/${digestOf(json)}`,
        tag: 'latest',
        references: [parsed.config, ...parsed.layers],
      },
      actor: { name: 'ada' },
    });
    assert.match(id, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    assert.equal(new Date(timestamp).toISOString(), timestamp);
    assert.match(source.addr, new RegExp(`:${at.port}$`));
    assert.match(source.instanceID, /^[\da-f-]{36}$/);
    assert.match(request.addr, /127\.0\.0\.1\]?:\d+$/);
    assert.match(request.id, /./);
    assert.deepEqual([request.method, request.host, request.useragent], ['PUT', 'registry.example', 'docker/27']);
    assert.equal(new Set(told.map((one) => one.id)).size, told.length);
  });

  test('the address of what was pushed leads to it', async () => {
    const { told, notifications } = recording();
    const at = await open({ notifications });
    await pushImage(at);
    await toldOf(told, 3);
    for (const { target } of told.slice(0, 3)) {
      const answer = await at.sendRaw('GET', new URL(target.url ?? '').pathname);
      assert.equal(digestOf(answered(answer, 200).body), target.digest);
    }
  });

  test('each tag of a push is told; a push by digest has none', async () => {
    const { told, notifications } = recording();
    const at = await open({ notifications });
    await pushBlob(at, 'r', '{}');
    const json = image([]);
    await putManifest(at, 'r', `a?tag=b&tag=c`, json);
    await putManifest(at, 'r', digestOf(json), json);
    assert.deepEqual((await toldOf(told, 5)).slice(1), [
      'push r a',
      'push r b',
      'push r c',
      `push r ${digestOf(json)}`,
    ]);
    empty(await at.send('DELETE', `/v2/r/manifests/${digestOf(json)}`), 202);
    assert.deepEqual(
      (await toldOf(told, 9)).slice(5).sort(),
      ['delete r a', 'delete r b', 'delete r c', `delete r ${digestOf(json)}`].sort(),
    );
  });

  test('HEAD is no pull, unless it is to be one; nor is 304, what is refused, or what is not there', async () => {
    const { told, notifications } = recording();
    const at = await open({ notifications });
    await pushImage(at);
    for (const path of ['/v2/r/manifests/latest', `/v2/r/blobs/${CONFIG}`]) {
      answered(await at.send('HEAD', path), 200);
      const { etag = '' } = (await at.send('HEAD', path)).headers;
      answered(await at.send('GET', path, { headers: { 'If-None-Match': etag } }), 304);
    }
    answered(await at.send('GET', `/v2/r/blobs/${CONFIG}`, { headers: { Range: 'bytes=5-' } }), 416);
    refused(await at.send('GET', '/v2/r/manifests/absent'), 404, 'MANIFEST_UNKNOWN');
    answered(await at.send('GET', '/v2/r/tags/list'), 200);
    answered(await at.send('GET', `/v2/r/blobs/${CONFIG}`), 200);
    assert.deepEqual((await toldOf(told, 4)).slice(3), [`pull r ${CONFIG}`]);

    const { told: more, notifications: also } = recording();
    const heads = await open({ driver: at.storage, notifications: { ...also, includeHead: true } });
    answered(await heads.send('HEAD', '/v2/r/manifests/latest'), 200);
    await toldOf(more, 1);
    answered(await heads.send('HEAD', `/v2/r/blobs/${CONFIG}`), 200);
    assert.deepEqual(await toldOf(more, 2), ['pull r latest', `pull r ${CONFIG}`]);
    assert.equal(more[0]?.request.method, 'HEAD');
  });

  test('of a blob that is pulled in parts the last one is a pull', async () => {
    const { told, notifications } = recording();
    const at = await open({ notifications });
    const digest = await pushBlob(at, 'r', 'abcdef');
    const part = (range: string) => at.send('GET', `/v2/r/blobs/${digest}`, { headers: { Range: `bytes=${range}` } });
    answered(await part('0-1'), 206);
    answered(await part('2-3'), 206);
    answered(await part('4-'), 206);
    answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200);
    assert.deepEqual(await toldOf(told, 3), [`push r ${digest}`, `pull r ${digest}`, `pull r ${digest}`]);
  });

  test('a download that breaks off is no pull', async () => {
    const { told, notifications } = recording();
    const at = await open({ notifications });
    const large = content(8_000_000);
    const digest = await pushBlob(at, 'r', large);
    const download = at.begin('GET', `/v2/r/blobs/${digest}`);
    const begun = new Promise((resolve) =>
      download.request.once('response', (response) => response.once('data', resolve)),
    );
    download.request.end();
    await begun;
    await download.abort();
    const small = await pushBlob(at, 'r', 'abc');
    assert.deepEqual(await toldOf(told, 2), [`push r ${digest}`, `push r ${small}`]);
  });

  test('the host application hears of the same events', async () => {
    const at = await open();
    const heard: RegistryEvent[] = [];
    at.registry.events.on('*', (event) => heard.push(event));
    at.registry.events.on('push', () => {
      throw new Error('a bug of the host application');
    });
    const digest = await pushImage(at);
    assert.deepEqual(await toldOf(heard, 3), [`push r ${CONFIG}`, `push r ${digestOf(LAYER)}`, 'push r latest']);
    assert.equal(heard[2]?.target.digest, digest);
  });

  test('a sink that is away neither slows nor fails a push, and what waits for it is counted', async () => {
    const write = () => Promise.reject(new Error('away'));
    const at = await open({ notifications: { sinks: [telling({ write })], queue: { maxEvents: 2 }, drainTimeout: 0 } });
    await pushImage(at);
    for (let turn = 0; turn < 500 && (await at.registry.health()).ok; turn++) await new Promise(setImmediate);
    const { ok, ready, checks } = await at.registry.health();
    assert.deepEqual({ ok, ready, sink: checks['notifications[0]'] }, { ok: false, ready: true, sink: 'away' });
    const { pending, dropped, delivered, events } = at.registry.counters().notifications.telling ?? assert.fail();
    assert.deepEqual({ pending, dropped, delivered, events }, { pending: 2, dropped: 1, delivered: 0, events: 3 });
  });
};
