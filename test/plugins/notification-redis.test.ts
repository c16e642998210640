// `notification/redis`: events in the stream of a real Redis, which is full, refuses, goes away in the middle of
// traffic, and comes back.
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { type NotificationSink, OptionsError, type RegistryEvent, registry } from 'koa-registry';
import { redis } from 'koa-registry/plugins/notification/redis';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pushBlob, pushImage } from '../support/content.js';
import { password } from '../support/credentials.js';
import { freePort } from '../support/free-port.js';
import { RedisServer, startRedisCluster, until } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';
import { eventOf } from '../unit/notifications-fixture.js';
import { digestOf, once, SOON, Traffic, withRedis, withRegistry } from './notification-redis-fixture.js';
import { QUICK, withPlugins } from './redis-fixture.js';

const STREAM = 'koa-registry:events';

const PLACE = { dialTimeout: QUICK.dialTimeout, breaker: QUICK.breaker, timeout: QUICK.commandTimeout, ...SOON };

const test = suiteNeeding('notification/redis', ['redis-server']);

/** What a consumer reads: the fields of each entry, in order. */
async function entriesOf(server: RedisServer, stream = STREAM): Promise<Record<string, string>[]> {
  const entries = await server.with((client) => client.xrange(stream, '-', '+'));
  return entries.map(([, fields]) =>
    Object.fromEntries(fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1] ?? '']] : []))),
  );
}

async function eventsOf(server: RedisServer, stream = STREAM): Promise<RegistryEvent[]> {
  return (await entriesOf(server, stream)).map(({ event = '' }) => JSON.parse(event) as RegistryEvent);
}

async function lengthOf(server: RedisServer, stream = STREAM): Promise<number> {
  return server.with((client) => client.xlen(stream));
}

function write(sink: NotificationSink, events: readonly RegistryEvent[]): Promise<void> {
  return sink.write(events, { signal: new AbortController().signal });
}

/** Waits until Redis takes what the sink writes. */
async function taken(sink: NotificationSink, events: readonly RegistryEvent[]): Promise<void> {
  await until(() =>
    write(sink, events).then(
      () => true,
      () => false,
    ),
  );
}

test('an image that is pushed and a tag that is deleted: the events are in the stream, with fields to filter by', async () => {
  await withRedis((server) =>
    withRegistry({ notifications: { sinks: [redis({ ...PLACE, addr: server.addr })] } }, async (at) => {
      const digest = await pushImage(at, 'some/repository', 'latest');
      assert.equal((await at.send('DELETE', '/v2/some/repository/manifests/latest')).status, 202);
      await until(async () => (await lengthOf(server)) === 4);
      const entries = await entriesOf(server);
      assert.deepEqual(
        entries.slice(2).map(({ event: _, id: __, ...fields }) => fields),
        [
          { action: 'push', repository: 'some/repository', tag: 'latest', digest },
          { action: 'delete', repository: 'some/repository', tag: 'latest' },
        ],
      );
      for (const { event = '', id, action, repository, digest: named } of entries) {
        const told = JSON.parse(event) as RegistryEvent;
        const { target } = told;
        assert.deepEqual([told.id, told.action, target.repository, target.digest], [id, action, repository, named]);
        assert.equal(told.source.addr.endsWith(`:${at.port}`), true);
      }
    }),
  );
});

test('events stand in the stream as they were told, in order, those of several writes one after the other', async () => {
  await withRedis((server) =>
    withPlugins([redis({ ...PLACE, addr: server.addr, stream: 'what happens' })], async ({ instance: sink }) => {
      const events = Array.from({ length: 250 }, (_, index) => eventOf('pull', { tag: `${index}`, url: 'http://ü/' }));
      await taken(sink, events.slice(0, 100));
      await write(sink, events.slice(100, 101));
      await write(sink, events.slice(101));
      assert.deepEqual(await eventsOf(server, 'what happens'), events);
      assert.equal(await lengthOf(server), 0);
    }),
  );
});

test('the stream keeps about as many events as it may, the latest', async () => {
  await withRedis((server) =>
    withPlugins([redis({ ...PLACE, addr: server.addr, maxLength: 300 })], async ({ instance: sink }) => {
      const events = Array.from({ length: 2_000 }, () => eventOf());
      await taken(sink, events.slice(0, 100));
      for (let start = 100; start < events.length; start += 100) await write(sink, events.slice(start, start + 100));
      const kept = await eventsOf(server);
      // Redis removes whole nodes of a stream, of a hundred entries each.
      assert.ok(kept.length >= 300 && kept.length <= 400, `${kept.length} are kept`);
      assert.deepEqual(kept, events.slice(-kept.length));
    }),
  );
});

test('a Redis that becomes full takes nothing of a write, and all of it when there is room again', async () => {
  await withRedis((server) =>
    withPlugins([redis({ ...PLACE, addr: server.addr })], async ({ instance: sink }) => {
      const url = `http://some.where/${'x'.repeat(20_000)}`;
      const [first, ...rest] = Array.from({ length: 100 }, () => eventOf('push', { url }));
      assert.ok(first !== undefined);
      await taken(sink, [first]);
      await server.with(async (client) => {
        const [, used] = /used_memory:(\d+)/.exec(await client.info('memory')) ?? [];
        await client.config('SET', 'maxmemory', Number(used) + 1_000_000);
        await assert.rejects(write(sink, rest), /OOM|EXECABORT/);
        assert.equal(await client.xlen(STREAM), 1);
        await client.config('SET', 'maxmemory', 0);
      });
      await taken(sink, rest);
      assert.deepEqual(await eventsOf(server), [first, ...rest]);
    }),
  );
});

test('what Redis refuses within a transaction is a failure, too', async () => {
  await withRedis(async (server) => {
    await server.with((client) => client.set(STREAM, 'no stream'));
    await withPlugins([redis({ ...PLACE, addr: server.addr })], async ({ instance: sink }) => {
      await until(async () => (await Promise.resolve(sink.check?.()).catch(() => false)) !== false);
      await assert.rejects(write(sink, [eventOf(), eventOf()]), /WRONGTYPE/);
      await server.with((client) => client.del(STREAM));
      await write(sink, [eventOf()]);
    });
  });
});

test('a write whose time is over before it begins adds nothing', async () => {
  await withRedis((server) =>
    withPlugins([redis({ ...PLACE, addr: server.addr })], async ({ instance: sink }) => {
      await taken(sink, [eventOf()]);
      const signal = AbortSignal.abort(new Error('too late'));
      await assert.rejects(sink.write([eventOf()], { signal }), /too late/);
      assert.equal(await lengthOf(server), 1);
    }),
  );
});

test('away: the sink is there, refuses at once, and its check rejects; it takes events when Redis is there', async () => {
  const port = await freePort();
  await withPlugins(
    [redis({ ...PLACE, addr: `127.0.0.1:${port}`, timeout: '20s' })],
    async ({ instance: sink, log }) => {
      // An hour and more, if each of them waited.
      for (let count = 0; count < 300; count++) await assert.rejects(write(sink, [eventOf()]));
      await assert.rejects(Promise.resolve(sink.check?.()));
      const server = await RedisServer.start({ port });
      const event = eventOf();
      await taken(sink, [event]);
      await sink.check?.();
      assert.deepEqual(await eventsOf(server), [event]);
      assert.deepEqual(
        log.map(({ message }) => message),
        ['Redis is away', 'Redis is back'],
      );
      await server.stop();
    },
  );
});

test('killed and frozen in the middle of traffic: pushes go on, and of each the stream gets the event, in order', async () => {
  await withRedis((server) =>
    withRegistry({ notifications: { sinks: [redis({ ...PLACE, addr: server.addr })] } }, async (at) => {
      const traffic = new Traffic(at);
      await traffic.more(30);
      await server.stop('SIGKILL');
      await traffic.more(100);
      await server.start();
      await traffic.more(30);
      server.freeze();
      // Longer than a write may take, so that the answer to one is lost.
      await Promise.all([delay(2 * QUICK.commandTimeout), traffic.more(100)]);
      server.thaw();
      await traffic.more(30);
      await traffic.stop();
      await until(async () => once((await eventsOf(server)).map(digestOf)).length === traffic.pushed.length);
      assert.deepEqual(once((await eventsOf(server)).map(digestOf)), traffic.pushed);
      const { failed, dropped } = at.registry.counters().notifications.redis ?? assert.fail();
      assert.ok(failed > 0 && dropped === 0, `${failed} writes have failed, ${dropped} events were dropped`);
    }),
  );
});

test('a wrong password: pushes go on, health says which sink it is, and no log has it', async () => {
  const server = await RedisServer.start({ password: password('right') });
  const sink = redis({ ...PLACE, addr: server.addr, password: password('wrong') });
  try {
    await withRegistry({ notifications: { sinks: [sink] } }, async (at) => {
      const pushed = [await pushBlob(at, 'r', 'one'), await pushBlob(at, 'r', 'two')];
      await until(() => at.registry.counters().notifications.redis?.state === 'failing');
      assert.match(JSON.stringify(await at.registry.health()), /WRONGPASS/);
      await server.with(async (client) => {
        await client.config('SET', 'requirepass', password('wrong'));
        await until(() => at.registry.counters().notifications.redis?.pending === 0);
        assert.equal(await client.xlen(STREAM), pushed.length);
      });
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

test('two registries with different prefixes, and two sinks of one, have streams of their own', async () => {
  await withRedis(async (server) => {
    const { addr } = server;
    const ours = [
      redis({ ...PLACE, addr, keyPrefix: 'ours:' }),
      redis({ ...PLACE, addr, keyPrefix: 'ours:', name: 'pulls', stream: 'pulls', ignore: { actions: ['push'] } }),
    ];
    await withRegistry({ notifications: { sinks: ours } }, (at) =>
      withRegistry({ notifications: { sinks: [redis({ ...PLACE, addr, keyPrefix: 'theirs:' })] } }, async (other) => {
        const digest = await pushBlob(at, 'r', 'ours');
        await pushBlob(other, 'r', 'theirs');
        assert.equal((await at.send('GET', `/v2/r/blobs/${digest}`)).status, 200);
        const lengths = () =>
          Promise.all(['ours:events', 'theirs:events', 'pulls'].map((key) => lengthOf(server, key)));
        await until(async () => (await lengths()).join() === '2,1,1');
      }),
    );
  });
});

test('a cluster takes them, too', async () => {
  const cluster = await startRedisCluster();
  try {
    const plugin = redis({ ...PLACE, cluster: [...cluster.addresses] });
    await withPlugins([plugin], async ({ instance: sink }) => {
      const events = Array.from({ length: 10 }, () => eventOf());
      await taken(sink, events);
      const found = await Promise.all(cluster.servers.map((server) => eventsOf(server).catch(() => [])));
      assert.deepEqual(found.flat(), events);
    });
  } finally {
    await cluster.stop();
  }
});

test('options that cannot be right are named', () => {
  const problemsOf = (options: object) => {
    try {
      registry({ storage: memory(), notifications: { sinks: [redis(options as never)] } });
    } catch (error) {
      if (error instanceof OptionsError) return error.message;
    }
    return assert.fail('there is nothing wrong');
  };
  assert.match(problemsOf({}), /addr: required/);
  assert.match(problemsOf({ addr: 'a', maxLength: 0 }), /maxLength/);
  assert.match(problemsOf({ addr: 'a', stream: '' }), /stream/);
  assert.match(problemsOf({ addr: 'a', maxlength: 5 }), /did you mean "maxLength"/);
});

test.run();
