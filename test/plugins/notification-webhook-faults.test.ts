// `notification/webhook` behind a whole registry, with listeners that fail in every way: each event arrives at least
// once, in order, and by the same id; nobody else waits.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { Plugin, SinkMetrics } from 'koa-registry';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { suite } from 'uvu';
import { content, OCI_IMAGE, pushBlob, pushImage } from '../support/content.js';
import { password } from '../support/credentials.js';
import { until } from '../support/redis.js';
import { BARE, type OpenRegistry, openRegistry } from '../support/registry.js';
import {
  answer,
  assertDelivered,
  type Behaviour,
  endlessBody,
  halfBody,
  halfHead,
  hang,
  hangUp,
  Listener,
  reset,
  stopListeners,
} from './notification-webhook-listener.js';

const test = suite('notification/webhook: faults');

let open: OpenRegistry | undefined;

test.after.each(async () => {
  await open?.close();
  open = undefined;
  await stopListeners();
});

async function registryWith(...sinks: readonly Plugin<'notification'>[]): Promise<OpenRegistry> {
  open = await openRegistry(BARE, { notifications: { sinks: [...sinks], drainTimeout: '100ms' } });
  return open;
}

/** Tries again soon, and waits for an answer for longer than any test. */
const PATIENT = { timeout: '1m', backoff: 10, maxBackoff: 20 } as const;

const IMPATIENT = { ...PATIENT, timeout: 200 } as const;

/** Pushes blobs, of which each is an event; answers their digests. */
async function push(at: OpenRegistry, count: number, seed = 0): Promise<string[]> {
  const digests: string[] = [];
  for (let each = 1; each <= count; each++) digests.push(await pushBlob(at, 'team/app', content(8, seed + each)));
  return digests;
}

function metrics(at: OpenRegistry, name = 'webhook'): SinkMetrics {
  return at.registry.counters().notifications[name] ?? assert.fail(`no sink is called ${name}`);
}

function delivered(at: OpenRegistry, count: number, name?: string): Promise<void> {
  return until(() => metrics(at, name).delivered === count);
}

/** Each fails as often as it says, and then no more. */
const FAULTS: Readonly<Record<string, readonly Behaviour[]>> = {
  'answers 500 and then 200': [answer(500)],
  'answers this and that': [answer(500), answer(404), answer(401), answer(302, '', { Location: '/' }), answer(429)],
  'resets the connection': [reset, reset],
  'hangs up': [hangUp, hangUp],
  'breaks off in the head of its answer': [halfHead],
  'breaks off in the body of a 500': [halfBody(500)],
  'never ends the body of a 500': [endlessBody(500, 1)],
};

for (const [fault, behaviours] of Object.entries(FAULTS)) {
  test(`a listener that ${fault}: at least once, in order`, async () => {
    const listener = await Listener.start();
    const at = await registryWith(webhook({ url: listener.url, ...PATIENT }));
    const before = await push(at, 2);
    await delivered(at, 2);
    listener.next(...behaviours);
    const after = await push(at, 5, 100);
    await delivered(at, 7);
    assertDelivered(listener, [...before, ...after]);
    const { state, failed, retried, pending, dropped, oldestAge } = metrics(at);
    assert.deepEqual(
      { state, failed, retried, pending, dropped, oldestAge },
      { state: 'ok', failed: behaviours.length, retried: behaviours.length, pending: 0, dropped: 0, oldestAge: 0 },
    );
  });
}

test('a listener that hangs: after its time is over, at least once, in order', async () => {
  const listener = await Listener.start();
  const at = await registryWith(webhook({ url: listener.url, ...IMPATIENT }));
  listener.next(hang, answer(200), hang);
  const digests = await push(at, 5);
  await delivered(at, 5);
  assertDelivered(listener, digests);
  assert.ok(metrics(at).failed >= 2);
  assert.ok(metrics(at).retried >= 2);
});

test('a 2xx is one, however long its body takes', async () => {
  const listener = await Listener.start();
  const at = await registryWith(webhook({ url: listener.url, ...PATIENT }));
  listener.next(endlessBody(200, 1), halfBody(202), endlessBody(200, 32 * 1024));
  const digests = await push(at, 5);
  await delivered(at, 5);
  assertDelivered(listener, digests);
  assert.equal(listener.received.length, 5);
  assert.equal(metrics(at).failed, 0);
});

test('a listener that is away, and comes back later', async () => {
  const listener = await Listener.start();
  const at = await registryWith(webhook({ url: listener.url, ...PATIENT, threshold: 3 }));
  const before = await push(at, 2);
  await delivered(at, 2);
  await listener.stop();
  const during = await push(at, 5, 100);
  await until(() => metrics(at).failed >= 5);
  const away = metrics(at);
  assert.equal(away.state, 'failing');
  assert.equal(away.pending, 5);
  assert.ok(away.oldestAge > 0);
  assert.ok(away.pendingBytes > 0);
  assert.equal((await at.registry.health()).ready, true);
  await listener.comeBack();
  const after = await push(at, 2, 200);
  await delivered(at, 9);
  assertDelivered(listener, [...before, ...during, ...after]);
  const said = at.log.filter(({ level }) => level !== 'debug').map(({ message }) => message);
  assert.deepEqual(
    said.filter((message) => message.startsWith('the sink')),
    ['the sink takes no events', 'the sink takes events again'],
  );
});

test('410: it gets no more, and the registry goes on', async () => {
  const listener = await Listener.start();
  const at = await registryWith(webhook({ url: listener.url, ...PATIENT }));
  let refuse: () => unknown = assert.fail;
  const asked = new Promise<void>((resolve) => {
    listener.next((response) => {
      resolve();
      return new Promise<void>((settle) => {
        refuse = () => settle(void response.writeHead(410).end());
      });
    });
  });
  await push(at, 3);
  await asked;
  refuse();
  await until(() => metrics(at).state === 'stopped');
  await push(at, 2, 100);
  const { pending, delivered: taken, dropped } = metrics(at);
  assert.deepEqual({ pending, taken, dropped }, { pending: 0, taken: 0, dropped: 5 });
  assert.equal(listener.received.length, 1);
});

test('a listener that hangs delays neither a push nor another listener', async () => {
  const [dead, alive] = [await Listener.start(), await Listener.start()];
  dead.usually = hang;
  const at = await registryWith(
    webhook({ url: dead.url, name: 'dead', ...PATIENT }),
    webhook({ url: alive.url, name: 'alive', ...PATIENT }),
  );
  const digests = await push(at, 20);
  await delivered(at, 20, 'alive');
  assertDelivered(alive, digests);
  assert.equal(alive.connections, 1);
  assert.equal(dead.received.length, 1);
  assert.equal(metrics(at, 'dead').pending, 20);
  assert.equal(metrics(at, 'alive').failed, 0);
});

test('what waits is sent together, as many as the batch has', async () => {
  const listener = await Listener.start();
  const at = await registryWith(webhook({ url: listener.url, ...PATIENT, batch: 4 }));
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  listener.next(async (response) => {
    await gate;
    response.end();
  }, answer(500));
  const digests = await push(at, 10);
  release();
  await delivered(at, 10);
  assertDelivered(listener, digests);
  // The first came alone, and the second batch twice.
  assert.deepEqual(
    listener.received.map(({ events }) => events.length),
    [1, 4, 4, 4, 1],
  );
  const [, first, again] = listener.received;
  assert.deepEqual(again?.body, first?.body);
});

test('events are ignored by media type, by its older option, by action and by repository', async () => {
  const listener = await Listener.start();
  const ignore = { mediaTypes: ['application/octet-stream'], actions: ['pull' as const], repositories: ['private/**'] };
  const newer = webhook({ url: listener.url, name: 'newer', ...PATIENT, ignore });
  const elsewhere = await Listener.start();
  const older = webhook({ url: elsewhere.url, name: 'older', ...PATIENT, ignoredMediaTypes: [OCI_IMAGE] });
  const at = await registryWith(newer, older);
  const first = await pushImage(at, 'team/app', '1');
  await pushImage(at, 'private/app', '1', 2);
  await at.send('GET', '/v2/team/app/manifests/1');
  const last = await pushImage(at, 'privateer/app', '1', 3);
  await delivered(at, 2, 'newer');
  assertDelivered(listener, [first, last]);
  await delivered(at, 6, 'older');
  assert.ok(elsewhere.accepted.every(({ target }) => target.mediaType === 'application/octet-stream'));
  assert.deepEqual([metrics(at, 'newer').events, metrics(at, 'older').events], [2, 6]);
});

test('no log has a header, the query or the secret of the signature', async () => {
  const listener = await Listener.start();
  listener.usually = (response, { headers, url }) => response.writeHead(500).end(`${inspect(headers)} ${url}`);
  const at = await registryWith(
    webhook({
      ...PATIENT,
      url: `${listener.url}?key=${password('query')}`,
      headers: { Authorization: `Bearer ${password('header')}` },
      hmac: { secret: password('hmac') },
      threshold: 2,
      maxAttempts: 4,
    }),
  );
  await push(at, 1);
  await until(() => metrics(at).deadLetters === 1);
  await listener.stop();
  await push(at, 1, 100);
  await until(() => metrics(at).deadLetters === 2);
  const health = await at.registry.health();
  assert.match(health.checks['notifications[0]'] ?? '', /cannot be reached/);
  const said = inspect([at.log, health], { depth: Number.POSITIVE_INFINITY, maxArrayLength: null });
  assert.match(said, /the listener answers 500/);
  assert.ok(!said.includes(password('')), said);
});

test('what is pending is delivered before the registry is closed', async () => {
  const listener = await Listener.start();
  listener.usually = (response) => setTimeout(() => response.end(), 5);
  const sinks = [webhook({ url: listener.url, ...PATIENT })];
  const at = await openRegistry(BARE, { notifications: { sinks, drainTimeout: '1m' } });
  const digests = await push(at, 10);
  await at.close();
  assert.deepEqual(
    listener.received.map(({ events: [event] }) => event?.target.digest),
    digests,
  );
});

test.run();
