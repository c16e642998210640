// The listener of `examples/listener` as a process of its own, and a registry that tells it what happens.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { RegistryEvent } from 'koa-registry';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { suite } from 'uvu';
import { pushImage } from '../support/content.js';
import { password } from '../support/credentials.js';
import { freePort } from '../support/free-port.js';
import { type RunningProcess, startProcess } from '../support/process.js';
import { until } from '../support/redis.js';
import { BARE, openRegistry } from '../support/registry.js';

const SERVER = fileURLToPath(new URL('../../examples/listener/server.js', import.meta.url));
const SECRET = password('webhook');
const V2 = 'application/vnd.docker.distribution.events.v2+json';

const test = suite('examples/listener');

let listener: RunningProcess;
let url = '';

async function start(port: number): Promise<RunningProcess> {
  return startProcess(process.execPath, [SERVER], {
    ready: /listens on (http:\/\/127\.0\.0\.1:\d+\/events)/,
    env: { HOST: '127.0.0.1', PORT: String(port), SECRET },
  });
}

test.before.each(async () => {
  listener = await start(0);
  url = listener.match?.[1] ?? '';
});
test.after.each(() => listener.stop());

/** What it has printed besides where it listens. */
function printed(): string[] {
  return listener.output().trim().split('\n').slice(1);
}

function eventFor(tag: string): RegistryEvent {
  return {
    id: randomUUID(),
    timestamp: new Date().toISOString(),
    action: 'push',
    target: { repository: 'team/hello', tag },
    request: { id: 'r', addr: '127.0.0.1:1', host: 'registry.example', method: 'PUT', useragent: 'test' },
    actor: { name: 'alice' },
    source: { addr: 'host:5000', instanceID: 'i' },
  };
}

/** Posts events as the registry does, but for the headers that are given; answers the status. */
async function post(events: readonly RegistryEvent[], headers: Record<string, string> = {}): Promise<number> {
  const body = JSON.stringify({ events });
  const signature = `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`;
  const usual = { 'Content-Type': V2, 'X-Hub-Signature-256': signature };
  return (await fetch(url, { method: 'POST', body, headers: { ...usual, ...headers } })).status;
}

test('a line for each push, and again when it was away', async () => {
  const sink = webhook({ url, hmac: { secret: SECRET }, timeout: '10s', backoff: 50, maxBackoff: 100 });
  const at = await openRegistry(BARE, { notifications: { sinks: [sink] } });
  try {
    await pushImage(at, 'team/hello', '1.0');
    await until(() => printed().length === 3);
    assert.match(printed()[0] ?? '', /^push team\/hello@sha256:[\da-f]{64} by nobody in particular$/);
    assert.equal(printed()[2], 'push team/hello:1.0 by nobody in particular');
    await listener.stop();
    await pushImage(at, 'team/hello', '1.1', 2);
    listener = await start(Number(new URL(url).port));
    await until(() => printed().length === 3);
    assert.equal(printed()[2], 'push team/hello:1.1 by nobody in particular');
  } finally {
    await at.close();
  }
});

test('an event that comes twice is taken once', async () => {
  const [first, second] = [eventFor('1'), eventFor('2')];
  assert.equal(await post([first]), 204);
  assert.equal(await post([first, second, second]), 204);
  await until(() => printed().length === 2);
  assert.equal(await post([eventFor('3')]), 204);
  await until(() => printed().length === 3);
  assert.deepEqual(
    printed(),
    ['1', '2', '3'].map((tag) => `push team/hello:${tag} by alice`),
  );
});

test('an event may be larger than the largest manifest', async () => {
  const mediaType = `application/${'x'.repeat(5 * 1024 * 1024)}`;
  const event = eventFor('large');
  assert.equal(await post([{ ...event, target: { ...event.target, mediaType } }]), 204);
});

test('nothing is taken that the registry has not signed', async () => {
  const signature = 'X-Hub-Signature-256';
  assert.equal(await post([eventFor('1')], { [signature]: '' }), 401);
  assert.equal(await post([eventFor('1')], { [signature]: `sha256=${'0'.repeat(64)}` }), 401);
  assert.equal(await post([eventFor('1')], { [signature]: `sha1=${'0'.repeat(40)}` }), 401);
  assert.equal(await post([eventFor('1')], { 'Content-Type': 'text/plain' }), 415);
  assert.equal((await fetch(url)).status, 404);
  assert.equal(await post([eventFor('2')], { 'Content-Type': V2.replace('v2', 'v1') }), 204);
  await until(() => printed().length === 1);
  assert.deepEqual(printed(), ['push team/hello:2 by alice']);
});

test('it does not start without a secret', async () => {
  const options = { ready: /listens on/, env: { PORT: String(await freePort()), SECRET: '' } };
  await assert.rejects(startProcess(process.execPath, [SERVER], options), /SECRET is what the registry signs with/);
});

test.run();
