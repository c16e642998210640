// `queue/redis`: events that wait in a real Redis, for hosts that come and go, and while Redis does.
import { strict as assert } from 'node:assert';
import { fileURLToPath } from 'node:url';
import type { EventQueue, EventQueueStore, RegistryEvent } from 'koa-registry';
import { eventQueueSuite } from 'koa-registry/conformance';
import { redis as redisLeases } from 'koa-registry/plugins/coordination/redis';
import { redis } from 'koa-registry/plugins/queue/redis';
import { content, pushBlob } from '../support/content.js';
import { password } from '../support/credentials.js';
import { startProcess } from '../support/process.js';
import { RedisServer, startRedisCluster, until } from '../support/redis.js';
import { RegistryClient } from '../support/registry-client.js';
import { suiteNeeding } from '../support/requires.js';
import { eventOf } from '../unit/notifications-fixture.js';
import { dead, once, Traffic, telling, withRedis, withRegistry } from './notification-redis-fixture.js';
import { QUICK, withPlugins } from './redis-fixture.js';

const conformance = suiteNeeding('queue/redis: conformance', ['redis-server']);
let common: RedisServer;
conformance.before(async () => {
  common = await RedisServer.start();
});
conformance.after(() => common.stop());
eventQueueSuite(conformance, () => redis({ ...QUICK, addr: common.addr }), {}, { shared: true });
conformance.run();

const test = suiteNeeding('queue/redis', ['redis-server']);

const KEY = 'koa-registry:{queue:sink}';

const SERVER = fileURLToPath(new URL('./queue-redis-server.js', import.meta.url));

function eventsOf(count: number): RegistryEvent[] {
  return Array.from({ length: count }, (_, index) => eventOf('push', { tag: `${index}`, url: 'http://ü/' }));
}

/** Opens a queue as soon as Redis is there. */
async function opened(store: EventQueueStore, sink = 'sink'): Promise<EventQueue> {
  await until(() =>
    Promise.resolve(store.check?.()).then(
      () => true,
      () => false,
    ),
  );
  return store.open(sink);
}

/** Runs `work` with a Redis and a queue for each of some hosts. */
function withQueues(hosts: number, work: (server: RedisServer, ...queues: EventQueue[]) => Promise<void>) {
  return withRedis((server) => {
    const plugins = Array.from({ length: hosts }, () => redis({ ...QUICK, addr: server.addr }));
    return withPlugins(plugins, async (...started) => {
      const queues: EventQueue[] = [];
      for (const { instance } of started) queues.push(await opened(instance));
      await work(server, ...queues);
    });
  });
}

async function waiting(queue: EventQueue, count = 1000): Promise<RegistryEvent[]> {
  return (await queue.peek(count)).map(({ event }) => event);
}

function bytesOf(events: readonly RegistryEvent[]): number {
  return events.reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0);
}

function assertStanding({ length, bytes }: EventQueue, events: readonly RegistryEvent[]): void {
  assert.deepEqual({ length, bytes }, { length: events.length, bytes: bytesOf(events) });
}

test('events stay until they are removed, in order, and length and bytes are exact', async () => {
  await withQueues(1, async (_, queue = assert.fail()) => {
    const events = eventsOf(30);
    assertStanding(queue, []);
    assert.deepEqual(await queue.peek(10), []);
    await queue.append(events.slice(0, 20));
    await queue.append(events.slice(20));
    assertStanding(queue, events);
    assert.deepEqual(await waiting(queue), events);
    assert.deepEqual(await waiting(queue, 7), events.slice(0, 7));
    await queue.remove(await queue.peek(7));
    assertStanding(queue, events.slice(7));
    const [, ninth = assert.fail(), ...others] = await queue.peek(30);
    await queue.remove([ninth]);
    assert.deepEqual(await waiting(queue), [...events.slice(7, 8), ...events.slice(9)]);
    await queue.remove([ninth, ...others, ...(await queue.peek(1))]);
    assertStanding(queue, []);
    assert.deepEqual(await queue.peek(10), []);
    await queue.append([]);
    await queue.remove([]);
    await queue.append(events.slice(0, 1));
    assertStanding(queue, events.slice(0, 1));
  });
});

test('two hosts that have peeked at the same both remove it, and nothing else', async () => {
  await withQueues(2, async (_, one = assert.fail(), other = assert.fail()) => {
    const events = eventsOf(10);
    await one.append(events.slice(0, 4));
    await other.append(events.slice(4));
    const [mine, theirs] = [await one.peek(5), await other.peek(8)];
    assert.deepEqual(
      theirs.map(({ event }) => event),
      events.slice(0, 8),
    );
    await one.remove(mine);
    await other.remove(theirs);
    await one.remove(mine);
    for (const queue of [one, other]) {
      assert.deepEqual(await waiting(queue), events.slice(8));
      assertStanding(queue, events.slice(8));
    }
  });
});

test('a queue that is opened again has what waited, and knows how much that is', async () => {
  await withQueues(1, async ({ addr }, queue = assert.fail()) => {
    const events = eventsOf(5);
    await queue.append(events);
    await queue.close?.();
    await withPlugins([redis({ ...QUICK, addr })], async ({ instance }) => {
      const again = await opened(instance);
      assertStanding(again, events);
      assert.deepEqual(await waiting(again), events);
    });
  });
});

test('an event that stands where another one was is not removed for it', async () => {
  await withQueues(1, async (server, queue = assert.fail()) => {
    const [before, after] = eventsOf(2);
    assert.ok(before !== undefined && after !== undefined);
    await queue.append([before]);
    const peeked = await queue.peek(1);
    // As after a failover to a replica that has not heard of the first one, and whose clock is behind.
    await server.with(async (client) => {
      const [[position] = assert.fail()] = await client.xrange(KEY, '-', '+');
      await client.flushall();
      await client.xadd(KEY, position, 'id', after.id, 'event', JSON.stringify(after));
    });
    await queue.remove(peeked);
    assert.deepEqual(await waiting(queue), [after]);
  });
});

test('events too large for one command are stored in several, and come in several', async () => {
  await withQueues(1, async (server, queue = assert.fail()) => {
    // Redis hangs up on whoever sends more at once.
    await server.with((client) => client.config('SET', 'client-query-buffer-limit', '2mb'));
    const url = `http://some.where/${'x'.repeat(400_000)}`;
    const events = Array.from({ length: 8 }, () => eventOf('push', { url }));
    await queue.append(events);
    const came: RegistryEvent[] = [];
    for (let round = 0; queue.length > 0; round++) {
      const some = await queue.peek(1000);
      assert.ok(some.length > 0 && some.length < 4, `${some.length} at once`);
      came.push(...some.map(({ event }) => event));
      await queue.remove(some);
      assert.ok(round < 8);
    }
    assert.deepEqual(came, events);
  });
});

test('what is no event does not stop those behind it', async () => {
  await withRedis((server) =>
    withPlugins([redis({ ...QUICK, addr: server.addr })], async ({ instance, log }) => {
      const queue = await opened(instance);
      await server.with((client) => client.xadd(KEY, '*', 'some', 'thing'));
      await server.with((client) => client.xadd(KEY, '*', 'id', 'some', 'event', '{"cut'));
      const [event = assert.fail()] = eventsOf(1);
      await queue.append([event]);
      assert.deepEqual(await waiting(queue), [event]);
      assert.equal(queue.length, 1);
      assert.equal(log.at(-1)?.message, 'removed from the queue what is no event');
    }),
  );
});

test('sinks, and registries with different prefixes, have queues of their own', async () => {
  await withRedis(async ({ addr }) => {
    const plugins = [redis({ ...QUICK, addr }), redis({ ...QUICK, addr, keyPrefix: 'theirs:' })];
    await withPlugins(plugins, async ({ instance: ours }, { instance: theirs }) => {
      const queues = [await opened(ours, 'one'), await opened(ours, 'two'), await opened(theirs, 'one')];
      const events = eventsOf(3);
      for (const [index, queue] of queues.entries()) await queue.append(events.slice(index, index + 1));
      for (const [index, queue] of queues.entries()) assert.deepEqual(await waiting(queue), [events[index]]);
    });
  });
});

test('away: calls are refused at once, and what waited is there when Redis is', async () => {
  await withQueues(1, async (server, queue = assert.fail()) => {
    const [first = assert.fail(), ...others] = eventsOf(3);
    await queue.append([first]);
    const peeked = await queue.peek(1);
    await server.stop('SIGKILL');
    // An hour and more, if each of them waited.
    for (let count = 0; count < 300; count++) {
      await assert.rejects(queue.append(others));
      await assert.rejects(queue.peek(1));
      await assert.rejects(queue.remove(peeked));
    }
    assertStanding(queue, [first]);
    await server.start();
    await until(() =>
      queue.append(others).then(
        () => true,
        () => false,
      ),
    );
    assert.deepEqual(await waiting(queue), [first, ...others]);
  });
});

test('Redis that is full takes nothing of what is appended', async () => {
  await withQueues(1, async (server, queue = assert.fail()) => {
    const events = eventsOf(20);
    await server.with((client) => client.config('SET', 'maxmemory', '1'));
    await assert.rejects(queue.append(events), /OOM/);
    await server.with((client) => client.config('SET', 'maxmemory', '0'));
    await until(() =>
      queue.append(events).then(
        () => true,
        () => false,
      ),
    );
    assert.deepEqual(await waiting(queue), events);
    assertStanding(queue, events);
  });
});

test('Redis that has lost everything: the queue is empty, and goes on', async () => {
  await withQueues(1, async (server, queue = assert.fail()) => {
    const [lost = assert.fail(), next = assert.fail()] = eventsOf(2);
    await queue.append([lost]);
    const peeked = await queue.peek(1);
    await server.with((client) => client.flushall());
    assert.deepEqual(await waiting(queue), []);
    assertStanding(queue, []);
    await queue.append([next]);
    await queue.remove(peeked);
    assert.deepEqual(await waiting(queue), [next]);
  });
});

test('in a cluster, the queues of several sinks', async () => {
  const cluster = await startRedisCluster();
  try {
    await withPlugins([redis({ ...QUICK, cluster: [...cluster.addresses] })], async ({ instance }) => {
      for (let count = 0; count < 10; count++) {
        const queue = await opened(instance, `sink-${count}`);
        const events = eventsOf(3);
        await queue.append(events);
        await queue.remove(await queue.peek(1));
        assert.deepEqual(await waiting(queue), events.slice(1));
        assertStanding(queue, events.slice(1));
      }
    });
  } finally {
    await cluster.stop();
  }
});

/** The options of a registry whose events wait in a Redis. */
function storing({ addr }: RedisServer, sinks: Parameters<typeof withRegistry>[0]['notifications']) {
  return { notifications: { queue: { store: redis({ ...QUICK, addr }) }, drainTimeout: 0, ...sinks } };
}

function pendingOf(at: Parameters<Parameters<typeof withRegistry>[1]>[0]): number {
  return at.registry.counters().notifications.sink?.pending ?? assert.fail('nothing is counted');
}

test('a registry that is closed with events pending: another one delivers them, in order', async () => {
  await withRedis(async (server) => {
    const pushed: string[] = [];
    await withRegistry(storing(server, { sinks: [dead] }), async (at) => {
      for (let count = 0; count < 25; count++) pushed.push(await pushBlob(at, 'r', `blob ${count}`));
      assert.equal(pendingOf(at), 25);
    });
    const told: string[] = [];
    await withRegistry(storing(server, { sinks: [telling(told)] }), async (at) => {
      await until(() => told.length >= 25 && pendingOf(at) === 0);
    });
    assert.deepEqual(told, pushed);
  });
});

test('a registry that is killed in the middle of traffic: another one delivers what was pushed, in order', async () => {
  await withRedis(async (server) => {
    const host = await startProcess(process.execPath, [SERVER, server.addr], { ready: /listening on (\d+)/ });
    const client = new RegistryClient(`http://127.0.0.1:${host.match?.[1]}`);
    const pushed: string[] = [];
    let killed: Promise<void> | undefined;
    for (let count = 0; ; count++) {
      if (count === 50) killed = host.stop('SIGKILL');
      const digest = await client.pushBlob('r', content(100, count), 'post').catch(() => undefined);
      if (digest === undefined) break;
      pushed.push(digest);
    }
    await killed;
    assert.ok(pushed.length >= 50);
    const told: string[] = [];
    const isTold = () => pushed.every((digest) => told.includes(digest));
    await withRegistry(storing(server, { sinks: [telling(told)] }), () => until(isTold));
    // The last of them may have been stored, and its push not answered.
    assert.deepEqual(once(told).slice(0, pushed.length), pushed);
  });
});

test('two hosts with one queue: what either is told of is delivered in order, though one of them ends', async () => {
  await withRedis(async (server) => {
    const told: string[] = [];
    const options = {
      ...storing(server, { sinks: [telling(told)] }),
      coordination: redisLeases({ ...QUICK, addr: server.addr }),
    };
    await withRegistry(options, async (one) => {
      const pushed: string[] = [];
      await withRegistry(options, async (other) => {
        const traffic = new Traffic(one, other);
        await traffic.more(200);
        await traffic.stop();
        pushed.push(...traffic.pushed);
      });
      const traffic = new Traffic(one);
      await traffic.more(50);
      await traffic.stop();
      pushed.push(...traffic.pushed);
      await until(() => pushed.every((digest) => told.includes(digest)));
      assert.deepEqual(once(told), pushed);
      // Two writes, in case that a turn was lost to another host in its middle.
      assert.ok(told.length <= pushed.length + 20, `${told.length - pushed.length} came again`);
    });
  });
});

test('killed and back while events come: they wait in memory, are stored later, and are delivered in order', async () => {
  await withRedis(async (server) => {
    const told: string[] = [];
    await withRegistry(storing(server, { sinks: [telling(told)] }), async (at) => {
      const traffic = new Traffic(at);
      await traffic.more(30);
      await server.stop('SIGKILL');
      await traffic.more(100);
      assert.ok(pendingOf(at) >= 90, `only ${pendingOf(at)} wait`);
      await server.start();
      await traffic.more(30);
      server.freeze();
      await traffic.more(100);
      server.thaw();
      await traffic.stop();
      await until(() => once(told).length === traffic.pushed.length && pendingOf(at) === 0);
      assert.deepEqual(once(told), traffic.pushed);
      const messages = at.log.map(({ message }) => message);
      assert.ok(messages.includes('events cannot be stored, and wait in memory meanwhile'));
      assert.ok(messages.includes('events are stored again'));
      assert.equal(await server.with((client) => client.xlen(KEY)), 0);
    });
  });
});

test('a wrong password: pushes go on, health says so, and no log has it', async () => {
  const server = await RedisServer.start({ password: password('right') });
  const store = redis({ ...QUICK, addr: server.addr, password: password('wrong') });
  const told: string[] = [];
  try {
    await withRegistry({ notifications: { sinks: [telling(told)], queue: { store } } }, async (at) => {
      const pushed = [await pushBlob(at, 'r', 'one'), await pushBlob(at, 'r', 'two')];
      assert.match(JSON.stringify(await at.registry.health()), /WRONGPASS/);
      assert.deepEqual([told, pendingOf(at)], [[], 2]);
      await server.with(async (client) => {
        await client.config('SET', 'requirepass', password('wrong'));
        await until(() => told.length >= 2);
      });
      assert.deepEqual(once(told), pushed);
      const written = at.log.map(({ fields, message }) => `${message} ${JSON.stringify(fields)} ${String(fields.err)}`);
      assert.equal(
        written.find((line) => line.includes('canary')),
        undefined,
      );
    });
  } finally {
    await server.stop('SIGKILL');
  }
});

test.run();
