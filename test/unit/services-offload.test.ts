// Asking the layer handler: whom it is asked for, and what becomes of its failures.
import * as assert from 'node:assert/strict';
import { mock } from 'node:test';
import {
  type LayerAnswer,
  type LayerHandler,
  type LayerRequest,
  type LayerStore,
  type Logger,
  parseDigest,
  RegistryError,
  type RepositoryName,
} from 'koa-registry';
import { test } from 'uvu';
import { Offload, type OffloadSettings } from '../../lib/services/offload.js';
import { sparedClients } from '../../lib/services/spared-clients.js';
import { startStorage } from '../support/registry.js';

const DIGEST = parseDigest(`sha256:${'a'.repeat(64)}`);
const ELSEWHERE = { redirect: 'https://cdn.example/a' };

class Asked implements LayerRequest {
  readonly method: LayerRequest['method'];
  readonly client: string;
  readonly headers: LayerRequest['headers'];
  readonly gone = new AbortController();

  constructor({ method = 'GET', client = '192.0.2.1', headers = {} }: Partial<LayerRequest> = {}) {
    this.method = method;
    this.client = client;
    this.headers = headers;
  }

  get signal(): AbortSignal {
    return this.gone.signal;
  }
}

async function offloadOf(resolve: LayerHandler['resolve'], settings: Partial<OffloadSettings> = {}) {
  const lines: string[] = [];
  const say = (level: string) => (fields: object, message: string) =>
    void lines.push(`${level} ${message}${'err' in fields ? `: ${(fields.err as Error).message}` : ''}`);
  const log: Logger = {
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
    child: () => log,
  };
  const time = { now: 0 };
  const offload = new Offload({
    handler: { resolve },
    storage: await startStorage(),
    log,
    clock: () => time.now,
    minSize: 0,
    head: true,
    isSpared: () => false,
    onFailure: 'stream',
    ...settings,
  });
  const ask = (request: LayerRequest = new Asked(), size = 100) =>
    offload.resolve('r' as RepositoryName, { mediaType: 'application/octet-stream', digest: DIGEST, size }, request);
  return { ask, lines, time, offload };
}

test('small blobs, and HEAD where that is said, are left to the registry', async () => {
  const { ask } = await offloadOf(() => ELSEWHERE, { minSize: 100, head: false });
  assert.equal(await ask(new Asked(), 99), undefined);
  assert.deepEqual(await ask(new Asked(), 100), ELSEWHERE);
  assert.equal(await ask(new Asked({ method: 'HEAD' })), undefined);
});

test('clients are spared by what they call themselves, and by where they are', async () => {
  const isSpared = sparedClients({
    userAgents: ['Docker/1.', 'old'],
    addresses: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'],
  });
  const { ask } = await offloadOf(() => ELSEWHERE, { isSpared });
  const answer = async (client: string, agent?: string) =>
    (await ask(new Asked({ client, headers: agent === undefined ? {} : { 'user-agent': agent } }))) === undefined;
  assert.equal(await answer('192.0.2.1'), false);
  assert.equal(await answer('192.0.2.1', 'docker/1.5.0 go/go1.4'), true);
  assert.equal(await answer('192.0.2.1', 'docker/27.0'), false);
  assert.equal(await answer('192.0.2.1', 'an OLDER client'), true);
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::1', '2001:db8::1%eth0', '192.0.2.7']) {
    assert.equal(await answer(address), true, address);
  }
  for (const address of ['11.0.0.1', '2001:db9::1', '192.0.2.8', 'fe80::1%eth0', '', 'unknown']) {
    assert.equal(await answer(address), false, address);
  }
});

test('a handler that fails is spoken of once, until it was well for a while', async () => {
  let fails = true;
  let answer: LayerAnswer | undefined = ELSEWHERE;
  const { ask, lines, time } = await offloadOf(() => {
    if (fails) throw new Error('no key');
    return answer;
  });
  for (let request = 0; request < 5; request++) assert.equal(await ask(), undefined);
  assert.deepEqual(lines, ['warn the layer handler fails, the registry serves blobs itself meanwhile: no key']);
  fails = false;
  assert.deepEqual(await ask(), ELSEWHERE);
  assert.equal(lines.length, 1);
  time.now += 30_000;
  answer = undefined;
  assert.equal(await ask(), undefined);
  assert.equal(lines.length, 1);
  answer = ELSEWHERE;
  assert.deepEqual(await ask(), ELSEWHERE);
  assert.equal(lines[1], 'info the layer handler is well again');
  fails = true;
  await ask();
  assert.equal(lines.length, 3);
});

test('a handler that fails is a 503 where that is wanted', async () => {
  const { ask, lines } = await offloadOf(() => Promise.reject(new Error('no key')), { onFailure: 'unavailable' });
  await assert.rejects(ask(), (error) => error instanceof RegistryError && error.code === 'UNAVAILABLE');
  assert.deepEqual(lines, ['warn the layer handler fails, blobs are answered 503: no key']);
});

test('what a handler answers to the client is answered', async () => {
  const { ask, lines } = await offloadOf(() => {
    throw new RegistryError('TOOMANYREQUESTS');
  });
  await assert.rejects(ask(), (error) => error instanceof RegistryError && error.code === 'TOOMANYREQUESTS');
  assert.deepEqual(lines, []);
});

test('what is no answer is a failure, and is not repeated in the log', async () => {
  for (const answer of [
    {},
    'https://cdn.example/canary',
    42,
    { redirect: 42 },
    { redirect: '/canary' },
    { redirect: 'ftp://cdn.example/canary' },
    { redirect: 'https://cdn.example/canary\r\nX: y' },
    { redirect: 'https://cdn.example/can ary' },
    { redirect: 'https://' },
    { redirect: 'https://u:canary@cdn.example/' },
    { redirect: 'https://cdn.example/#canary' },
    { headers: null },
    { headers: { 'X-A': 'canary\n' } },
    { headers: { 'X A': 'canary' } },
    { headers: { 'X-A': 1 } },
  ]) {
    const { ask, lines } = await offloadOf(() => answer as unknown as { redirect: string });
    assert.equal(await ask(), undefined);
    assert.equal(lines.length, 1);
    assert.ok(!lines[0]?.includes('canary'), lines[0]);
  }
  // biome-ignore lint/suspicious/noThenProperty: a promise of another library is what is tested
  const thenable = await offloadOf(() => ({ then: (take: (answer: object) => void) => take(ELSEWHERE) }) as never);
  assert.deepEqual(await thenable.ask(), ELSEWHERE);
  const { ask, lines } = await offloadOf(() => null as unknown as undefined);
  assert.equal(await ask(), undefined);
  assert.deepEqual(lines, []);
});

/** Asks, and lets the handler's time pass. */
async function askInVain(ask: () => Promise<unknown>): Promise<unknown> {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const answer = ask();
    mock.timers.tick(10_000);
    return await answer;
  } finally {
    mock.timers.reset();
  }
}

test('a handler that does not answer is left after ten seconds and told so; after three times it has a pause', async () => {
  const requests: LayerRequest[] = [];
  const signals: AbortSignal[] = [];
  const { ask, lines, time } = await offloadOf((_layer, request) => {
    requests.push(request);
    if (requests.length > 1) signals.push(request.signal);
    return new Promise(() => undefined);
  });
  for (let count = 1; count <= 3; count++) {
    assert.equal(await askInVain(() => ask()), undefined);
    assert.equal(requests.length, count);
  }
  assert.ok(signals.every(({ aborted }) => aborted));
  assert.ok(requests[0]?.signal.aborted, 'also for whoever looks at the signal later');
  assert.equal(await ask(), undefined);
  assert.equal(requests.length, 3);
  assert.equal(lines.length, 1);
  time.now += 30_000;
  await askInVain(() => ask());
  assert.equal(requests.length, 4);
});

test('a check that does not end is a failure, too', async () => {
  let signal: AbortSignal | undefined;
  const handler: LayerHandler = {
    resolve: () => undefined,
    check: (options) => {
      signal = options.signal;
      return new Promise(() => undefined);
    },
  };
  const { offload, lines } = await offloadOf(() => undefined, { handler } as Partial<OffloadSettings>);
  await askInVain(() => offload.check());
  assert.equal(signal?.aborted, true);
  assert.equal(lines.length, 1);
  assert.match(String(offload.failure), /whether it is well/);
});

test('a client that goes away is no failure of the handler', async () => {
  const { ask, lines } = await offloadOf(
    (_layer, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );
  const request = new Asked();
  const answer = ask(request);
  const reason = new Error('the client went away');
  request.gone.abort(reason);
  await assert.rejects(answer, reason);
  assert.deepEqual(lines, []);
});

test('what a handler says of itself at the start is in the log', async () => {
  const { offload, lines } = await offloadOf(() => undefined);
  await offload.check();
  assert.deepEqual(lines, []);
  const failing = await offloadOf(() => undefined, {
    handler: {
      resolve: () => undefined,
      check: async ({ url }: LayerStore) => assert.ok(url, 'the driver has no URLs'),
    },
  } as Partial<OffloadSettings>);
  await failing.offload.check();
  assert.deepEqual(failing.lines, [
    'warn the layer handler fails, the registry serves blobs itself meanwhile: the driver has no URLs',
  ]);
});

test.run();
