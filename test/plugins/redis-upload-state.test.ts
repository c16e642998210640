// Uploads whose state is noted in a real Redis: two hosts in turns, and Redis that is killed in the middle,
// and comes back with notes that are behind, or with none.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { digestOf } from 'koa-registry';
import { redis } from 'koa-registry/plugins/coordination/redis';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { type Host, withHost } from '../http/host-service.js';
import { RedisServer, until } from '../support/redis.js';
import { RegistryClient } from '../support/registry-client.js';
import { suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { QUICK } from './redis-fixture.js';

const test = suiteNeeding('uploads.state in Redis', ['redis-server']);

const CHUNK = 200_000;
const CHUNKS = Array.from({ length: 6 }, () => randomBytes(CHUNK));
const WHOLE = Buffer.concat(CHUNKS);

type Hosts = readonly [Host, Host];

async function withHosts(server: RedisServer, work: (hosts: Hosts) => Promise<void>): Promise<void> {
  const options = {
    storage: filesystem({ rootDirectory: tempFolder() }),
    coordination: redis({ ...QUICK, addr: server.addr }),
    uploads: { state: 'coordination' },
  } as const;
  try {
    await withHost({ options }, (one) =>
      withHost({ options }, async (two) => {
        await well([one, two]);
        await work([one, two]);
      }),
    );
  } finally {
    await server.stop('SIGKILL');
  }
}

async function well(hosts: Hosts): Promise<void> {
  for (const { registry } of hosts) await until(async () => (await registry.health()).ok);
}

async function unwell(hosts: Hosts): Promise<void> {
  for (const { registry } of hosts) await until(async () => !(await registry.health()).ok);
}

/** Pushes in chunks, each request to the other host; `between` is called before each chunk and before the end. */
async function pushInTurns(hosts: Hosts, between: (chunk: number) => Promise<void> = async () => {}): Promise<void> {
  const client = new RegistryClient(hosts[0].url);
  const at = (location: string, turn: number) => {
    const { pathname, search } = new URL(location);
    return `${hosts[turn % 2 === 0 ? 1 : 0].url}${pathname}${search}`;
  };
  let location = await client.startUpload('r');
  for (const [index, chunk] of CHUNKS.entries()) {
    await between(index);
    location = await client.patchUpload(at(location, index), chunk, index * CHUNK);
    assert.ok(!location.includes('_state='));
  }
  await between(CHUNKS.length);
  await client.finishUpload(at(location, CHUNKS.length), digestOf(WHOLE));
  for (const { url } of hosts) {
    assert.deepEqual(await new RegistryClient(url).pullBlob('r', digestOf(WHOLE)), WHOLE);
  }
}

function bytesReread(hosts: Hosts): number {
  return hosts.reduce((sum, { registry }) => sum + registry.counters().uploadBytesReread, 0);
}

function notes(server: RedisServer): Promise<string[]> {
  return server.with((client) => client.keys('koa-registry:note:upload-states/*'));
}

test('each request at another host: one note, and nothing is read back', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (hosts) => {
    await pushInTurns(hosts, async (chunk) => assert.equal((await notes(server)).length, 1, `before chunk ${chunk}`));
    assert.equal(bytesReread(hosts), 0);
    const [note = ''] = await notes(server);
    assert.ok((await server.with((client) => client.pttl(note))) <= 60_000, 'the note of what is over stays');
  });
});

test('Redis is killed in the middle: the upload goes on and ends without it', async () => {
  const server = await RedisServer.start();
  await withHosts(server, async (hosts) => {
    await pushInTurns(hosts, async (chunk) => {
      if (chunk !== 2) return;
      await server.stop('SIGKILL');
      await unwell(hosts);
    });
    assert.ok(bytesReread(hosts) > 0);
    await server.start();
    await well(hosts);
    const before = bytesReread(hosts);
    await pushInTurns(hosts);
    assert.equal(bytesReread(hosts), before, 'once Redis is back nothing is read back');
  });
});

for (const persistent of [false, true]) {
  test(`Redis is killed and started again ${persistent ? 'with notes that are behind' : 'without its notes'}: the upload goes on`, async () => {
    const server = await RedisServer.start({ persistent });
    await withHosts(server, async (hosts) => {
      await pushInTurns(hosts, async (chunk) => {
        if (chunk === 2) {
          await server.stop('SIGKILL');
          await unwell(hosts);
        }
        if (chunk !== 4) return;
        await server.start();
        await well(hosts);
        assert.equal((await notes(server)).length, persistent ? 1 : 0);
      });
      assert.ok(bytesReread(hosts) <= WHOLE.length, `${bytesReread(hosts)} of ${WHOLE.length} bytes were read back`);
    });
  });
}

test('Redis is killed and started again while chunks are on their way: no request fails', async () => {
  const server = await RedisServer.start({ persistent: true });
  await withHosts(server, async (hosts) => {
    let pushing = true;
    let pushed = 0;
    const push = async () => {
      for (; pushing; pushed++) await pushInTurns(hosts);
    };
    const pushes = Promise.all([push(), push()]).finally(() => (pushing = false));
    for (let count = 0; count < 3 && pushing; count++) {
      const before = pushed;
      await until(() => pushed > before || !pushing);
      await server.stop('SIGKILL');
      await until(() => pushed > before + 3 || !pushing);
      await server.start();
      await well(hosts);
    }
    pushing = false;
    await pushes;
  });
});

test.run();
