// `notification/function`: a function of the host application is told of events until it has taken them.
import assert from 'node:assert/strict';
import { OptionsError, type RegistryEvent, registry, SinkGoneError } from 'koa-registry';
import { callback, type EventFunction } from 'koa-registry/plugins/notification/function';
import { memory } from 'koa-registry/plugins/storage/memory';
import { suite } from 'uvu';
import { pushBlob } from '../support/content.js';
import { until } from '../support/redis.js';
import type { OpenRegistry } from '../support/registry.js';
import { digestOf, SOON, withRegistry } from './notification-redis-fixture.js';

const test = suite('notification/function');

/** Never resolves, and rejects when it is given up. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

/** Runs `work` with a registry whose events go to a function. */
function withFunction(
  take: EventFunction,
  work: (at: OpenRegistry) => Promise<void>,
  options: { batch?: number; timeout?: number } = {},
): Promise<void> {
  const sink = callback({ ...SOON, ...options, function: take });
  return withRegistry({ notifications: { sinks: [sink], drainTimeout: 0 } }, work);
}

async function pushAll(at: OpenRegistry, count: number): Promise<string[]> {
  const pushed: string[] = [];
  while (pushed.length < count) pushed.push(await pushBlob(at, 'r', `blob ${pushed.length}`));
  return pushed;
}

function metricsOf(at: OpenRegistry) {
  return at.registry.counters().notifications.function ?? assert.fail('nothing is counted');
}

test('it is told of each event, in order, one after the other', async () => {
  const told: RegistryEvent[] = [];
  let running = 0;
  const take = async (events: readonly RegistryEvent[]) => {
    assert.deepEqual([++running, events.length], [1, 1]);
    await new Promise(setImmediate);
    told.push(...events);
    running -= 1;
  };
  await withFunction(take, async (at) => {
    const pushed = await pushAll(at, 20);
    await until(() => metricsOf(at).delivered === 20);
    assert.deepEqual(told.map(digestOf), pushed);
    assert.equal(metricsOf(at).failed, 0);
  });
});

test('what waits comes together, as many at once as it was to be', async () => {
  const sizes: number[] = [];
  let proceed = () => {};
  const first = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  const take = (events: readonly RegistryEvent[]) => {
    sizes.push(events.length);
    return first;
  };
  await withFunction(
    take,
    async (at) => {
      await pushAll(at, 1);
      await until(() => sizes.length === 1);
      await pushAll(at, 9);
      proceed();
      await until(() => metricsOf(at).pending === 0);
      assert.deepEqual(sizes, [1, 5, 4]);
    },
    { batch: 5, timeout: 60_000 },
  );
});

test('one that is not async will do', async () => {
  const told: string[] = [];
  const take = (events: readonly RegistryEvent[]) => told.push(...events.map(digestOf));
  await withFunction(take, async (at) => {
    const pushed = await pushAll(at, 3);
    await until(() => metricsOf(at).delivered === 3);
    assert.deepEqual(told, pushed);
  });
});

for (const [how, fail] of [
  ['throws', () => assert.fail('not now')],
  ['rejects', () => Promise.reject(new Error('not now'))],
] as const) {
  test(`what it ${how} is a failure: the same event comes again, and before the next one`, async () => {
    const told: string[] = [];
    let calls = 0;
    const take: EventFunction = (events) => {
      if (++calls % 3 !== 0) return fail();
      told.push(...events.map(digestOf));
      return undefined;
    };
    await withFunction(take, async (at) => {
      const pushed = await pushAll(at, 5);
      await until(() => metricsOf(at).delivered === 5);
      assert.deepEqual(told, pushed);
      const { failed, retried } = metricsOf(at);
      assert.deepEqual({ calls, failed, retried }, { calls: 15, failed: 10, retried: 10 });
    });
  });
}

test('one that takes too long is told so by the signal, and called again', async () => {
  const reasons: unknown[] = [];
  const told: string[] = [];
  const take: EventFunction = (events, { signal }) => {
    if (reasons.length === 2) return told.push(...events.map(digestOf));
    return aborted(signal).catch((reason: unknown) => {
      reasons.push(reason);
      throw reason;
    });
  };
  await withFunction(
    take,
    async (at) => {
      const pushed = await pushAll(at, 1);
      await until(() => metricsOf(at).delivered === 1);
      assert.deepEqual(told, pushed);
      assert.equal(metricsOf(at).failed, 2);
      for (const reason of reasons) assert.ok(reason instanceof Error);
    },
    { timeout: 50 },
  );
});

test('the end of the registry ends a call', async () => {
  let signalled = false;
  const take: EventFunction = (_, { signal }) =>
    aborted(signal).finally(() => {
      signalled = true;
    });
  await withFunction(take, async (at) => void (await pushAll(at, 1)), { timeout: 60_000 });
  assert.ok(signalled);
});

test('one that wants no more events is called no more', async () => {
  let calls = 0;
  const take = () => {
    calls += 1;
    throw new SinkGoneError('this is enough');
  };
  await withFunction(take, async (at) => {
    await pushAll(at, 1);
    await until(() => metricsOf(at).state === 'stopped');
    await pushAll(at, 5);
    assert.deepEqual([calls, metricsOf(at).dropped], [1, 6]);
  });
});

test('what is no function is refused', () => {
  for (const options of [{}, { function: 'console.log' }]) {
    assert.throws(
      () => registry({ storage: memory(), notifications: { sinks: [callback(options as never)] } }),
      (error) => error instanceof OptionsError && /function: must be a function/.test(error.message),
    );
  }
});

test.run();
