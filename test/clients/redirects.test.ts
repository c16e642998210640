// Blobs that clients get from the store itself: skopeo and fetch follow the registry's redirects to real stores, and
// the registry reads no blob. versitygw verifies signatures; fake-gcs-server serves signed URLs and verifies nothing
// (that they are signed as the service wants it is shown in `test/plugins/storage-gcs-network.test.ts`).
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import Koa from 'koa';
import { grantIf, type Plugin, parseCredentials, registry, type StorageDriver, startPlugin } from 'koa-registry';
import { host } from 'koa-registry/plugins/auth/host';
import { delegate } from 'koa-registry/plugins/layer/delegate';
import { rewrite } from 'koa-registry/plugins/layer/rewrite';
import { gcs } from 'koa-registry/plugins/storage/gcs';
import { s3 } from 'koa-registry/plugins/storage/s3';
import { pino } from 'pino';
import { ObservedStorage } from '../faults/observed-storage.js';
import { answered, refused } from '../http/suite/answers.js';
import { until } from '../support/cluster.js';
import { content, pushBlob } from '../support/content.js';
import { password } from '../support/credentials.js';
import { startFakeGcs } from '../support/fake-gcs.js';
import { type HttpRelay, startHttpRelay } from '../support/http-relay.js';
import { type LayoutDescriptor, makeImage } from '../support/images.js';
import { listen } from '../support/koa-service.js';
import { type Nginx, startNginx } from '../support/nginx.js';
import { type Contents, readLayout } from '../support/oci-layout.js';
import { BARE, given, type OpenOptions, type OpenRegistry, openRegistry } from '../support/registry.js';
import { type Program, suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';

/** A store that runs, and the plugin that reaches it. */
interface Store {
  readonly url: string;
  readonly plugin: Plugin<'storage'>;
  stop(): Promise<void>;
}

interface Setting {
  readonly name: string;
  readonly program: Program;
  start(): Promise<Store>;
}

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const ACCOUNT = { type: 'service_account', client_email: 'registry@tests.example', private_key: PEM };

function s3On({ url, bucket, accessKey, secretKey }: Omit<S3Server, 'port'>, keys: object = { accessKey, secretKey }) {
  return s3({ bucket, endpoint: url, secure: false, rootDirectory: 'the/root', ...keys });
}

const SETTINGS: readonly Setting[] = [
  {
    name: 'storage/gcs',
    program: 'fake-gcs-server',
    start: async () => {
      const { url, bucket, stop } = await startFakeGcs();
      const plugin = gcs({
        bucket,
        apiEndpoint: url,
        credentials: ACCOUNT,
        anonymous: true,
        rootDirectory: 'the/root',
      });
      return { url, plugin, stop };
    },
  },
  {
    name: 'storage/s3',
    program: 'versitygw',
    start: async () => {
      const server = await startVersitygw();
      return { url: server.url, plugin: s3On(server), stop: server.stop };
    },
  },
];

/** A registry of which is known what it answered, and what it read. */
interface Watched {
  readonly at: OpenRegistry;
  /** `127.0.0.1:<port>`, as it stands in an image reference. */
  readonly host: string;
  readonly storage: ObservedStorage;
  /** `GET /v2/…/blobs/sha256:… 307`, of blobs alone. */
  readonly answers: string[];
}

const BLOB = /\/blobs\/sha256:/;

/** The driver with its URLs, and a note of each call. */
function observed(driver: StorageDriver): ObservedStorage {
  return Object.assign(new ObservedStorage(driver), driver.url && { url: driver.url });
}

async function watch(driver: StorageDriver, options: OpenOptions, use: (watched: Watched) => Promise<void>) {
  const storage = observed(driver);
  const answers: string[] = [];
  const attach: NonNullable<(typeof BARE)['attach']> = (app, registry) => {
    app.use(async (ctx, next) => {
      await next();
      if (BLOB.test(ctx.path)) answers.push(`${ctx.method} ${ctx.path} ${ctx.status}`);
    });
    app.use(registry);
  };
  const at = await openRegistry({ ...BARE, attach }, { driver: storage, ...options });
  try {
    await use({ at, storage, answers, host: `127.0.0.1:${at.port}` });
    assert.ok(!/X-(?:Amz|Goog)-/i.test(inspect(at.log, { depth: null })), 'a signed query is in the log');
  } finally {
    await at.close();
  }
}

/** Pushes an image of two layers and a small config; answers their digests, and its layout. */
async function pushImage(host: string, name: string, ...options: string[]) {
  const folder = tempFolder();
  const { digest } = await makeImage(folder, { layers: 2 });
  const to = `docker://${host}/${name}:1`;
  await skopeo('copy', '--quiet', '--dest-tls-verify=false', ...options, `oci:${folder}:latest`, to);
  const contents = await readLayout(folder);
  const manifest = JSON.parse(contents.get(digest)?.toString() ?? '') as Record<'config', LayoutDescriptor> & {
    readonly layers: readonly LayoutDescriptor[];
  };
  const [config, ...layers] = [manifest.config, ...manifest.layers].map(({ digest: each }) => each);
  return { contents, config: config ?? '', layers };
}

/** Copies an image out of a registry; answers all that came. */
async function pullImage(host: string, name: string, ...options: string[]): Promise<Contents> {
  const folder = tempFolder();
  const from = `docker://${host}/${name}:1`;
  await skopeo('copy', '--quiet', '--src-tls-verify=false', ...options, from, `oci:${folder}:latest`);
  return readLayout(folder);
}

/** What a client was answered for a blob. */
function statusesOf(answers: readonly string[], digest: string): string[] {
  return [...new Set(answers.filter((line) => line.includes(digest)).map((line) => line.slice(-3)))];
}

function assertSame(actual: Contents, expected: Contents): void {
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [digest, bytes] of expected) assert.ok(actual.get(digest)?.equals(bytes), `${digest} has other bytes`);
}

for (const { name, program, start } of SETTINGS) {
  const test = suiteNeeding(`redirects, ${name}`, [program, 'skopeo', 'umoci']);
  let store: Store;
  let driver: StorageDriver;
  let close: () => Promise<void>;

  test.before(async () => {
    store = await start();
    ({ instance: driver, close } = await startPlugin(store.plugin));
  });
  test.after(async () => {
    await close();
    await store.stop();
  });

  test('skopeo pulls an image from the store, bit for bit, and the registry reads no blob', async () => {
    await watch(driver, { layer: delegate() }, async (watched) => {
      const { contents, config, layers } = await pushImage(watched.host, 'team/app');
      watched.answers.length = 0;
      const calls = await watched.storage.during(async () => {
        assertSame(await pullImage(watched.host, 'team/app'), contents);
      });
      for (const digest of [config, ...layers]) {
        assert.deepEqual(statusesOf(watched.answers, digest), ['307'], digest);
        assert.ok(!calls.some((call) => /^(?:open|get) /.test(call) && call.includes(digest.slice(7))), digest);
      }
    });
  });

  test('a client gets from the store a part, a suffix and the length', async () => {
    await watch(driver, { layer: delegate({ expires: '30s' }) }, async ({ at, storage, answers }) => {
      const bytes = content(200_000);
      const url = `${at.origin}/v2/team/parts/blobs/${await pushBlob(at, 'team/parts', bytes)}`;
      const calls = await storage.during(async () => {
        for (const [range, start, end] of [
          ['bytes=1000-1999', 1000, 2000],
          ['bytes=-10', 199_990, 200_000],
          ['bytes=150000-', 150_000, 200_000],
        ] as const) {
          const part = await fetch(url, { headers: { range } });
          assert.equal(part.status, 206, range);
          assert.equal(part.headers.get('content-range'), `bytes ${start}-${end - 1}/200000`);
          assert.ok(bytes.subarray(start, end).equals(Buffer.from(await part.arrayBuffer())), range);
        }
        const head = await fetch(url, { method: 'HEAD' });
        assert.ok(head.url.startsWith(`${store.url}/`), head.url);
        assert.deepEqual([head.status, head.headers.get('content-length')], [200, '200000']);
      });
      assert.ok(!calls.some((call) => call.startsWith('open ')));
      assert.deepEqual([...new Set(answers.slice(-4).map((line) => line.slice(-3)))], ['307']);
    });
  });

  test('offload.minSize: the config is streamed, the layers are redirected', async () => {
    await watch(driver, { layer: delegate(), offload: { minSize: '16KiB' } }, async (watched) => {
      const { contents, config, layers } = await pushImage(watched.host, 'team/small');
      watched.answers.length = 0;
      assertSame(await pullImage(watched.host, 'team/small'), contents);
      assert.deepEqual(statusesOf(watched.answers, config), ['200']);
      for (const digest of layers) assert.deepEqual(statusesOf(watched.answers, digest), ['307']);
    });
  });

  test('offload.spare.userAgents: skopeo is streamed to, others are redirected', async () => {
    const offload = { spare: { userAgents: ['Skopeo/'] } };
    await watch(driver, { layer: delegate(), offload }, async (watched) => {
      const { contents, config, layers } = await pushImage(watched.host, 'team/spared');
      watched.answers.length = 0;
      assertSame(await pullImage(watched.host, 'team/spared'), contents);
      for (const digest of [config, ...layers]) assert.deepEqual(statusesOf(watched.answers, digest), ['200']);
      answered(await watched.at.send('GET', `/v2/team/spared/blobs/${config}`), 307);
    });
  });

  test.run();
}

const README = fileURLToPath(new URL('../../../plugins/README.md', import.meta.url));

/** The front server of the example in the plugin's documentation, before this store and what else is to be there. */
async function documentedFront(store: string, more = ''): Promise<Nginx> {
  const [, section = ''] = (await readFile(README, 'utf8')).split('### layer/rewrite');
  const [, block = assert.fail('there is no example')] = /```nginx\n([\s\S]*?)```/.exec(section) ?? [];
  const location = block.replaceAll('store.internal:9000', new URL(store).host);
  // What a server says for all its locations, and this one must not have.
  const server = 'proxy_set_header Host $http_host; client_max_body_size 0;';
  return startNginx((port) => `server { listen 127.0.0.1:${port}; ${server}\n${location}\n${more} }`);
}

const REWRITTEN = { trimPathPrefix: '/layers', addPathPrefix: '/files' } as const;

const fronted = suiteNeeding('redirects, layer/rewrite through nginx', ['versitygw', 'nginx', 'skopeo', 'umoci']);
let server: S3Server;
let relay: HttpRelay;
let driver: StorageDriver;
let close: () => Promise<void>;

fronted.before(async () => {
  server = await startVersitygw();
  relay = await startHttpRelay(server.url);
  ({ instance: driver, close } = await startPlugin(s3On({ ...server, url: relay.url })));
});
fronted.after(async () => {
  await close();
  await relay.close();
  await server.stop();
});

const tests = host({
  realm: 'Tests',
  authorize: (ctx, access) => {
    const sent = parseCredentials(ctx.headers.authorization);
    const known = sent?.scheme === 'basic' && sent.user === 'alice' && sent.password === password('alice');
    return known ? grantIf(access, { name: 'alice' }, () => true) : null;
  },
});

fronted('one front server for registry and store: skopeo pulls, and the store gets to see no login', async () => {
  const service = await listen();
  const front = await documentedFront(relay.url, `location / { proxy_pass ${service.url}; }`);
  const storage = observed(driver);
  const images = registry({
    storage: given({ driver: storage }),
    auth: tests,
    layer: rewrite({ host: front.host, ...REWRITTEN }),
    logger: pino({ level: 'silent' }),
  });
  service.serve(new Koa().use(images));
  const alice = `alice:${password('alice')}`;
  const { contents, config, layers } = await pushImage(front.host, 'team/app', '--dest-creds', alice);
  relay.passed.length = 0;
  const calls = await storage.during(async () => {
    assertSame(await pullImage(front.host, 'team/app', '--src-creds', alice), contents);
  });
  assert.ok(!calls.some((call) => call.startsWith('open ')));
  const fetched = relay.passed.filter(({ url }) => url.includes('X-Amz-Signature'));
  for (const digest of [config, ...layers]) {
    const [first] = fetched.filter(({ url }) => url.includes(digest.slice(7)));
    assert.ok(first !== undefined, `${digest} was not had from the store`);
    assert.equal(first.headers.authorization, undefined);
  }
  const nobody = await fetch(`${front.url}/v2/team/app/blobs/${config}`, { redirect: 'manual' });
  assert.equal(nobody.status, 401, 'nobody is redirected');
  await front.stop();
  await service.close();
  await images.close();
});

fronted('a part is had by the rewritten URL, and the URL with one byte changed is refused by the store', async () => {
  const front = await documentedFront(relay.url);
  await watch(driver, { layer: rewrite({ host: front.host, ...REWRITTEN }) }, async ({ at }) => {
    const bytes = content(100_000, 7);
    const digest = await pushBlob(at, 'team/app', bytes);
    const other = await pushBlob(at, 'team/app', content(100_000, 8));
    const redirected = answered(await at.send('GET', `/v2/team/app/blobs/${digest}`), 307);
    const url = redirected.headers.location ?? assert.fail('no Location');
    assert.ok(url.startsWith(`${front.url}/files/the/root/docker/registry/v2/blobs/sha256/`), url);
    const part = await fetch(url, { headers: { Range: 'bytes=5-14' } });
    assert.equal(part.status, 206);
    assert.ok(bytes.subarray(5, 15).equals(Buffer.from(await part.arrayBuffer())));

    const [hex, otherHex] = [digest.slice(7), other.slice(7)];
    const toOther = url.replace(`${hex.slice(0, 2)}/${hex}`, `${otherHex.slice(0, 2)}/${otherHex}`);
    const [sent = '', digit = ''] = /X-Amz-Signature=([\da-f])/.exec(url) ?? assert.fail('no signature');
    const wrongly = url.replace(sent, `${sent.slice(0, -1)}${digit === '0' ? '1' : '0'}`);
    const longer = url.replace('X-Amz-Expires=1200', 'X-Amz-Expires=1201');
    for (const changed of [toOther, wrongly, longer, url.slice(0, url.indexOf('?'))]) {
      assert.notEqual(changed, url);
      assert.equal((await fetch(changed)).status, 403, changed.replace(/\?.*/, ''));
    }
    assert.equal((await fetch(url, { method: 'DELETE' })).status, 403);
  });
  await front.stop();
});

fronted.run();

const ended = suiteNeeding('redirects, credentials that end', ['versitygw']);
const after: (() => Promise<void>)[] = [];
ended.after.each(async () => {
  for (const end of after.splice(0).reverse()) await end();
});

/** What the SDK would get credentials from. */
const SOURCES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE'];

interface TemporaryKeys {
  /** No new ones are to be had from now on. */
  remove(): Promise<void>;
  /** Leaves the environment as it was. */
  restore(): void;
}

/** Has the SDK get credentials from a program that the test may remove, and from nowhere else; each ends in seconds. */
async function temporaryKeys(store: S3Server): Promise<TemporaryKeys> {
  const folder = tempFolder();
  const [program, config] = [join(folder, 'keys.mjs'), join(folder, 'config')];
  const keys = JSON.stringify({ Version: 1, AccessKeyId: store.accessKey, SecretAccessKey: store.secretKey });
  const end = 'new Date(Date.now() + 3000)';
  await writeFile(program, `console.log(JSON.stringify({ ...${keys}, Expiration: ${end} }));`);
  await writeFile(config, `[default]\ncredential_process = "${process.execPath}" "${program}"\n`);
  const elsewhere = join(folder, 'none');
  const before = { ...process.env };
  const environment = { AWS_CONFIG_FILE: config, AWS_SHARED_CREDENTIALS_FILE: elsewhere };
  Object.assign(process.env, { ...environment, AWS_EC2_METADATA_DISABLED: 'true' });
  for (const name of SOURCES) delete process.env[name];
  const restore = () => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  };
  return { remove: () => rm(program), restore };
}

for (const onFailure of ['stream', 'unavailable'] as const) {
  ended(`who can read the bucket and no longer sign for it: ${onFailure}, and one warning`, async () => {
    const store = await startVersitygw();
    const keys = await temporaryKeys(store);
    after.push(store.stop, async () => keys.restore());
    const [reader, signer] = [await startPlugin(s3On(store)), await startPlugin(s3On(store, {}))];
    after.push(reader.close, signer.close);
    const url = signer.instance.url ?? assert.fail('no URLs');
    const options = { layer: delegate(), offload: { onFailure } };
    await watch({ ...reader.instance, url }, options, async ({ at }) => {
      const paths: string[] = [];
      for (const seed of [1, 2]) paths.push(`/v2/r/blobs/${await pushBlob(at, 'r', content(1000, seed))}`);
      const [first = '', second = ''] = paths;
      answered(await at.send('GET', first), 307);
      assert.equal((await at.registry.health()).checks.layer, 'ok');
      await keys.remove();
      const isUnwell = async () => (await at.registry.health()).checks.layer !== 'ok';
      await until(isUnwell, 'the credentials that the SDK still has end');
      for (let round = 0; round < 3; round++) {
        const answer = await at.send('GET', second);
        if (onFailure === 'unavailable') {
          refused(answer, 503, 'UNAVAILABLE');
          assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
        } else assert.ok(answered(answer, 200).body.equals(content(1000, 2)));
      }
      const warnings = at.log.filter(({ level, message }) => level === 'warn' && /layer handler/.test(message));
      assert.equal(warnings.length, 1);
      const { ready, checks } = await at.registry.health();
      assert.equal(ready, onFailure === 'stream');
      assert.notEqual(checks.layer, 'ok');
      assert.ok(!inspect([at.log, checks], { depth: null }).includes('canary'));
    });
  });
}

ended.run();
