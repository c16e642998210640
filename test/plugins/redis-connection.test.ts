// What both plugins on Redis make of a Redis that goes away without a word, that another one takes over
// from, that is full, and of a cluster whose masters change.
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { type Coordinator, type DescriptorCache, parseRepositoryName, RegistryError } from 'koa-registry';
import { redis as redisCache } from 'koa-registry/plugins/cache/redis';
import { redis as redisLeases } from 'koa-registry/plugins/coordination/redis';
import { moveSlot, RedisServer, replicate, startRedisCluster, startRedisSentinel, until } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';
import { descriptorOf, type LoggedPlugin, QUICK, startLogged } from './redis-fixture.js';
import { RedisRelay } from './redis-relay.js';

const test = suiteNeeding('plugins on Redis', ['redis-server']);

const SET = `blobs:${parseRepositoryName('some/repository')}` as const;
const AT_ONCE = { ttl: 60_000, wait: 0 };

/** Where Redis is: options of both plugins. */
interface Place {
  readonly addr?: string;
  readonly sentinels?: string[];
  readonly sentinelMasterSet?: string;
  readonly cluster?: string[];
  /** Where only what Redis says counts, not how soon it does. */
  readonly commandTimeout?: string;
}

/** Runs `work` with a host that has both plugins, of which each has found Redis. */
async function withHost(
  place: Place,
  work: (cache: LoggedPlugin<'cache'>, leases: LoggedPlugin<'coordination'>) => Promise<void>,
): Promise<void> {
  const cache = await startLogged(redisCache({ ...QUICK, ...place, tombstone: '1s' }));
  const leases = await startLogged(redisLeases({ ...QUICK, ...place }));
  try {
    await until(() => remembers(cache.instance, 'the first'));
    await until(() => grants(leases.instance, 'the first'));
    await work(cache, leases);
  } finally {
    for (const { close } of [cache, leases]) await close();
  }
}

async function remembers(cache: DescriptorCache, text: string): Promise<boolean> {
  const { digest } = descriptorOf(text);
  await cache.set(SET, digest, descriptorOf(text));
  return (await cache.get(SET, digest)) !== undefined;
}

async function grants(leases: Coordinator, name: string): Promise<boolean> {
  try {
    const lease = await leases.acquire(name, AT_ONCE);
    await lease?.release();
    return lease !== undefined;
  } catch (error) {
    assert.ok(error instanceof RegistryError && error.code === 'UNAVAILABLE', String(error));
    return false;
  }
}

/** Names that lie on all masters of a cluster. */
const NAMES = Array.from({ length: 12 }, (_, index) => `name ${index}`);

async function everywhere(leases: Coordinator, cache: DescriptorCache): Promise<boolean> {
  for (const name of NAMES) if (!((await grants(leases, name)) && (await remembers(cache, name)))) return false;
  return true;
}

/** What a plugin has logged after its first `start` lines. */
function said({ log }: LoggedPlugin<'cache'> | LoggedPlugin<'coordination'>, start = 0): string[] {
  return log.slice(start).map(({ message }) => message);
}

const ONCE = ['Redis is away', 'Redis is back'];

test('connections fall silent and new ones are good: they are made, and a lease is not lost', async () => {
  const server = await RedisServer.start();
  const relay = await RedisRelay.start(server.port);
  await withHost({ addr: relay.addr }, async (cache, leases) => {
    const before = [cache, leases].map(({ log }) => log.length);
    const lease = await leases.instance.acquire('name', AT_ONCE);
    const deleted = descriptorOf('the first');
    relay.silence();
    await cache.instance.delete(SET, deleted.digest);
    await until(() => remembers(cache.instance, 'another'));
    assert.equal(await cache.instance.get(SET, deleted.digest), undefined);
    await until(() => grants(leases.instance, 'another'));
    await lease?.confirm();
    await lease?.release();
    assert.ok(await grants(leases.instance, 'name'));
    assert.equal(relay.accepted, 4);
    for (const [index, plugin] of [cache, leases].entries()) assert.deepEqual(said(plugin, before[index]), ONCE);
  });
  await relay.close();
  await server.stop();
});

test('a master hangs and a sentinel has its replica take over: so do the hosts, past a sentinel that is mute', async () => {
  const group = await startRedisSentinel({ replica: true });
  const [master, replica] = group.servers as [RedisServer, RedisServer];
  const mute = await RedisRelay.start(master.port);
  mute.mute = true;
  const place = { sentinels: [mute.addr, ...group.addresses], sentinelMasterSet: 'main' };
  await withHost(place, async (cache, leases) => {
    const before = [cache, leases].map(({ log }) => log.length);
    const lease = await leases.instance.acquire('name', AT_ONCE);
    master.freeze();
    await until(() => grants(leases.instance, 'another'));
    await until(() => remembers(cache.instance, 'another'));
    await lease?.confirm();
    assert.match(await replica.with((client) => client.info('replication')), /role:master/);
    assert.ok((await replica.with((client) => client.keys('*{lease:name}'))).length === 1);
    await lease?.release();
    for (const [index, plugin] of [cache, leases].entries()) assert.deepEqual(said(plugin, before[index]), ONCE);
    master.thaw();
  });
  await group.stop();
  await mute.close();
});

test('a cluster of which one master falls silent, but not to new connections: they are made', async () => {
  const relays = await Promise.all(Array.from({ length: 3 }, () => RedisRelay.start()));
  const cluster = await startRedisCluster({ announced: relays.map(({ port }) => port) });
  for (const [index, relay] of relays.entries()) relay.target = cluster.servers[index]?.port ?? 0;
  await withHost({ cluster: relays.map(({ addr }) => addr) }, async (cache, leases) => {
    await until(() => everywhere(leases.instance, cache.instance));
    const before = [cache, leases].map(({ log }) => log.length);
    relays[0]?.silence();
    for (const { log } of [cache, leases]) await until(() => log.at(-1)?.message === 'Redis is away');
    await until(() => everywhere(leases.instance, cache.instance));
    for (const [index, plugin] of [cache, leases].entries()) assert.deepEqual(said(plugin, before[index]), ONCE);
  });
  await cluster.stop();
  await Promise.all(relays.map((relay) => relay.close()));
});

test('a master of a cluster hangs and its replica takes over: so do the hosts', async () => {
  const cluster = await startRedisCluster({ spare: true });
  const [master, , , spare] = cluster.servers as [RedisServer, RedisServer, RedisServer, RedisServer];
  await replicate(spare, master);
  await withHost({ cluster: cluster.addresses.slice(0, 3) }, async (cache, leases) => {
    await until(() => everywhere(leases.instance, cache.instance));
    master.freeze();
    for (const { log } of [cache, leases]) await until(() => log.at(-1)?.message === 'Redis is away');
    await until(() => everywhere(leases.instance, cache.instance));
    assert.match(await spare.with((client) => client.info('replication')), /role:master/);
    master.thaw();
  });
  await cluster.stop();
});

test('a cluster gets another master while a host is idle: what that host deletes nobody answers', async () => {
  const cluster = await startRedisCluster({ spare: true });
  const [first, , , spare] = cluster.servers as [RedisServer, RedisServer, RedisServer, RedisServer];
  const place = { cluster: cluster.addresses.slice(0, 3) };
  await withHost(place, async ({ instance: idle }) => {
    await moveSlot(0, first, spare, cluster.servers);
    await withHost(place, async ({ instance: busy }) => {
      for (const name of NAMES) {
        const { digest } = descriptorOf(`deleted ${name}`);
        await idle.delete(SET, digest);
        assert.equal(await remembers(busy, `deleted ${name}`), false);
      }
    });
  });
  await cluster.stop();
});

test('a Redis that is full counts as away, which is said once, until there is room again', async () => {
  const server = await RedisServer.start({ more: ['--maxmemory', '4mb', '--maxmemory-policy', 'noeviction'] });
  await withHost({ addr: server.addr, commandTimeout: '3s' }, async (cache, leases) => {
    await server.with(async (client) => {
      const before = [cache, leases].map(({ log }) => log.length);
      const connections = async () => /total_connections_received:(\d+)/.exec(await client.info('stats'))?.[1];
      const opened = await connections();
      await assert.rejects(fill(client), /OOM/);
      for (let count = 0; count < 100; count++) {
        await remembers(cache.instance, `text ${count}`);
        await grants(leases.instance, `name ${count}`);
        await delay(20);
      }
      for (const plugin of [cache, leases]) await assert.rejects(Promise.resolve(plugin.instance.check?.()), /OOM/);
      assert.equal(await connections(), opened);
      await client.config('SET', 'maxmemory', '100mb');
      await until(() => remembers(cache.instance, 'another'));
      await until(() => grants(leases.instance, 'another'));
      for (const [index, plugin] of [cache, leases].entries()) {
        assert.deepEqual(said(plugin, before[index]), ONCE);
        assert.match(String(plugin.log[before[index] ?? 0]?.fields.reason), /OOM/);
      }
    });
  });
  await server.stop();
});

test('a cluster of which one master is full counts as away, which is said once', async () => {
  const cluster = await startRedisCluster();
  const room = (bytes: string) => cluster.servers[1]?.with((client) => client.config('SET', 'maxmemory', bytes));
  await withHost({ cluster: [...cluster.addresses] }, async (cache, leases) => {
    await until(() => everywhere(leases.instance, cache.instance));
    const before = [cache, leases].map(({ log }) => log.length);
    await room('1mb');
    for (const { log } of [cache, leases]) await until(() => log.at(-1)?.message === 'Redis is away');
    for (let count = 0; count < 50; count++) {
      for (const name of NAMES) await grants(leases.instance, name);
      await delay(20);
    }
    await room('0');
    await until(() => everywhere(leases.instance, cache.instance));
    for (const [index, plugin] of [cache, leases].entries()) assert.deepEqual(said(plugin, before[index]), ONCE);
  });
  await cluster.stop();
});

/** Writes until it is refused. */
async function fill(client: { set(key: string, text: string): Promise<unknown> }): Promise<never> {
  for (let count = 0; ; count++) await client.set(`filling ${count}`, 'x'.repeat(10_000));
}

test.run();
