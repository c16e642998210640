// `cache/redis` while Redis is away, and after: requests go on, and what was deleted is answered by nobody,
// whatever Redis has forgotten. Redis is frozen, stopped, killed, and put back to what it was before.
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { type Descriptor, type DescriptorCache, parseRepositoryName } from 'koa-registry';
import { redis } from 'koa-registry/plugins/cache/redis';
import { freePort } from '../support/free-port.js';
import { RedisServer, until } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';
import { descriptorOf, QUICK, withPlugins } from './redis-fixture.js';

const test = suiteNeeding('cache/redis: outages', ['redis-server']);

const SET = `blobs:${parseRepositoryName('some/repository')}` as const;

/** Longer than an outage of a test and the grace after it. */
const TOMBSTONE = '20s';

async function answers(cache: DescriptorCache, { digest }: Descriptor): Promise<boolean> {
  return (await cache.get(SET, digest)) !== undefined;
}

/** Waits until the cache remembers: what it is told, or what it knew. */
async function remember(cache: DescriptorCache, descriptor: Descriptor): Promise<void> {
  await until(async () => {
    await cache.set(SET, descriptor.digest, descriptor);
    return answers(cache, descriptor);
  });
}

/** Asks every host for what was deleted until each of them uses the cache again, and a while longer. */
async function neverAnswered(hosts: readonly DescriptorCache[], deleted: Descriptor, used: () => Promise<boolean>) {
  const ask = async () => {
    for (const host of hosts) assert.equal(await answers(host, deleted), false, 'what was deleted is answered');
  };
  await until(async () => {
    await ask();
    return used();
  });
  for (let count = 0; count < 20; count++) {
    await ask();
    await delay(10);
  }
}

async function withTwoHosts(
  server: RedisServer,
  work: (
    first: DescriptorCache,
    second: DescriptorCache,
    logs: readonly (readonly { message: string }[])[],
  ) => Promise<void>,
  tombstone = TOMBSTONE,
): Promise<void> {
  const plugin = redis({ ...QUICK, addr: server.addr, tombstone });
  try {
    await withPlugins([plugin, plugin], ({ instance: a, log: one }, { instance: b, log: other }) =>
      work(a, b, [one, other]),
    );
  } finally {
    await server.stop('SIGKILL');
  }
}

test('a registry starts without it, and uses it when it is there', async () => {
  const port = await freePort();
  await withPlugins([redis({ ...QUICK, addr: `127.0.0.1:${port}` })], async ({ instance: cache, log }) => {
    const one = descriptorOf('one');
    assert.equal(await answers(cache, one), false);
    await cache.set(SET, one.digest, one);
    await cache.delete(SET, one.digest);
    await assert.rejects(Promise.resolve(cache.check?.()));
    await until(() => log.length > 0);
    const server = await RedisServer.start({ port });
    await until(async () => {
      await cache.set(SET, descriptorOf('two').digest, descriptorOf('two'));
      return answers(cache, descriptorOf('two'));
    });
    await cache.check?.();
    assert.deepEqual(
      log.map(({ level, message }) => [level, message]),
      [
        ['warn', 'Redis is away'],
        ['info', 'Redis is back'],
      ],
    );
    await server.stop();
  });
});

test('frozen: requests do not wait for it each, and the log says once that it is away and once that it is back', async () => {
  const server = await RedisServer.start();
  await withTwoHosts(server, async (first, _second, [log = []]) => {
    const one = descriptorOf('one');
    await remember(first, one);
    const before = log.length;
    server.freeze();
    // A minute and more, if each of them waited.
    for (let count = 0; count < 300; count++) assert.equal(await answers(first, one), false);
    await assert.rejects(Promise.resolve(first.check?.()));
    server.thaw();
    await until(() => answers(first, one));
    assert.deepEqual(
      log.slice(before).map(({ message }) => message),
      ['Redis is away', 'Redis is back'],
    );
  });
});

test('frozen: what was deleted meanwhile no host answers, and the rest is known as before', async () => {
  const server = await RedisServer.start();
  await withTwoHosts(server, async (first, second, logs) => {
    const [kept, deleted, sent] = [descriptorOf('kept'), descriptorOf('deleted'), descriptorOf('sent')];
    for (const each of [kept, deleted, sent]) await remember(first, each);
    await until(() => answers(second, deleted));
    server.freeze();
    await first.delete(SET, sent.digest);
    // Whoever may still believe what Redis says must know by now.
    for (const log of logs)
      assert.deepEqual(
        log.map(({ message }) => message),
        ['Redis is away'],
      );
    await first.delete(SET, deleted.digest);
    for (const host of [first, second]) assert.equal(await answers(host, deleted), false);
    server.thaw();
    const used = async () => (await answers(first, kept)) && answers(second, kept);
    await neverAnswered([first, second], deleted, used);
    await neverAnswered([first, second], sent, used);
  });
});

test('a host that is back waits for the others to say what they have deleted', async () => {
  const server = await RedisServer.start();
  const plugin = redis({ ...QUICK, addr: server.addr, dialTimeout: '1500ms' });
  await withPlugins([plugin], async ({ instance: cache, log }) => {
    const one = descriptorOf('one');
    await remember(cache, one);
    server.freeze();
    await until(() => log.length === 1);
    server.thaw();
    await until(() => log.length === 2);
    for (let count = 0; count < 20; count++) assert.equal(await answers(cache, one), false);
    await until(() => answers(cache, one));
  });
  await server.stop();
});

test('frozen: a look-up that began before cannot bring back what was deleted meanwhile', async () => {
  const server = await RedisServer.start();
  await withTwoHosts(server, async (first, second) => {
    const [kept, deleted] = [descriptorOf('kept'), descriptorOf('deleted')];
    await remember(first, kept);
    await until(() => answers(second, kept));
    assert.equal(await answers(second, deleted), false);
    server.freeze();
    await first.delete(SET, deleted.digest);
    await second.set(SET, deleted.digest, deleted);
    server.thaw();
    await neverAnswered([first, second], deleted, async () => {
      await second.set(SET, deleted.digest, deleted);
      return (await answers(first, kept)) && answers(second, kept);
    });
  });
});

test('more deletes than can be remembered: everything is forgotten, and in time remembered again', async () => {
  const server = await RedisServer.start();
  const work = async (first: DescriptorCache, second: DescriptorCache) => {
    const [kept, deleted] = [descriptorOf('kept'), descriptorOf('deleted')];
    for (const each of [kept, deleted]) await remember(first, each);
    await until(() => answers(second, deleted));
    server.freeze();
    const names = Array.from({ length: 50_001 }, (_, index) => descriptorOf(`${index}`).digest);
    await Promise.all([deleted.digest, ...names].map((digest) => first.delete(SET, digest)));
    server.thaw();
    await neverAnswered([first, second], deleted, async () => {
      await first.set(SET, descriptorOf('new').digest, descriptorOf('new'));
      return answers(second, descriptorOf('new'));
    });
    assert.equal(await answers(first, kept), false);
  };
  await withTwoHosts(server, work, '1s');
});

for (const [how, signal] of [
  ['stopped', 'SIGTERM'],
  ['killed', 'SIGKILL'],
] as const) {
  test(`${how} and started again with its data: what was deleted meanwhile no host answers`, async () => {
    const server = await RedisServer.start({ persistent: true });
    const work = async (first: DescriptorCache, second: DescriptorCache) => {
      const [kept, deleted] = [descriptorOf('kept'), descriptorOf('deleted')];
      for (const each of [kept, deleted]) await remember(first, each);
      await until(() => answers(second, deleted));
      await server.stop(signal);
      await first.delete(SET, deleted.digest);
      await server.start();
      await server.with(async (client) => {
        const texts = await Promise.all((await client.keys(`*${kept.digest}`)).map((key) => client.get(key)));
        assert.ok(texts.includes(JSON.stringify(kept)), 'the test is without meaning: Redis has lost its data');
      });
      await neverAnswered([first, second], deleted, async () => {
        await first.set(SET, descriptorOf('new').digest, descriptorOf('new'));
        return answers(second, descriptorOf('new'));
      });
    };
    await withTwoHosts(server, work, '1s');
  });
}

test('restarted without its data: a look-up that began before cannot bring back what was deleted', async () => {
  const server = await RedisServer.start();
  await withTwoHosts(server, async (first, second, [log = []]) => {
    const deleted = descriptorOf('deleted');
    await remember(first, descriptorOf('other'));
    await until(async () => answers(second, descriptorOf('other')));
    assert.equal(await answers(second, deleted), false);
    await first.delete(SET, deleted.digest);
    await server.stop('SIGKILL');
    await server.start();
    await until(() => log.length === 2);
    for (let count = 0; count < 100; count++) {
      await second.set(SET, deleted.digest, deleted);
      for (const host of [first, second]) assert.equal(await answers(host, deleted), false);
      await delay(20);
    }
  });
});

test('put back to what it was before a delete: what was deleted no host answers', async () => {
  const server = await RedisServer.start({ more: ['--dbfilename', 'snapshot.rdb'] });
  const work = async (first: DescriptorCache, second: DescriptorCache) => {
    const deleted = descriptorOf('deleted');
    await remember(first, deleted);
    await until(() => answers(second, deleted));
    await server.with((client) => client.save());
    await first.delete(SET, deleted.digest);
    await server.stop('SIGKILL');
    await server.start();
    await server.with(async (client) => {
      const texts = await Promise.all((await client.keys(`*${deleted.digest}`)).map((key) => client.get(key)));
      assert.deepEqual(texts, [JSON.stringify(deleted)], 'the test is without meaning');
    });
    await neverAnswered([first, second], deleted, async () => {
      await first.set(SET, descriptorOf('new').digest, descriptorOf('new'));
      return answers(second, descriptorOf('new'));
    });
  };
  await withTwoHosts(server, work, '1s');
});

test('frozen, stopped and killed in the middle of traffic: no host ever answers what was deleted', async () => {
  const server = await RedisServer.start({ persistent: true });
  const work = async (...hosts: readonly [DescriptorCache, DescriptorCache]) => {
    const traffic = new Traffic(hosts);
    const ended = traffic.run();
    const calm = () => delay(1_500);
    await calm();
    server.freeze();
    await calm();
    server.thaw();
    await calm();
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await server.stop(signal);
      await calm();
      await server.start();
      await calm();
    }
    traffic.stop();
    await ended;
    assert.ok(traffic.deletes > 100 && traffic.hits > 100, `${traffic.deletes} deletes, ${traffic.hits} hits`);
  };
  await withTwoHosts(server, (first, second) => work(first, second), '1s');
});

/** Pulls, pushes and deletes on several hosts, over a store that is always right. */
class Traffic {
  deletes = 0;
  hits = 0;
  readonly #hosts: readonly DescriptorCache[];
  readonly #store = new Set<string>();
  /** What was deleted, and said to be. */
  readonly #gone = new Set<string>();
  readonly #names: string[] = [];
  #going = true;

  constructor(hosts: readonly DescriptorCache[]) {
    this.#hosts = hosts;
  }

  stop(): void {
    this.#going = false;
  }

  async run(): Promise<void> {
    const jobs = this.#hosts.flatMap((host) => [
      this.#push(host),
      this.#pull(host),
      this.#pull(host),
      this.#remove(host),
    ]);
    await Promise.all(jobs.map((job) => job.finally(() => this.stop())));
  }

  async #push(host: DescriptorCache): Promise<void> {
    while (this.#going) {
      const name = `content ${this.#names.length}`;
      const one = descriptorOf(name);
      this.#store.add(name);
      this.#names.push(name);
      await host.set(SET, one.digest, one);
      await delay(5);
    }
  }

  async #pull(host: DescriptorCache): Promise<void> {
    while (this.#going) {
      const name = this.#any();
      const one = descriptorOf(name);
      const gone = this.#gone.has(name);
      const found = await answers(host, one);
      assert.ok(!(gone && found), `${name} was deleted, and is answered`);
      if (found) this.hits += 1;
      else if (this.#store.has(name)) {
        // The store was asked before, and its answer comes late.
        await delay(Math.random() * 20);
        await host.set(SET, one.digest, one);
      }
      await delay(1);
    }
  }

  async #remove(host: DescriptorCache): Promise<void> {
    while (this.#going) {
      const name = this.#any();
      if (this.#store.delete(name)) {
        await host.delete(SET, descriptorOf(name).digest);
        this.#gone.add(name);
        this.deletes += 1;
      }
      await delay(15);
    }
  }

  #any(): string {
    const recent = this.#names.slice(-40);
    return recent[Math.floor(Math.random() * recent.length)] ?? 'none';
  }
}

test.run();
