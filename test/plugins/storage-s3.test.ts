// `storage/s3` against a real server: the contract, several hosts on one bucket, a server that comes and
// goes, and what it costs in memory.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { rename, truncate, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { memoryUsage } from 'node:process';
import { S3 } from '@aws-sdk/client-s3';
import { checkOptions, fromConfig, OptionsError, registry, type StorageDriver, startPlugin } from 'koa-registry';
import { purgeUploads } from 'koa-registry/admin';
import { storageDriverSuite } from 'koa-registry/conformance';
import { s3 } from 'koa-registry/plugins/storage/s3';
import { suite } from 'uvu';
import { connect } from '../../plugins/storage/s3/connection.js';
import { piecesOf } from '../../plugins/storage/s3/join.js';
import { requestTimeoutOf, type S3Options } from '../../plugins/storage/s3/options.js';
import { content } from '../support/content.js';
import { password } from '../support/credentials.js';
import { freePort } from '../support/free-port.js';
import { suiteNeeding } from '../support/requires.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';
import {
  assertContent,
  fails,
  inPieces,
  MIB,
  pluginOn,
  recordingLogger,
  type Settings,
  saying,
  withClient,
  withHosts,
} from './storage-s3-fixture.js';

const DAY = 86_400_000;

const { logger: SILENT } = recordingLogger();

let server: S3Server;

const conformance = suiteNeeding('storage/s3: conformance', ['versitygw']);
conformance.before(async () => {
  server = await startVersitygw();
});
// Its large mode passes, and takes longer than anybody wants to wait: the server copies the object twice.
storageDriverSuite(conformance, () => pluginOn(server, { rootDirectory: '/registry/root/' }));
conformance.after(() => {
  const left = readdirSync(join(server.folder, server.bucket)).filter((name) => !name.startsWith('.'));
  assert.deepEqual(left, [], 'something is left behind');
});
conformance.after(() => server.stop());
conformance.run();

const test = suiteNeeding('storage/s3', ['versitygw']);
test.before(async () => {
  server = await startVersitygw();
});
test.after(() => server.stop());

async function withDriver(use: (driver: StorageDriver) => Promise<void>, settings: Settings = {}): Promise<void> {
  const { instance, close } = await startPlugin(pluginOn(server, { rootDirectory: randomUUID(), ...settings }));
  try {
    await use(instance);
  } finally {
    await close();
  }
}

test('an upload goes on at another host, and is committed at a third', async () => {
  await withHosts(server, async (first, second, third) => {
    const bytes = content(14 * MIB);
    assert.equal(await first.append('u/data', 0, inPieces(bytes.subarray(0, 6 * MIB))), 6 * MIB);
    assert.equal(await second.append('u/data', 6 * MIB, inPieces(bytes.subarray(6 * MIB))), bytes.length);
    assert.equal((await third.stat('u/data')).size, bytes.length);
    await third.commit('u/data', 'b/data');
    await assertContent(first, 'b/data', bytes);
    await fails('not-found', first.stat('u/data'));
  });
});

for (const [title, size] of [
  ['creates it', 0],
  ['rewrites a small last part', 1000],
  ['begins a new part', 5 * MIB],
] as const) {
  test(`of two hosts that append at one offset one wins, where that ${title}`, async () => {
    await withHosts(server, async (first, second, third) => {
      const begin = content(size, 1);
      if (size > 0) await third.append('u/data', 0, inPieces(begin));
      const rest = [content(70_000, 2), content(70_001, 3)] as const;
      const results = await Promise.allSettled([
        first.append('u/data', size, inPieces(rest[0])),
        second.append('u/data', size, inPieces(rest[1])),
      ]);
      const lost = results.findIndex(({ status }) => status === 'rejected');
      const won = rest[lost === 0 ? 1 : 0];
      const refused = results[lost];
      assert.ok(refused?.status === 'rejected', 'both won');
      await fails('offset-conflict', Promise.reject(refused.reason));
      assert.equal((await third.stat('u/data')).size, size + won.length);
      await third.commit('u/data', 'b/data');
      await assertContent(third, 'b/data', Buffer.concat([begin, won]));
    });
  });
}

test('small chunks are gathered into parts that can be joined', async () => {
  await withHosts(server, async (first, second, third) => {
    const bytes = content(12 * MIB);
    for (let at = 0; at < bytes.length; at += MIB) {
      const host = at % (2 * MIB) === 0 ? first : second;
      assert.equal(await host.append('u/data', at, inPieces(bytes.subarray(at, at + MIB))), at + MIB);
    }
    await third.commit('u/data', 'b/data');
    await assertContent(third, 'b/data', bytes);
    const tiny = content(20);
    for (let at = 0; at < tiny.length; at++) await first.append('v/data', at, inPieces(tiny.subarray(at, at + 1)));
    await third.commit('v/data', 'b/tiny');
    await assertContent(third, 'b/tiny', tiny);
  });
});

test('a part that is larger than one copy may be is copied in ranges', async () => {
  await withDriver(
    async (driver) => {
      const [head, tail] = [content(100, 1), content(100, 2)];
      await driver.append('u/data', 0, inPieces(head));
      const part = join(server.folder, server.bucket, 'sparse/u/data!/000000000000000');
      const size = 256 * MIB + 1000;
      await truncate(part, size);
      assert.equal(await driver.append('u/data', size, inPieces(tail)), size + tail.length);
      await driver.commit('u/data', 'b/data');
      assert.equal((await driver.stat('b/data')).size, size + tail.length);
      const chunks: Buffer[] = [];
      for await (const chunk of await driver.open('b/data', { start: size - 10 })) chunks.push(chunk);
      assert.deepEqual(Buffer.concat(chunks), Buffer.concat([Buffer.alloc(10), tail]));
      await driver.remove('b');
    },
    { rootDirectory: 'sparse' },
  );
});

test('half a gigabyte passes through a few buffers', async () => {
  await withDriver(async (driver) => {
    const piece = content(64 * 1024);
    const total = 512 * MIB;
    let peak = 0;
    async function* source(bytes: number) {
      for (let sent = 0; sent < bytes; sent += piece.length) {
        peak = Math.max(peak, memoryUsage.rss());
        yield piece;
      }
    }
    await driver.append('warm/data', 0, source(32 * MIB));
    const before = memoryUsage.rss();
    peak = 0;
    assert.equal(await driver.append('u/data', 0, source(total)), total);
    await driver.commit('u/data', 'b/data');
    for await (const _ of await driver.open('b/data')) peak = Math.max(peak, memoryUsage.rss());
    const growth = (peak - before) / MIB;
    assert.ok(growth < 96, `${Math.round(growth)} MiB more`);
    await driver.remove('b');
  });
});

test('a start fails while the server is not there, and the next one succeeds', async () => {
  const port = await freePort();
  const plugin = pluginOn(server, { endpoint: `http://127.0.0.1:${port}`, maxRetries: 0 });
  await assert.rejects(startPlugin(plugin), saying(/the bucket "layers" cannot be used: .*ECONNREFUSED/s));
  const late = await startVersitygw({ port });
  const { instance, close } = await startPlugin(plugin);
  await instance.put('a', Buffer.from('x'));
  await close();
  await late.stop();
});

test('a start says what is wrong with the bucket', async () => {
  await assert.rejects(startPlugin(pluginOn(server, { bucket: 'nobodys' })), saying(/"nobodys" is not there/));
  const secretKey = password('of-somebody-else');
  await assert.rejects(startPlugin(pluginOn(server, { secretKey })), saying(/refuses access to the bucket "layers"/));
  assert.ok(!readdirSync(server.folder).includes('nobodys'), 'it was made');
});

test('while the server is away everything is unavailable and nothing absent; with it all is well again', async () => {
  const first = await startVersitygw();
  const { instance: driver, close } = await startPlugin(pluginOn(first, { maxRetries: 1 }));
  await driver.put('a/b', Buffer.from('x'));
  await driver.append('u/data', 0, inPieces(content(10)));
  await first.stop();
  for (const call of everyCall(driver)) await fails('unavailable', call());
  const second = await startVersitygw({ folder: first.folder, port: first.port });
  await driver.check?.();
  assert.equal((await driver.get('a/b')).toString(), 'x');
  await fails('not-found', driver.get('a/nothing'));
  assert.equal(await driver.append('u/data', 10, inPieces(content(20).subarray(10))), 20);
  await driver.commit('u/data', 'c/data');
  await assertContent(driver, 'c/data', content(20));
  await close();
  await second.stop();
});

/** One call of each method, about keys at which something is and at which nothing is. */
function everyCall(driver: StorageDriver): (() => Promise<unknown>)[] {
  return [
    () => driver.get('a/b'),
    () => driver.get('nothing'),
    () => driver.put('a/c', Buffer.from('y')),
    () => driver.stat('a/b'),
    () => driver.stat('nothing'),
    async () => {
      for await (const _ of driver.list('nothing')) assert.fail('it lists something');
    },
    () => driver.open('nothing'),
    () => driver.append('u/data', 10, inPieces(content(5))),
    () => driver.commit('u/data', 'd/data'),
    () => driver.remove('nothing'),
    async () => driver.check?.(),
  ];
}

test('an absent bucket is no absent object', async () => {
  const own = await startVersitygw();
  const { instance: driver, close } = await startPlugin(pluginOn(own));
  const folder = join(own.folder, own.bucket);
  await rename(folder, `${folder}-gone`);
  for (const call of everyCall(driver)) await fails('unavailable', call());
  await rename(`${folder}-gone`, folder);
  await fails('not-found', driver.stat('nothing'));
  await close();
  await own.stop();
});

test('purge: multipart uploads that a crash has left are aborted, those of old below the prefix', async () => {
  const rootDirectory = randomUUID();
  await withClient(server, async (client) => {
    const Bucket = server.bucket;
    const [old, ...others] = ['k/old', 'k/young', 'k-other/old', 'backup'].map((key) => `${rootDirectory}/${key}`);
    for (const Key of [old, ...others]) {
      const { UploadId } = await client.createMultipartUpload({ Bucket, Key });
      if (!Key?.endsWith('/young')) await age(UploadId ?? '', DAY + 60_000);
    }
    const left = async () => {
      const { Uploads = [] } = await client.listMultipartUploads({ Bucket, Prefix: rootDirectory });
      return Uploads.map(({ Key }) => Key).sort();
    };
    const before = new Date(Date.now() - DAY);
    await withDriver(
      async (driver) => {
        assert.equal((await left()).length, 4, 'the start has aborted something');
        assert.equal(await driver.purge?.('k', { before, dryRun: true }), 1);
        assert.equal((await left()).length, 4);
        assert.equal(await driver.purge?.('k', { before, dryRun: false }), 1);
        assert.deepEqual(await left(), others.sort());
        assert.equal(await driver.purge?.('k', { before, dryRun: false }), 0);
      },
      { rootDirectory },
    );
  });
});

test('a registry aborts its own at its purge, and nobody else’s; one that may not purge aborts nothing', async () => {
  const rootDirectory = randomUUID();
  await withClient(server, async (client) => {
    const Bucket = server.bucket;
    const keys = ['docker/registry/v2/blobs/a', 'docker/registry/other', 'backup'].map(
      (key) => `${rootDirectory}/${key}`,
    );
    for (const Key of keys) await age((await client.createMultipartUpload({ Bucket, Key })).UploadId ?? '', 8 * DAY);
    const left = async () => {
      const { Uploads = [] } = await client.listMultipartUploads({ Bucket, Prefix: rootDirectory });
      return Uploads.length;
    };
    for (const purge of [{ readOnly: true }, { uploads: { purge: { enabled: false } } }]) {
      const idle = registry({ storage: pluginOn(server, { rootDirectory }), logger: SILENT, ...purge });
      await idle.ready();
      await idle.close();
      assert.equal(await left(), 3);
    }
    await withDriver(
      async (storage) => {
        const report = { seen: 0, purged: 0, failed: 0, bytes: 0 };
        assert.deepEqual(await purgeUploads({ storage, dryRun: true }), { ...report, remnants: 1 });
        assert.equal(await left(), 3);
        assert.deepEqual(await purgeUploads({ storage }), { ...report, remnants: 1 });
        assert.equal(await left(), 2);
      },
      { rootDirectory },
    );
  });
});

/** Makes a multipart upload older: to the server, the time of its folder is that of its beginning. */
async function age(uploadId: string, by: number): Promise<void> {
  const uploads = join(server.folder, server.bucket, '.sgwtmp/multipart');
  const [path = ''] = readdirSync(uploads, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith(uploadId),
  );
  const then = new Date(Date.now() - by);
  await utimes(join(uploads, path), then, then);
}

test('url: signed for GET and HEAD, for a week at most', async () => {
  await withDriver(async (driver) => {
    const bytes = content(1000);
    await driver.put('b/data', bytes);
    const url = (await driver.url?.('b/data', { method: 'GET', expires: 60_000 })) ?? '';
    assert.ok(url.startsWith(`${server.url}/${server.bucket}/`) && url.includes('X-Amz-Expires=60'), url);
    const part = await fetch(url, { headers: { range: 'bytes=990-' } });
    assert.equal(part.status, 206);
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(990));
    const head = await driver.url?.('b/data', { method: 'HEAD', expires: 7 * DAY });
    const answer = await fetch(head ?? '', { method: 'HEAD' });
    assert.equal(answer.headers.get('content-length'), '1000');
    assert.equal(await driver.url?.('b/data', { method: 'GET', expires: 7 * DAY + 1 }), undefined);
  });
});

test('a stream that is open when the driver closes is read to its end', async () => {
  const { instance, close } = await startPlugin(pluginOn(server, { rootDirectory: randomUUID() }));
  const bytes = content(6 * MIB);
  await instance.append('u/data', 0, inPieces(bytes));
  await instance.commit('u/data', 'b/data');
  const stream = await instance.open('b/data');
  await close();
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.ok(Buffer.concat(chunks).equals(bytes));
});

/** What is wrong with options, by path; nothing is started for it. */
async function problemsOf(settings: Settings): Promise<readonly string[]> {
  try {
    await startPlugin(s3({ bucket: 'layers', ...settings }), { signal: AbortSignal.abort(new Error('checked')) });
  } catch (error) {
    if (error instanceof OptionsError) return error.problems.map(({ path }) => path);
    assert.equal((error as Error).message, 'checked');
  }
  return [];
}

test.run();

const options = suite('storage/s3: options');

options('an endpoint has to be encrypted unless that is given up', async () => {
  assert.deepEqual(await problemsOf({ endpoint: 'http://store.example' }), ['storage.s3.endpoint']);
  assert.deepEqual(await problemsOf({ regionEndpoint: 'http://store.example' }), ['storage.s3.regionEndpoint']);
  for (const settings of [
    { endpoint: 'http://store.example', secure: false },
    { endpoint: 'https://store.example:9000' },
    { regionEndpoint: 'store.example:9000' },
    { region: 'me-new-7' },
  ]) {
    assert.deepEqual(await problemsOf(settings), []);
  }
});

options('what does not go together, or means nothing, is refused', async () => {
  const [accessKey, secretKey] = ['key', password('s3')];
  for (const [settings, path] of [
    [{ endpoint: 'https://a.example', regionEndpoint: 'https://b.example' }, 'regionEndpoint'],
    [{ endpoint: 'https://a.example/path' }, 'endpoint'],
    [{ endpoint: `https://user:${secretKey}@a.example` }, 'endpoint'],
    [{ endpoint: 'ftp://a.example' }, 'endpoint'],
    [{ accessKey }, 'secretKey'],
    [{ secretKey }, 'accessKey'],
    [{ sessionToken: secretKey }, 'accessKey'],
    [{ keyId: 'key' }, 'keyId'],
    [{ chunkSize: '4MiB' }, 'chunkSize'],
    [{ maxRetries: -1 }, 'maxRetries'],
    [{ v4Auth: false as true }, 'v4Auth'],
    [{ storageClass: 'DEEP_ARCHIVE' as 'STANDARD' }, 'storageClass'],
  ] as const) {
    assert.deepEqual(await problemsOf(settings), [`storage.s3.${path}`]);
  }
});

options('keys that are empty are none, as distribution has it', async () => {
  const none = { accessKey: '', secretKey: '', sessionToken: '' };
  assert.deepEqual(await problemsOf(none), []);
  assert.deepEqual(await problemsOf({ ...none, secretKey: password('s3') }), ['storage.s3.accessKey']);
  const section = { bucket: 'layers', region: 'eu-west-1', accesskey: '', secretkey: '' };
  const { storage } = fromConfig({ version: '0.1', storage: { s3: section } }, [s3]);
  const { value } = checkOptions(storage.definition.options, storage.options);
  assert.equal((value as S3Options).accessKey, undefined);
});

options('a request may take as long as a chunk needs', () => {
  const timeFor = (chunkSize: number, requestTimeout?: number) => requestTimeoutOf({ chunkSize, requestTimeout });
  assert.equal(timeFor(8 * MIB), 60_000);
  assert.equal(timeFor(256 * MIB), 60_000);
  assert.equal(timeFor(4096 * MIB), 16 * 60_000);
  assert.equal(timeFor(4096 * MIB, 1000), 1000);
});

options('no object is made of more copies than the store joins, however large its parts are', () => {
  const partsOf = (count: number, size: number) =>
    Array.from({ length: count }, (_, index) => ({ name: `${index}`, size, modified: new Date(0), version: '1' }));
  for (const [count, size, copies] of [
    [1, 1, 1],
    [10_000, 5 * MIB, 10_000],
    [10, 256 * MIB + 1, 20],
    [5000, 512 * MIB, 10_000],
    [5001, 512 * MIB, 5001],
    [10_000, 4096 * MIB, 10_000],
    [10_000, 5120 * MIB, 10_000],
  ] as const) {
    const pieces = piecesOf(partsOf(count, size));
    assert.equal(pieces.length, copies, `${count} of ${size}`);
    const [first] = pieces;
    const [, last] = /^bytes=0-(\d+)$/.exec(first?.range ?? `bytes=0-${size - 1}`) ?? [];
    assert.ok(Number(last) < 5120 * MIB && Number(last) + 1 >= Math.min(size, 128 * MIB), `0-${last}`);
  }
});

options('a configuration file of distribution is understood', () => {
  const section = {
    accesskey: 'key',
    secretkey: password('s3'),
    region: 'eu-west-1',
    regionendpoint: 'https://store.example',
    forcepathstyle: true,
    bucket: 'layers',
    encrypt: true,
    keyid: 'key',
    secure: true,
    skipverify: false,
    v4auth: true,
    chunksize: 10_485_760,
    rootdirectory: '/registry',
    storageclass: 'STANDARD',
    objectacl: 'private',
    useragent: 'registry',
    accelerate: false,
    usedualstack: false,
  };
  const { storage } = fromConfig({ version: '0.1', storage: { s3: section } }, [s3]);
  assert.equal((storage.options as { regionEndpoint: string }).regionEndpoint, 'https://store.example');
});

options('which hosts of AWS are asked', async () => {
  const conduct = { skipVerify: false, maxRetries: 0, connectionTimeout: 1000, requestTimeout: 1000 };
  for (const [where, host] of [
    [{}, 's3.eu-west-1.amazonaws.com'],
    [{ useDualStack: true }, 's3.dualstack.eu-west-1.amazonaws.com'],
    [{ useFipsEndpoint: true }, 's3-fips.eu-west-1.amazonaws.com'],
    [{ accelerate: true }, 's3-accelerate.amazonaws.com'],
  ] as const) {
    const hosts = { useDualStack: false, useFipsEndpoint: false, accelerate: false, ...where };
    const keys = { accessKey: 'key', secretKey: password('s3') };
    const { s3: client, close } = connect(S3, { region: 'eu-west-1', ...keys, ...hosts, ...conduct });
    let asked = '';
    client.middlewareStack.add(
      () =>
        async ({ request }) => {
          asked = (request as { hostname: string }).hostname;
          throw new Error('far enough');
        },
      { step: 'finalizeRequest' },
    );
    await assert.rejects(client.headBucket({ Bucket: 'layers' }), /far enough/);
    assert.equal(asked, `layers.${host}`);
    client.destroy();
    close();
  }
});

options.run();
