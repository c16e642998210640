// `coordination/redis`: the contract, holders that die or sleep, and Redis that goes away and comes back.
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { type Coordinator, type Lease, RegistryError } from 'koa-registry';
import { coordinationSuite } from 'koa-registry/conformance';
import { redis } from 'koa-registry/plugins/coordination/redis';
import { password } from '../support/credentials.js';
import { freePort } from '../support/free-port.js';
import { startProcess } from '../support/process.js';
import { RedisServer, startRedisCluster, startRedisSentinel, until } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';
import { QUICK, withPlugins } from './redis-fixture.js';

const conformance = suiteNeeding('coordination/redis: conformance', ['redis-server']);
let shared: RedisServer;
conformance.before(async () => {
  shared = await RedisServer.start();
});
conformance.after(() => shared.stop());
coordinationSuite(conformance, () => redis({ ...QUICK, addr: shared.addr }));
conformance.run();

const test = suiteNeeding('coordination/redis', ['redis-server']);

/** Longer than any test. */
const LONG = { ttl: 120_000, wait: 120_000 };
const AT_ONCE = { ttl: 120_000, wait: 0 };

async function withHosts(
  server: RedisServer,
  work: (first: Coordinator, second: Coordinator) => Promise<void>,
): Promise<void> {
  const plugin = redis({ ...QUICK, addr: server.addr });
  try {
    await withPlugins([plugin, plugin], ({ instance: first }, { instance: second }) => work(first, second));
  } finally {
    await server.stop('SIGKILL');
  }
}

async function take(host: Coordinator, name: string, options = AT_ONCE): Promise<Lease> {
  const lease = await host.acquire(name, options);
  assert.ok(lease !== undefined, 'the lease was not to be had');
  return lease;
}

const isUnavailable = (error: unknown) => error instanceof RegistryError && error.code === 'UNAVAILABLE';

/** Waits until leases can be had. */
async function available(host: Coordinator): Promise<void> {
  await until(async () => {
    try {
      await (await host.acquire('probe', { ttl: 1_000, wait: 1_000 }))?.release();
      return true;
    } catch (error) {
      assert.ok(isUnavailable(error), String(error));
      return false;
    }
  });
}

function startHolder(server: RedisServer, name: string, ttl: number) {
  const program = fileURLToPath(new URL('../support/lease-holder.js', import.meta.url));
  return startProcess(process.execPath, [program, server.addr, name, String(ttl)], { ready: /token (\d+)/ });
}

test('a holder that dies keeps the name no longer than its time', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first, second) => {
    const holder = await startHolder(server, 'name', 1_000);
    assert.equal(await first.acquire('name', AT_ONCE), undefined);
    await holder.stop('SIGKILL');
    const waiting = [first, second].map((host) => host.acquire('name', LONG));
    const lease = await Promise.race(waiting);
    assert.ok((lease?.token ?? 0) > Number(holder.match?.[1]));
    await lease?.release();
    for (const each of waiting) await (await each)?.release();
  });
});

test('a holder that was paused for longer than its time is told so when it wakes', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first) => {
    const holder = await startHolder(server, 'name', 1_000);
    process.kill(holder.pid, 'SIGSTOP');
    const lease = await take(first, 'name', LONG);
    assert.ok(lease.token > Number(holder.match?.[1]));
    process.kill(holder.pid, 'SIGCONT');
    await until(() => /lost: true, the lease "name" was lost: it could not be renewed in time/.test(holder.output()));
    assert.doesNotMatch(holder.output(), /confirmed/);
    await lease.confirm();
    assert.equal(await first.acquire('name', AT_ONCE), undefined);
    await lease.release();
    await holder.stop('SIGKILL');
  });
});

test('a lease that somebody else has got is lost, and is not given back', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first, second) => {
    const lease = await take(first, 'name');
    await server.with((client) => client.del('koa-registry:{lease:name}'));
    const stolen = await take(second, 'name');
    assert.ok(stolen.token > lease.token);
    await assert.rejects(lease.confirm(), /the lease "name" was lost: somebody else has it/);
    assert.equal(lease.signal.aborted, true);
    await assert.rejects(lease.confirm(), (error) => error === lease.signal.reason);
    await lease.release();
    assert.equal(await first.acquire('name', AT_ONCE), undefined, 'it was given back by a stranger');
    await stolen.confirm();
    await stolen.release();
    await (await take(first, 'name')).release();
  });
});

test('a lease is not taken from a holder with a lower token', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first) => {
    const lease = await take(first, 'name');
    await server.with((client) => client.set('koa-registry:{lease:name}', 'a stranger'));
    await assert.rejects(lease.confirm(), /somebody else has it/);
    assert.equal(await server.with((client) => client.get('koa-registry:{lease:name}')), 'a stranger');
  });
});

test('a lease that somebody else has had meanwhile is lost', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first, second) => {
    const lease = await take(first, 'name');
    await server.with((client) => client.del('koa-registry:{lease:name}'));
    await (await take(second, 'name')).release();
    await assert.rejects(lease.confirm(), /somebody else has it/);
  });
});

test('a lease that Redis has forgotten is still held, as long as nobody else has had it', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first, second) => {
    const lease = await take(first, 'name');
    await server.stop();
    await server.start();
    await until(() =>
      lease.confirm().then(
        () => true,
        (error) => !isUnavailable(error),
      ),
    );
    assert.equal(lease.signal.aborted, false);
    await available(second);
    assert.equal(await second.acquire('name', AT_ONCE), undefined);
    await lease.release();
    const next = await take(second, 'name');
    assert.ok(next.token > lease.token);
    await next.release();
  });
});

test('tokens grow though Redis has forgotten all of them, or its clock was ahead', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first, second) => {
    const before = await take(first, 'name');
    await before.release();
    await server.with((client) => client.flushall());
    const after = await take(second, 'name');
    assert.ok(after.token > before.token);
    await after.release();
    const ahead = after.token + 10 ** 12;
    await server.with((client) => client.set('koa-registry:{lease:name}:token', ahead));
    const last = await take(first, 'name');
    assert.equal(last.token, ahead + 1);
    await last.release();
  });
});

test('keys do not stay: each has a time to live', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first) => {
    const lease = await take(first, 'name', { ttl: 5_000, wait: 0 });
    await lease.confirm();
    await first.notes?.set('name', 'text', 3_000);
    await server.with(async (client) => {
      const probe = 'koa-registry:probe:0';
      const keys = (await client.keys('*')).filter((key) => key !== probe);
      const most: Record<string, number> = {
        'koa-registry:{lease:name}': 5_000,
        'koa-registry:{lease:name}:token': 10_000,
        'koa-registry:note:name': 3_000,
      };
      assert.deepEqual(keys.sort(), Object.keys(most).sort());
      for (const key of keys) {
        const ttl = await client.pttl(key);
        assert.ok(ttl > 0 && ttl <= (most[key] ?? 0), `${key}: ${ttl}`);
      }
      await until(async () => (await client.pttl(probe)) > 0);
    });
    await lease.release();
  });
});

test('nothing is left of a lease that was given back when twice its time is over', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first) => {
    const lease = await take(first, 'name', { ttl: 1_000, wait: 0 });
    await lease.confirm();
    await lease.release();
    const left = () => server.with((client) => client.keys('*lease*'));
    assert.deepEqual(await left(), ['koa-registry:{lease:name}:token']);
    await until(async () => (await left()).length === 0);
  });
});

test('the last token is remembered until the clock is past it', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first, second) => {
    const terms = { ttl: 500, wait: 0 };
    const now = await take(first, 'name', terms);
    await now.release();
    const ahead = now.token + 3_000_000;
    await server.with((client) => client.set('koa-registry:{lease:name}:token', ahead));
    const lease = await take(first, 'name', terms);
    await lease.confirm();
    await lease.release();
    await delay(1_500);
    const next = await take(second, 'name', terms);
    assert.equal(next.token, ahead + 2);
    await next.release();
    await until(() => server.with(async (client) => (await client.keys('*lease*')).length === 0));
    const last = await take(second, 'name', terms);
    assert.ok(last.token > next.token);
    await last.release();
  });
});

test('a host that is busy for three seconds when it would renew keeps its lease, and finds Redis there', async () => {
  const server = await RedisServer.start();
  const plugin = redis({ addr: server.addr });
  await withPlugins([plugin], async ({ instance: host, log }) => {
    const lease = await take(host, 'name', { ttl: 8_000, wait: 0 });
    await delay(2_500);
    for (const end = performance.now() + 3_000; performance.now() < end; );
    assert.equal(lease.signal.aborted, false);
    await lease.confirm();
    await delay(100);
    assert.equal(lease.signal.aborted, false);
    assert.deepEqual(log, []);
    await lease.release();
  });
  await server.stop();
});

test('of the requests of one process only the first asks Redis', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first) => {
    const asked = () =>
      server.with(async (client) => /cmdstat_eval:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]);
    const lease = await take(first, 'name');
    const before = await asked();
    const waiting = Array.from({ length: 30 }, () => first.acquire('name', LONG));
    assert.equal(await first.acquire('name', { ttl: 1_000, wait: 300 }), undefined);
    assert.equal(await asked(), before);
    await lease.release();
    for (const each of waiting) await (await each)?.release();
  });
});

test('a registry starts without Redis, is refused leases and notes, and has them when Redis is there', async () => {
  const port = await freePort();
  await withPlugins([redis({ ...QUICK, addr: `127.0.0.1:${port}` })], async ({ instance: host, log }) => {
    await assert.rejects(host.acquire('name', LONG), isUnavailable);
    await assert.rejects(Promise.resolve(host.notes?.get('name')), isUnavailable);
    await assert.rejects(Promise.resolve(host.check?.()));
    const server = await RedisServer.start({ port });
    await available(host);
    await host.check?.();
    await host.notes?.set('name', 'text', 60_000);
    assert.equal(await host.notes?.get('name'), 'text');
    assert.deepEqual(
      log.map(({ message }) => message),
      ['Redis is away', 'Redis is back'],
    );
    await server.stop();
  });
});

test('a wrong password is an outage, and no error has the password', async () => {
  const server = await RedisServer.start({ password: password('redis-right') });
  const plugin = redis({ ...QUICK, addr: server.addr, password: password('redis-wrong') });
  await withPlugins([plugin], async ({ instance: host }) => {
    await assert.rejects(host.acquire('name', LONG), (error) => {
      assert.ok(isUnavailable(error));
      assert.match(inspect(error), /WRONGPASS/);
      assert.doesNotMatch(inspect(error, { depth: 10 }), /canary/);
      return true;
    });
  });
  await server.stop();
});

for (const how of ['stopped', 'frozen'] as const) {
  test(`${how}: whoever waits is refused, whoever comes too, and it goes on afterwards`, async () => {
    const server = await RedisServer.start();
    await withHosts(server, async (first, second) => {
      const lease = await take(first, 'name');
      const waiting = [first, first, second, second].map((host) => host.acquire('name', LONG));
      const refused = Promise.all(waiting.map((each) => assert.rejects(each, isUnavailable)));
      await delay(100);
      if (how === 'stopped') await server.stop('SIGKILL');
      else server.freeze();
      await refused;
      await assert.rejects(first.acquire('other', LONG), isUnavailable);
      await assert.rejects(lease.confirm(), isUnavailable);
      assert.equal(lease.signal.aborted, false);
      if (how === 'stopped') await server.start();
      else server.thaw();
      for (const host of [first, second]) await available(host);
      await lease.confirm();
      await lease.release();
      await (await take(second, 'name')).release();
    });
  });
}

test('away for longer than a lease lasts: its holder is told, and does not wait for Redis', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first, second) => {
    const lease = await take(first, 'name', { ttl: 1_000, wait: 0 });
    server.freeze();
    await until(() => lease.signal.aborted);
    assert.match(String(lease.signal.reason), /the lease "name" was lost: it could not be renewed in time/);
    await assert.rejects(lease.confirm(), (error) => error === lease.signal.reason);
    await lease.release();
    server.thaw();
    await available(second);
    const next = await take(second, 'name', LONG);
    assert.ok(next.token > lease.token);
    await next.release();
  });
});

test('close: whoever waits is refused, and what is held is given back', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (first, second) => {
    const lease = await take(first, 'name');
    const other = await take(second, 'other');
    const waiting = ['name', 'other'].map((name) => assert.rejects(first.acquire(name, LONG), isUnavailable));
    await delay(50);
    await first.close?.();
    await Promise.all(waiting);
    await assert.rejects(first.acquire('third', LONG), isUnavailable);
    await assert.rejects(lease.confirm());
    await other.confirm();
    await other.release();
    for (const name of ['name', 'other', 'third']) await (await take(second, name)).release();
  });
});

test('stopped and killed in the middle of traffic: never two holders, and tokens grow', async () => {
  const server = await RedisServer.start({ persistent: true });
  await withHosts(server, async (first, second) => {
    let going = true;
    let holder: Lease | undefined;
    let [turns, token] = [0, 0];
    const work = async (host: Coordinator) => {
      while (going) {
        const lease = await host.acquire('name', { ttl: 10_000, wait: 1_000 }).catch((error: unknown) => {
          assert.ok(isUnavailable(error), String(error));
          return delay(20, undefined);
        });
        if (lease === undefined) continue;
        assert.ok(holder === undefined, 'two have the lease');
        assert.ok(lease.token > token, 'a token has gone back');
        [holder, token, turns] = [lease, lease.token, turns + 1];
        await delay(5);
        holder = undefined;
        await lease.release();
      }
    };
    const workers = [first, first, second, second].map((host) => work(host).finally(() => (going = false)));
    const traffic = Promise.all(workers);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await delay(1_000);
      await server.stop(signal);
      await delay(1_000);
      await server.start();
    }
    // A lease whose answer was lost with Redis ends with its time.
    const before = turns;
    await until(() => turns > before + 20 || !going);
    going = false;
    await traffic;
  });
});

test('a cluster', async () => {
  const cluster = await startRedisCluster();
  await withPlugins([redis({ ...QUICK, cluster: [...cluster.addresses] })], async ({ instance: host }) => {
    await until(
      () =>
        host.check?.().then(
          () => true,
          () => false,
        ) ?? false,
    );
    await available(host);
    for (const name of ['one', 'two', 'three', '}{', '']) {
      const lease = await take(host, name);
      await lease.confirm();
      await lease.release();
      await host.notes?.set(name, 'text', 60_000);
      assert.equal(await host.notes?.get(name), 'text');
    }
  });
  await cluster.stop();
});

test('sentinels', async () => {
  const group = await startRedisSentinel();
  const plugin = redis({ ...QUICK, sentinels: [...group.addresses], sentinelMasterSet: 'main' });
  await withPlugins([plugin], async ({ instance: host }) => {
    await available(host);
    await (await take(host, 'name')).release();
  });
  await group.stop();
});

test.run();
