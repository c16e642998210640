// `cache/redis` over a Redis that is there: the contract, the options, and what stands in Redis.
import { strict as assert } from 'node:assert';
import { OptionsError, type Plugin, parseRepositoryName, startPlugin } from 'koa-registry';
import { descriptorCacheSuite } from 'koa-registry/conformance';
import { redis } from 'koa-registry/plugins/cache/redis';
import { password } from '../support/credentials.js';
import { RedisServer, startRedisCluster, startRedisSentinel, until } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';
import { descriptorOf, QUICK, startLogged, withPlugins } from './redis-fixture.js';

const conformance = suiteNeeding('cache/redis: conformance', ['redis-server']);
let shared: RedisServer;
conformance.before(async () => {
  shared = await RedisServer.start();
});
conformance.after(() => shared.stop());
descriptorCacheSuite(conformance, () => redis({ ...QUICK, addr: shared.addr }));
conformance.run();

const test = suiteNeeding('cache/redis', ['redis-server']);
let server: RedisServer;
test.before(async () => {
  server = await RedisServer.start();
});
test.after(() => server.stop());

const SET = `blobs:${parseRepositoryName('some/repository')}` as const;

/** Resolves when the cache remembers a descriptor that it is told. */
async function remembers(plugin: Plugin<'cache'>): Promise<void> {
  await withPlugins([plugin], async ({ instance: cache }) => {
    const one = descriptorOf('remembered');
    await until(async () => {
      await cache.set(SET, one.digest, one);
      return (await cache.get(SET, one.digest)) !== undefined;
    });
  });
}

test('a corrupt entry is a miss', async () => {
  await withPlugins([redis({ ...QUICK, addr: server.addr })], async ({ instance: cache }) => {
    const one = descriptorOf('corrupted');
    const other = descriptorOf('another');
    await until(async () => {
      await cache.set(SET, one.digest, one);
      return (await cache.get(SET, one.digest)) !== undefined;
    });
    const texts = ['x', '{', '{}', '[]', 'null', '7', JSON.stringify(other), JSON.stringify({ ...one, size: -1 })];
    await server.with(async (client) => {
      const [key = ''] = await client.keys(`*${SET}@${one.digest}`);
      for (const text of texts) {
        await client.set(key, text);
        assert.equal(await cache.get(SET, one.digest), undefined, text);
      }
      await client.set(key, JSON.stringify(one));
      assert.deepEqual(await cache.get(SET, one.digest), one);
    });
  });
});

test('every key has the prefix, and a time to live', async () => {
  const plugin = redis({ ...QUICK, addr: server.addr, keyPrefix: 'some:', expiry: '1h', tombstone: '1m' });
  await remembers(plugin);
  await withPlugins([plugin], async ({ instance: cache }) => {
    await until(async () => {
      await cache.delete(SET, descriptorOf('deleted').digest);
      return server.with(async (client) => (await client.keys(`some:*${descriptorOf('deleted').digest}`)).length > 0);
    });
  });
  await server.with(async (client) => {
    const keys = (await client.keys('some:*')).filter((key) => !key.startsWith('some:probe:'));
    assert.ok(keys.length >= 2);
    for (const key of keys) {
      const most = key.includes(descriptorOf('deleted').digest) ? 60_000 : 3_600_000;
      const ttl = await client.pttl(key);
      assert.ok(ttl > 0 && ttl <= most, `${key}: ${ttl}`);
    }
  });
});

test('expiry: a descriptor is forgotten in time', async () => {
  await withPlugins([redis({ ...QUICK, addr: server.addr, expiry: '1s' })], async ({ instance: cache }) => {
    const one = descriptorOf('expiring');
    await until(async () => {
      await cache.set(SET, one.digest, one);
      return (await cache.get(SET, one.digest)) !== undefined;
    });
    await until(async () => (await cache.get(SET, one.digest)) === undefined);
  });
});

test('tombstone: once its time is over the descriptor is remembered again', async () => {
  await withPlugins([redis({ ...QUICK, addr: server.addr, tombstone: '500ms' })], async ({ instance: cache }) => {
    const one = descriptorOf('buried');
    const remember = async () => {
      await cache.set(SET, one.digest, one);
      return (await cache.get(SET, one.digest)) !== undefined;
    };
    await until(remember);
    await cache.delete(SET, one.digest);
    assert.equal(await remember(), false);
    await until(remember);
  });
});

test('url: with a password and a database', async () => {
  const secret = password('redis-url');
  const guarded = await RedisServer.start({ password: secret });
  await remembers(redis({ ...QUICK, url: `redis://default:${secret}@${guarded.addr}/3` }));
  await guarded.with(async (client) => {
    assert.deepEqual(await client.keys('*'), []);
    await client.select(3);
    assert.equal((await client.keys('koa-registry:cache:*')).length, 1);
  });
  await guarded.stop();
});

test('password: a wrong one is an outage, of which the log tells without it', async () => {
  const guarded = await RedisServer.start({ password: password('redis-right') });
  const wrong = password('redis-wrong');
  const { instance: cache, log, close } = await startLogged(redis({ ...QUICK, addr: guarded.addr, password: wrong }));
  await until(() => log.length > 0);
  await assert.rejects(Promise.resolve(cache.check?.()), (error: Error) => !`${error.stack}`.includes('canary'));
  assert.equal(await cache.get('blobs', descriptorOf('a').digest), undefined);
  assert.match(JSON.stringify(log), /WRONGPASS/);
  assert.doesNotMatch(JSON.stringify(log), /canary/);
  await close();
  await guarded.stop();
});

test('a cluster', async () => {
  const cluster = await startRedisCluster();
  const plugin = redis({ ...QUICK, cluster: [...cluster.addresses] });
  await remembers(plugin);
  await withPlugins([plugin, plugin], async ({ instance: first }, { instance: second }) => {
    const many = Array.from({ length: 30 }, (_, index) => descriptorOf(`in a cluster ${index}`));
    await until(async () => {
      for (const each of many) await first.set('blobs', each.digest, each);
      const found = await Promise.all(many.map((each) => second.get('blobs', each.digest)));
      return found.every((each) => each !== undefined);
    });
    for (const each of many) await second.delete('blobs', each.digest);
    for (const each of many) {
      await first.set('blobs', each.digest, each);
      assert.equal(await first.get('blobs', each.digest), undefined);
    }
    await first.check?.();
  });
  await cluster.stop();
});

test('sentinels', async () => {
  const group = await startRedisSentinel();
  await remembers(redis({ ...QUICK, sentinels: [...group.addresses], sentinelMasterSet: 'main' }));
  await group.stop();
});

test('options: what does not go together is said', async () => {
  const wrong: readonly (readonly [options: Parameters<typeof redis>[0], path: string])[] = [
    [{}, 'cache.redis.addr'],
    [{ addr: '127.0.0.1', url: 'redis://127.0.0.1' }, 'cache.redis.addr'],
    [{ addr: '127.0.0.1:0' }, 'cache.redis.addr'],
    [{ addr: '127.0.0.1:70000' }, 'cache.redis.addr'],
    [{ addr: 'redis://127.0.0.1' }, 'cache.redis.addr'],
    [{ url: 'http://127.0.0.1' }, 'cache.redis.url'],
    [{ url: 'redis://127.0.0.1/zero' }, 'cache.redis.url'],
    [{ url: 'redis://127.0.0.1/0?family=6' }, 'cache.redis.url'],
    [{ url: 'redis://user:%ff@127.0.0.1' }, 'cache.redis.url'],
    [{ sentinels: ['127.0.0.1:26379'] }, 'cache.redis.sentinelMasterSet'],
    [{ addr: '127.0.0.1', sentinelPassword: 'x' }, 'cache.redis.sentinelPassword'],
    [{ cluster: ['127.0.0.1'], db: 1 }, 'cache.redis.db'],
    [{ addr: '127.0.0.1', commandTimeout: 0 }, 'cache.redis.commandTimeout'],
    [{ addr: '127.0.0.1', breaker: { failures: 0 } }, 'cache.redis.breaker.failures'],
  ];
  for (const [options, path] of wrong) {
    await assert.rejects(startPlugin(redis(options)), (error) => {
      assert.ok(error instanceof OptionsError, String(error));
      assert.deepEqual(
        error.problems.map((problem) => problem.path),
        [path],
        JSON.stringify(options),
      );
      return true;
    });
  }
});

test.run();
