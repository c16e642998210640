// `storage/gcs` on an emulator of Google Cloud Storage: the contract, several hosts on one bucket, a
// server that comes and goes, and what it costs in memory.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, open, readdir, rename, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { type DriverErrorReason, isDriverError, type Plugin, type StorageDriver, startPlugin } from 'koa-registry';
import { storageDriverSuite } from 'koa-registry/conformance';
import { gcs } from 'koa-registry/plugins/storage/gcs';
import { content } from '../support/content.js';
import { type GcsServer, startFakeGcs } from '../support/fake-gcs.js';
import { announcing, suiteNeeding } from '../support/requires.js';

const KIB = 1024;
const MIB = 1024 * KIB;

let server: GcsServer;

function plugin(options: object = {}): Plugin<'storage'> {
  return gcs({ bucket: server.bucket, apiEndpoint: server.url, ...options });
}

/** Hands over as many drivers as there are hosts, each with connections of its own. */
async function withHosts(count: number, body: (...hosts: StorageDriver[]) => Promise<void>, options: object = {}) {
  const hosts = await Promise.all(Array.from({ length: count }, () => startPlugin(plugin(options))));
  try {
    await body(...hosts.map(({ instance }) => instance));
  } finally {
    await Promise.all(hosts.map(({ close }) => close()));
  }
}

async function* pieces(bytes: Uint8Array, size = 64 * KIB): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(driver: StorageDriver, key: string, start?: number, end?: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await driver.open(key, { start, end })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function names(driver: StorageDriver, key: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of driver.list(key)) found.push(name);
  return found;
}

async function fails(reason: DriverErrorReason, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => isDriverError(error, reason), reason);
}

const CONFORMANCE = 'storage/gcs: conformance';
const conformance = suiteNeeding(CONFORMANCE, ['fake-gcs-server']);
conformance.before(async () => {
  server = await startFakeGcs();
});
conformance.after(() => server.stop());
storageDriverSuite(announcing(conformance, CONFORMANCE), () => plugin({ rootDirectory: '/registry/' }), {
  'keys: odd ones are kept apart':
    'the emulator writes to a temporary file whose name is longer than the object’s, and 255 characters are too many',
});
conformance.run();

const odd = suiteNeeding('storage/gcs: odd keys', ['fake-gcs-server']);
odd.before(async () => {
  server = await startFakeGcs({ backend: 'memory' });
});
odd.after(() => server.stop());
odd('odd keys are kept apart, also one of 255 characters', async () => {
  await withHosts(1, async (driver) => {
    const keys = ['_layers', '-', '--', '_', '...', '..a', '.hidden', 'a..b', '0', 'A', 'a', 'x'.repeat(255)];
    for (const key of keys) await driver.put(`k/${key}`, Buffer.from(key));
    for (const key of keys) assert.equal((await driver.get(`k/${key}`)).toString(), key);
    assert.deepEqual(await names(driver, 'k'), [...keys].sort());
  });
});
odd.run();

const test = suiteNeeding('storage/gcs', ['fake-gcs-server']);
test.before(async () => {
  server = await startFakeGcs();
});
test.after(() => server.stop());

test('an upload begins on one host, goes on on another, and is committed by a third', async () => {
  await withHosts(3, async (first, second, third) => {
    const bytes = content(3 * MIB + 7);
    assert.equal(await first?.append('hosts/u', 0, pieces(bytes.subarray(0, MIB))), MIB);
    assert.equal((await third?.stat('hosts/u'))?.size, MIB);
    assert.equal(await second?.append('hosts/u', MIB, pieces(bytes.subarray(MIB, MIB + 5))), MIB + 5);
    assert.equal(await first?.append('hosts/u', MIB + 5, pieces(bytes.subarray(MIB + 5))), bytes.length);
    await third?.commit('hosts/u', 'hosts/b');
    for (const host of [first, second, third]) assert.ok(bytes.equals(await read(host as StorageDriver, 'hosts/b')));
    assert.deepEqual(await names(first as StorageDriver, 'hosts'), ['b']);
  });
});

test('of two hosts that append at one offset exactly one wins, be the last part small or large', async () => {
  await withHosts(2, async (...hosts) => {
    for (const [round, begun] of [0, 10, 600 * KIB].entries()) {
      const key = `race/${round}`;
      const beginning = content(begun, 9);
      if (begun > 0) await hosts[0]?.append(key, 0, pieces(beginning));
      const contents = hosts.map((_, index) => content(400 * KIB + index, index + 1));
      const results = await Promise.allSettled(
        hosts.map((host, index) => host.append(key, begun, pieces(contents[index] as Buffer))),
      );
      const won = results.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []));
      assert.equal(won.length, 1);
      for (const result of results) {
        if (result.status === 'rejected') await fails('offset-conflict', Promise.reject(result.reason));
      }
      await hosts[0]?.commit(key, `${key}-done`);
      const whole = Buffer.concat([beginning, contents[won[0] ?? 0] as Buffer]);
      assert.ok(whole.equals(await read(hosts[1] as StorageDriver, `${key}-done`)));
    }
  });
});

test('more parts than the service composes at once are joined, and nothing of it is left', async () => {
  await withHosts(
    1,
    async (driver) => {
      const bytes = content(70 * 256 * KIB + 1);
      await driver.append('many/u', 0, pieces(bytes, MIB));
      assert.equal((await readdir(join(server.folder, server.bucket, 'many/u!'))).length, 71);
      await driver.commit('many/u', 'many/b');
      assert.ok(bytes.equals(await read(driver, 'many/b')));
      assert.deepEqual(await names(driver, 'many'), ['b']);
      await driver.remove('many');
      await fails('not-found', driver.stat('many'));
    },
    { chunkSize: '256KiB' },
  );
});

test('chunks of any size make no more parts than needed, and are joined in order', async () => {
  await withHosts(1, async (driver) => {
    const bytes = content(600 * KIB);
    const cuts = [1, 2, 3, 100 * KIB, 100 * KIB + 1, 300 * KIB, 599 * KIB, bytes.length];
    let size = 0;
    for (const cut of cuts) size = await driver.append('cuts/u', size, pieces(bytes.subarray(size, cut)));
    // Those of 1 byte to 300 KiB are one, that to 599 KiB is large enough, and the last one is the last.
    assert.equal((await readdir(join(server.folder, server.bucket, 'cuts/u!'))).length, 3);
    assert.ok(bytes.equals(await read(driver, 'cuts/u')));
    await driver.commit('cuts/u', 'cuts/b');
    assert.ok(bytes.equals(await read(driver, 'cuts/b')));
  });
});

test('offsets past 2^32 are exact', async () => {
  await withHosts(1, async (driver) => {
    const size = 5 * 2 ** 30 + 3;
    await driver.put('large/b', Buffer.alloc(0));
    await driver.append('large/u', 0, pieces(Buffer.alloc(MIB)));
    const stored = (name: string) => join(server.folder, server.bucket, 'large', name);
    for (const name of ['b', 'u!/000000000000000']) await truncate(stored(name), size);
    const file = await open(stored('b'), 'r+');
    await file.write(Buffer.from('needle'), 0, 6, 2 ** 32 + 7);
    await file.close();
    assert.equal((await driver.stat('large/b')).size, size);
    assert.equal((await read(driver, 'large/b', 2 ** 32 + 7, 2 ** 32 + 12)).toString(), 'needle');
    assert.equal((await read(driver, 'large/b', size - 3)).length, 3);
    await fails('offset-conflict', driver.append('large/u', size - 2 ** 32, pieces(Buffer.from('tail'))));
    assert.equal(await driver.append('large/u', size, pieces(Buffer.from('tail'))), size + 4);
    assert.equal((await driver.stat('large/u')).size, size + 4);
    assert.equal((await read(driver, 'large/u', size - 1)).toString(), '\0tail');
    await driver.remove('large');
  });
});

test('half a GiB is appended, committed and read within a bounded amount of memory', async () => {
  await withHosts(1, async (driver) => {
    const chunk = content(MIB);
    async function* half(count: number) {
      for (let sent = 0; sent < count; sent++) yield chunk;
    }
    await driver.append('rss/warm', 0, half(32));
    const before = process.memoryUsage().rss;
    let most = before;
    async function* watched() {
      for await (const bytes of half(512)) {
        most = Math.max(most, process.memoryUsage().rss);
        yield bytes;
      }
    }
    assert.equal(await driver.append('rss/u', 0, watched()), 512 * MIB);
    await driver.commit('rss/u', 'rss/b');
    let length = 0;
    for await (const bytes of await driver.open('rss/b')) {
      length += bytes.length;
      most = Math.max(most, process.memoryUsage().rss);
    }
    assert.equal(length, 512 * MIB);
    const growth = Math.round((most - before) / MIB);
    assert.ok(growth < 128, `${growth} MiB`);
    await driver.remove('rss');
  });
});

test('a stream that was opened may be read to its end after the driver was closed', async () => {
  const { instance: driver, close } = await startPlugin(plugin());
  const bytes = content(12 * MIB);
  await driver.append('closing', 0, pieces(bytes, MIB));
  await driver.commit('closing', 'closing-done');
  const stream = await driver.open('closing-done');
  await once(stream, 'readable');
  await close();
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.ok(bytes.equals(Buffer.concat(chunks)));
});

test.run();

const outage = suiteNeeding('storage/gcs: outages', ['fake-gcs-server']);

outage('a server that is not there yet, or has no such bucket, is an error that says so; then it starts', async () => {
  server = await startFakeGcs({ withBucket: false });
  await server.stop();
  const start = () => startPlugin(plugin({ maxRetries: 0 }));
  await assert.rejects(start(), /the bucket "layers" cannot be used/);
  server = await startFakeGcs(server);
  await mkdir(join(server.folder, server.bucket), { recursive: true });
  await rename(join(server.folder, server.bucket), join(server.folder, 'elsewhere'));
  await assert.rejects(start(), /the bucket "layers" cannot be used/);
  await rename(join(server.folder, 'elsewhere'), join(server.folder, server.bucket));
  const { instance: driver, close } = await start();
  await driver.put('a', Buffer.from('there'));
  assert.equal((await driver.get('a')).toString(), 'there');
  await close();
  await server.stop();
});

/** Every call, each of which would find something or nothing if it could look. */
const CALLS: readonly ((driver: StorageDriver) => Promise<unknown> | undefined)[] = [
  (driver) => driver.get('kept'),
  (driver) => driver.get('absent'),
  (driver) => driver.stat('kept'),
  (driver) => driver.stat('absent'),
  (driver) => driver.open('absent'),
  (driver) => driver.commit('upload', 'done'),
  (driver) => driver.commit('absent', 'absent-too'),
  (driver) => driver.remove('absent'),
  (driver) => driver.append('upload', 10, pieces(content(5))),
  (driver) => names(driver, 'absent'),
  (driver) => names(driver, ''),
  (driver) => driver.check?.(),
];

async function assertUnavailable(driver: StorageDriver): Promise<void> {
  for (const call of CALLS) await fails('unavailable', Promise.resolve(call(driver)));
}

outage(
  'a server that is stopped is unavailable for every call, never not-found, and well again afterwards',
  async () => {
    server = await startFakeGcs();
    await withHosts(
      1,
      async (driver) => {
        await driver.put('kept', Buffer.from('content'));
        await driver.append('upload', 0, pieces(content(10)));
        await server.stop();
        await fails('unavailable', driver.put('other', Buffer.from('x')));
        await assertUnavailable(driver);
        server = await startFakeGcs(server);
        await driver.check?.();
        assert.equal((await driver.get('kept')).toString(), 'content');
        await fails('not-found', driver.get('absent'));
        assert.equal(await driver.append('upload', 10, pieces(content(5))), 15);
        await driver.commit('upload', 'done');
      },
      { maxRetries: 0 },
    );
    await server.stop();
  },
);

outage('a bucket that has vanished is unavailable, never not-found', async () => {
  server = await startFakeGcs();
  await withHosts(1, async (driver) => {
    await driver.put('kept', Buffer.from('content'));
    await rename(join(server.folder, server.bucket), join(server.folder, 'elsewhere'));
    await assertUnavailable(driver);
  });
  await server.stop();
});

outage.run();
