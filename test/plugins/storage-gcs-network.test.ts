// `storage/gcs` and the network: how many requests a call costs, what a bad one does to it, what ends
// with whom, and which credentials go where.
import assert from 'node:assert/strict';
import { createHash, createVerify, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Storage } from '@google-cloud/storage';
import {
  checkOptions,
  type DriverErrorReason,
  fromConfig,
  isDriverError,
  type Logger,
  redact,
  type StorageDriver,
  startPlugin,
} from 'koa-registry';
import { gcs } from 'koa-registry/plugins/storage/gcs';
import { suite } from 'uvu';
import { composeTree } from '../../plugins/storage/gcs/compose-tree.js';
import { UrlSigner } from '../../plugins/storage/gcs/url-signer.js';
import { content } from '../support/content.js';
import { password } from '../support/credentials.js';
import { type GcsServer, startFakeGcs } from '../support/fake-gcs.js';
import { type HttpRelay, startHttpRelay } from '../support/http-relay.js';
import { suiteNeeding } from '../support/requires.js';

const MIB = 1024 * 1024;

const nothing = () => undefined;
const SILENT: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => SILENT };

// To the SDK this is a machine of Google's, where it waits for the metadata server without end.
process.env.K_SERVICE = 'tests';

const test = suiteNeeding('storage/gcs: network', ['fake-gcs-server']);
let server: GcsServer;
let relay: HttpRelay;

test.before(async () => {
  server = await startFakeGcs();
});
test.before.each(async () => {
  relay = await startHttpRelay(server.url);
});
test.after.each(() => relay.close());
test.after(() => server.stop());

async function withDriver(body: (driver: StorageDriver) => Promise<void>, options: object = {}, logger?: Logger) {
  const { instance, close } = await startPlugin(gcs({ bucket: server.bucket, apiEndpoint: relay.url, ...options }), {
    logger,
  });
  try {
    await body(instance);
  } finally {
    await close();
  }
}

async function* pieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function drain(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await collect(stream));
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

async function fails(reason: DriverErrorReason, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => isDriverError(error, reason), reason);
}

/** How many requests a call sends. */
async function cost(call: () => Promise<unknown>): Promise<number> {
  relay.passed.length = 0;
  await call();
  return relay.passed.length;
}

test('the usual calls cost no more requests than they have to', async () => {
  await withDriver(async (driver) => {
    assert.equal(await cost(() => driver.put('cost/link', content(71))), 1);
    assert.equal(await cost(() => driver.get('cost/link')), 1);
    assert.equal(await cost(() => driver.stat('cost/link')), 1);
    assert.equal(await cost(async () => drain(await driver.open('cost/link'))), 1);
    assert.equal(await cost(() => driver.append('cost/u', 0, pieces(content(MIB)))), 2);
    assert.equal(await cost(() => driver.commit('cost/u', 'cost/b')), 3);
    assert.equal(await cost(async () => drain(await driver.open('cost/b', { start: 5 }))), 1);
    assert.equal(await cost(() => collect(driver.list('cost'))), 1);
    assert.equal(await cost(() => driver.check?.() ?? Promise.resolve()), 1);
    await driver.append('cost/v', 0, pieces(content(20 * MIB)));
    // A listing, one request that composes three parts, and one for each part that goes.
    assert.equal(await cost(() => driver.commit('cost/v', 'cost/c')), 5);
    await driver.remove('cost');
  });
});

test('an answer that is lost does not make a write somebody else’s', async () => {
  await withDriver(async (driver) => {
    let lost = 0;
    relay.mischief = ({ method, url }) =>
      method === 'POST' && url.startsWith('/upload/') && lost++ === 0 ? 'lose-answer' : undefined;
    assert.equal(await driver.append('lost/u', 0, pieces(content(10))), 10);
    assert.equal(lost, 2);
    lost = 0;
    assert.equal(await driver.append('lost/u', 10, pieces(content(10))), 20);
    assert.equal(lost, 2);
    relay.mischief = () => undefined;
    await fails('offset-conflict', driver.append('lost/u', 10, pieces(content(10))));
    assert.equal((await drain(await driver.open('lost/u'))).length, 20);
  });
});

test('a commit whose answer is lost has happened once it is tried again', async () => {
  await withDriver(async (driver) => {
    await driver.append('again/u', 0, pieces(content(MIB)));
    let lost = 0;
    relay.mischief = ({ url }) => (url.includes('/compose') && lost++ === 0 ? 'lose-answer' : undefined);
    await driver.commit('again/u', 'again/b');
    assert.equal(lost, 2);
    assert.ok(content(MIB).equals(await drain(await driver.open('again/b'))));
    await fails('not-found', driver.stat('again/u'));
  });
});

test('content that changes on the way is refused', async () => {
  await withDriver(
    async (driver) => {
      relay.mischief = ({ method }) => (method === 'POST' ? 'corrupt' : undefined);
      await fails('unavailable', driver.put('corrupt', content(MIB)));
      relay.mischief = () => undefined;
      await fails('not-found', driver.get('corrupt'));
    },
    { maxRetries: 0 },
  );
});

test('a passing failure is tried again, as often as the option says, and another is not', async () => {
  await withDriver(
    async (driver) => {
      await driver.put('retry', Buffer.from('content'));
      for (const [status, requests] of [
        [503, 3],
        [429, 3],
        [403, 1],
        [401, 1],
        [400, 1],
      ] as const) {
        relay.mischief = () => ({ status, body: '{"error":{"message":"so it is"}}' });
        assert.equal(await cost(() => fails('unavailable', driver.get('retry'))), requests, `${status}`);
      }
      let failures = 0;
      relay.mischief = () => (failures++ < 2 ? { status: 500 } : undefined);
      assert.equal((await driver.get('retry')).toString(), 'content');
    },
    { maxRetries: 2 },
  );
});

test('what the service itself calls an absent object is not asked about again', async () => {
  await withDriver(async (driver) => {
    relay.mischief = () => ({ status: 404, body: '{"error":{"message":"No such object: layers/absent"}}' });
    assert.equal(await cost(() => fails('not-found', driver.get('absent'))), 1);
    relay.mischief = () => ({ status: 404, body: '{"error":{"message":"The specified bucket does not exist."}}' });
    await fails('unavailable', driver.get('absent'));
  });
});

test('a server that says nothing is unavailable, and an aborted signal does not wait for it', async () => {
  await withDriver(
    async (driver) => {
      relay.mischief = () => 'silence';
      await fails('unavailable', driver.get('silent'));
      await fails('unavailable', driver.check?.() ?? Promise.resolve());
    },
    { maxRetries: 0, timeout: 50 },
  );
  relay.mischief = () => undefined;
  await withDriver(
    async (driver) => {
      relay.mischief = () => 'silence';
      const controller = new AbortController();
      const reason = new Error('the caller went away');
      const opened = driver.open('silent', { signal: controller.signal });
      setImmediate(() => controller.abort(reason));
      await assert.rejects(opened, (error) => error === reason);
    },
    { timeout: '10m' },
  );
});

test('an aborted signal ends the pause before another try', async () => {
  await withDriver(
    async (driver) => {
      const controller = new AbortController();
      const reason = new Error('the caller went away');
      relay.mischief = () => {
        setImmediate(() => controller.abort(reason));
        return { status: 503 };
      };
      await assert.rejects(driver.get('paused', { signal: controller.signal }), (error) => error === reason);
      assert.ok(relay.passed.length <= 3);
    },
    { maxRetries: 20 },
  );
});

test('whoever stops reading ends the request; whoever reads slowly does not', async () => {
  const bytes = content(64 * MIB);
  await withDriver(async (driver) => {
    await driver.append('reading/u', 0, pieces(bytes, MIB));
    await driver.commit('reading/u', 'reading/b');
  });
  await withDriver(
    async (driver) => {
      const left = await driver.open('reading/b');
      await once(left, 'readable');
      left.destroy();
      for (let turn = 0; relay.leftEarly === 0 && turn < 2000; turn++) await delay(5);
      assert.equal(relay.leftEarly, 1);
      const slow = await driver.open('reading/b');
      await once(slow, 'readable');
      await delay(1000);
      assert.ok(bytes.equals(await drain(slow)));
    },
    { timeout: 400, maxRetries: 0 },
  );
});

test('no more requests are under way at once than the option says', async () => {
  await withDriver(
    async (driver) => {
      await Promise.all(Array.from({ length: 40 }, (_, index) => driver.put(`turns/${index}`, content(10))));
      await driver.remove('turns');
      assert.equal(relay.mostAtOnce, 3);
    },
    { maxConcurrency: 3 },
  );
});

const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const ACCOUNT = { type: 'service_account', client_email: 'registry@tests.example', private_key: privateKey };

test('a URL that is signed serves the object, whole, in part, and for HEAD', async () => {
  await withDriver(
    async (driver) => {
      const bytes = content(100_000);
      await driver.put('signed/data', bytes);
      const url = async (method: 'GET' | 'HEAD') =>
        (await driver.url?.('signed/data', { method, expires: 60_500 })) ?? assert.fail('no URL');
      const { pathname, searchParams } = new URL(await url('GET'));
      assert.equal(pathname, `/${server.bucket}/registry/signed/data`);
      assert.equal(searchParams.get('X-Goog-Algorithm'), 'GOOG4-RSA-SHA256');
      assert.equal(searchParams.get('X-Goog-Expires'), '61');
      assert.match(
        searchParams.get('X-Goog-Credential') ?? '',
        /^registry@tests\.example\/\d{8}\/auto\/storage\/goog4_request$/,
      );
      const whole = await fetch(await url('GET'));
      assert.ok(bytes.equals(Buffer.from(await whole.arrayBuffer())));
      const part = await fetch(await url('GET'), { headers: { range: 'bytes=10-19' } });
      assert.ok(bytes.subarray(10, 20).equals(Buffer.from(await part.arrayBuffer())));
      const head = await fetch(await url('HEAD'), { method: 'HEAD' });
      assert.equal(head.headers.get('content-length'), '100000');
      assert.equal(await driver.url?.('signed/data', { method: 'GET', expires: 8 * 86_400_000 }), undefined);
    },
    // The emulator serves signed URLs at its own address only.
    { apiEndpoint: server.url, rootDirectory: 'registry', credentials: ACCOUNT, anonymous: true },
  );
});

/** Checks a signature as the service does, from the URL alone. */
function isSigned(url: string, method: string): boolean {
  const { host, pathname, search, searchParams } = new URL(url);
  const query = search.slice(1).replace(/&?X-Goog-Signature=[0-9a-f]+/, '');
  const request = `${method}\n${pathname}\n${query}\nhost:${host}\n\nhost\nUNSIGNED-PAYLOAD`;
  const digest = createHash('sha256').update(request).digest('hex');
  const date = searchParams.get('X-Goog-Date') ?? '';
  const scope = `${date.slice(0, 8)}/auto/storage/goog4_request`;
  const signature = Buffer.from(searchParams.get('X-Goog-Signature') ?? '', 'hex');
  const verify = createVerify('RSA-SHA256').update(`GOOG4-RSA-SHA256\n${date}\n${scope}\n${digest}`);
  return verify.verify(publicKey, signature);
}

test('a signature holds for its method', async () => {
  const now = Math.floor(Date.now() / 1000) * 1000;
  const options = { bucket: server.bucket, apiEndpoint: relay.url, credentials: ACCOUNT, anonymous: true };
  const { instance: driver, close } = await startPlugin(gcs({ ...options, userProject: 'payer' }), {
    clock: () => now,
  });
  const url = async (method: 'GET' | 'HEAD') => (await driver.url?.('a/b-c.d', { method, expires: 60_000 })) ?? '';
  assert.ok(isSigned(await url('GET'), 'GET'));
  assert.ok(isSigned(await url('HEAD'), 'HEAD'));
  assert.ok(!isSigned(await url('GET'), 'HEAD'));
  assert.match(await url('GET'), /[?&]userProject=payer&/);
  await close();
});

test('without credentials that can sign there is no URL, and that is found out once', async () => {
  await withDriver(async (driver) => assert.equal(driver.url, undefined));
  const warnings: unknown[] = [];
  const logger: Logger = { ...SILENT, warn: (...fields) => void warnings.push(fields), child: () => logger };
  const user = { type: 'authorized_user', client_id: 'x', client_secret: password('gcs-user'), refresh_token: 'x' };
  await withDriver(
    async (driver) => {
      for (let round = 0; round < 3; round++) {
        assert.equal(await driver.url?.('a', { method: 'GET', expires: 1000 }), undefined);
      }
      assert.equal(warnings.length, 1);
    },
    { credentials: user, anonymous: true },
    logger,
  );
});

/**
 * Where the SDK gets a token: the part of a machine's metadata server that it needs, which serves as a token
 * server as well.
 *
 * @param seconds for how long a token holds.
 */
async function startTokenServer(token: string, seconds = 3600) {
  const asked: string[] = [];
  const conduct = { silent: false, leftEarly: 0 };
  const tokens = createServer((request, answer) => {
    asked.push(request.url ?? '');
    const wantsToken = request.url?.includes('/token') === true;
    answer.once('close', () => {
      if (!answer.writableEnded) conduct.leftEarly++;
    });
    if (conduct.silent && wantsToken) return;
    const body = wantsToken ? { access_token: token, expires_in: seconds, token_type: 'Bearer' } : {};
    answer.writeHead(200, { 'metadata-flavor': 'Google', 'content-type': 'application/json' });
    answer.end(JSON.stringify(body));
  });
  await once(tokens.listen(0, '127.0.0.1'), 'listening');
  const close = async () => {
    tokens.closeAllConnections();
    tokens.close();
    await once(tokens, 'close');
  };
  return { host: `127.0.0.1:${(tokens.address() as AddressInfo).port}`, asked, conduct, close };
}

/** How the SDK finds a metadata server, and nothing else. */
const onMachine = (host: string) => ({
  GCE_METADATA_HOST: host,
  GOOGLE_APPLICATION_CREDENTIALS: '',
  HOME: '/nonexistent',
});

async function withEnvironment(variables: Readonly<Record<string, string>>, body: () => Promise<void>): Promise<void> {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  try {
    await body();
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

test('the default credentials authorize each request with one token; an emulator gets none, and no proxy is asked', async () => {
  const token = password('gcs-token');
  const metadata = await startTokenServer(token);
  const nowhere = 'http://127.0.0.1:9';
  const variables = onMachine(metadata.host);
  await withEnvironment({ ...variables, HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, http_proxy: nowhere }, async () => {
    await withDriver((driver) => driver.put('anonymous', content(1)));
    assert.ok(relay.passed.every(({ headers }) => headers.authorization === undefined));
    assert.deepEqual(metadata.asked, []);
  });
  await withEnvironment({ ...variables, NO_PROXY: '*' }, async () => {
    relay.passed.length = 0;
    await withDriver(
      async (driver) => {
        await driver.put('authorized', content(1));
        assert.equal((await driver.get('authorized')).length, 1);
      },
      { anonymous: false },
    );
    assert.equal(relay.passed.length, 3);
    assert.ok(relay.passed.every(({ headers }) => headers.authorization === `Bearer ${token}`));
    assert.equal(metadata.asked.filter((url) => url.includes('/token')).length, 1);
  });
  await metadata.close();
});

/** Of a user whom somebody else vouches for: the credentials that name their token server themselves. */
function externalUser(host: string) {
  return {
    type: 'external_account_authorized_user',
    audience: '//iam.googleapis.com/locations/global/workforcePools/tests/providers/tests',
    client_id: 'registry',
    client_secret: password('gcs-client'),
    refresh_token: password('gcs-refresh'),
    token_url: `http://${host}/token`,
  };
}

for (const kind of ['of the machine', 'of a user'] as const) {
  test(`a token ${kind} that does not come fails its request alone; the next one gets its own`, async () => {
    const tokens = await startTokenServer(password('gcs-token'), 1);
    const own = kind === 'of a user' ? { credentials: externalUser(tokens.host) } : { anonymous: false };
    await withEnvironment({ ...onMachine(tokens.host), NO_PROXY: '*' }, () =>
      withDriver(
        async (driver) => {
          await driver.put('kept', Buffer.from('content'));
          tokens.conduct.silent = true;
          const calls = [driver.get('kept'), driver.stat('kept'), driver.check?.() ?? assert.fail()];
          for (const call of calls) await fails('unavailable', call);
          tokens.conduct.silent = false;
          assert.equal((await driver.get('kept')).toString(), 'content');
        },
        { ...own, timeout: 1000, maxRetries: 0 },
      ),
    );
    await tokens.close();
  });
}

test('who waits for a token leaves with its signal, and the store serves others meanwhile', async () => {
  const tokens = await startTokenServer(password('gcs-token'), 1);
  const options = { credentials: externalUser(tokens.host), maxConcurrency: 1, timeout: '10m' };
  await withEnvironment({ NO_PROXY: '*' }, () =>
    withDriver(async (driver) => {
      await driver.put('kept', Buffer.from('content'));
      tokens.conduct.silent = true;
      const asked = tokens.asked.length;
      const controller = new AbortController();
      const reason = new Error('the caller went away');
      const waiting = driver.get('kept', { signal: controller.signal });
      while (tokens.asked.length === asked) await delay(1);
      tokens.conduct.silent = false;
      assert.equal((await driver.get('kept')).toString(), 'content');
      controller.abort(reason);
      await assert.rejects(waiting, (error) => error === reason);
    }, options),
  );
  await tokens.close();
});

test('a request for a token that is not answered is ended', async () => {
  const tokens = await startTokenServer(password('gcs-token'));
  tokens.conduct.silent = true;
  const options = { bucket: server.bucket, apiEndpoint: relay.url, credentials: externalUser(tokens.host) };
  await withEnvironment({ NO_PROXY: '*' }, async () => {
    const start = startPlugin(gcs({ ...options, timeout: 100, maxRetries: 0 }));
    await assert.rejects(start, /cannot be used/);
    while (tokens.conduct.leftEarly === 0) await delay(1);
  });
  assert.equal(relay.passed.length, 0);
  await tokens.close();
});

test('who waits for its turn leaves with its signal, and costs nobody else theirs', async () => {
  await withDriver(
    async (driver) => {
      await driver.put('kept', Buffer.from('content'));
      relay.passed.length = 0;
      relay.mischief = () => 'silence';
      const [first, second] = [new AbortController(), new AbortController()];
      const reason = new Error('the caller went away');
      const calls = [first, second].map(({ signal }) => driver.get('kept', { signal }));
      const ends = calls.map((call) => assert.rejects(call, (error) => error === reason));
      const last = driver.get('kept');
      while (relay.passed.length === 0) await delay(1);
      second.abort(reason);
      await ends[1];
      relay.mischief = () => undefined;
      first.abort(reason);
      await ends[0];
      assert.equal((await last).toString(), 'content');
      assert.equal(relay.passed.length, 2);
    },
    { maxConcurrency: 1, timeout: '10m' },
  );
});

test('the project that pays stands in every request', async () => {
  await withDriver(
    async (driver) => {
      await driver.put('billed', content(1));
      await driver.stat('billed');
      await drain(await driver.open('billed'));
      assert.ok(relay.passed.every(({ url }) => url.includes('userProject=payer')));
    },
    { userProject: 'payer' },
  );
});

test('a bucket that refuses is an error at the start that says so', async () => {
  relay.mischief = () => ({
    status: 403,
    body: '{"error":{"message":"registry@tests does not have storage.objects.list"}}',
  });
  const start = startPlugin(gcs({ bucket: server.bucket, apiEndpoint: relay.url }));
  await assert.rejects(start, (error: Error) => {
    const cause = (error.cause as Error).cause as Error;
    return error.message === 'the bucket "layers" cannot be used' && /403 .*storage\.objects\.list/.test(cause.message);
  });
});

test.run();

const unit = suite('storage/gcs: options and composing');

function problemsOf(options: object): string[] {
  const { problems = [] } = checkOptions(gcs.definition.options, options, 'storage.gcs');
  return problems.map(({ path }) => path);
}

unit('options are checked', () => {
  assert.deepEqual(problemsOf({ bucket: 'layers' }), []);
  assert.deepEqual(problemsOf({ bucket: 'Layers' }), ['storage.gcs.bucket']);
  assert.deepEqual(problemsOf({ bucket: 'layers', chunkSize: '255KiB' }), ['storage.gcs.chunkSize']);
  assert.deepEqual(problemsOf({ bucket: 'layers', apiEndpoint: 'ftp://127.0.0.1' }), ['storage.gcs.apiEndpoint']);
  assert.deepEqual(problemsOf({ bucket: 'layers', maxConcurrency: 0 }), ['storage.gcs.maxConcurrency']);
  const both = { bucket: 'layers', keyFile: 'key.json', credentials: ACCOUNT };
  assert.deepEqual(problemsOf(both), ['storage.gcs.credentials']);
});

unit('credentials go by https, or no farther than this machine', async () => {
  const there = { bucket: 'layers', apiEndpoint: 'http://store.example:4443' };
  const path = ['storage.gcs.apiEndpoint'];
  assert.deepEqual(problemsOf({ ...there, credentials: ACCOUNT }), path);
  assert.deepEqual(problemsOf({ ...there, keyFile: 'key.json' }), path);
  assert.deepEqual(problemsOf({ ...there, anonymous: false }), path);
  assert.deepEqual(problemsOf({ ...there, apiEndpoint: 'nowhere', credentials: ACCOUNT }), path);
  assert.deepEqual(problemsOf({ ...there, apiEndpoint: 'http://127.example', anonymous: false }), path);
  assert.deepEqual(problemsOf(there), []);
  assert.deepEqual(problemsOf({ ...there, credentials: ACCOUNT, anonymous: true }), []);
  const near = [
    'http://localhost:1',
    'http://127.0.0.1:1',
    'http://[::1]:1',
    'http://gcs.localhost',
    'https://a.example',
  ];
  for (const apiEndpoint of near) {
    assert.deepEqual(problemsOf({ ...there, apiEndpoint, credentials: ACCOUNT }), []);
  }
  await withEnvironment({ STORAGE_EMULATOR_HOST: 'http://store.example:4443' }, async () => {
    const start = startPlugin(gcs({ bucket: 'layers', credentials: ACCOUNT }));
    await assert.rejects(start, /http:\/\/store\.example:4443 is not encrypted/);
  });
});

unit('an account that cannot sign is asked again after a while', async () => {
  let now = 0;
  let asked = 0;
  let isAway = true;
  const account = {
    getCredentials: async () => ({ client_email: ACCOUNT.client_email }),
    sign: async () => {
      asked++;
      if (isAway) throw new Error('away');
      return '';
    },
  };
  const signer = new UrlSigner({ account, endpoint: 'https://store.example', clock: () => now, logger: SILENT });
  const sign = () => signer.sign('/layers/a', { method: 'GET', expires: 1000 });
  for (let round = 0; round < 3; round++) assert.equal(await sign(), undefined);
  assert.equal(asked, 1);
  isAway = false;
  now += 300_000;
  assert.match((await sign()) ?? '', /^https:/);
});

unit('credentials are never printed', () => {
  const credentials = { ...ACCOUNT, private_key: password('gcs-key') };
  const shown = JSON.stringify(redact(gcs.definition.options, { bucket: 'layers', credentials }));
  assert.ok(!shown.includes('canary') && shown.includes('layers'));
});

unit('a configuration of distribution is understood', () => {
  const section = {
    bucket: 'layers',
    keyfile: '/etc/key.json',
    rootdirectory: '/registry',
    chunksize: 5_242_880,
    maxconcurrency: 60,
  };
  const { storage } = fromConfig({ version: 0.1, storage: { gcs: section } }, [gcs]);
  assert.deepEqual(storage.options, {
    bucket: 'layers',
    keyFile: '/etc/key.json',
    rootDirectory: '/registry',
    chunkSize: 5_242_880,
    maxConcurrency: 60,
  });
});

unit('a URL is signed as the SDK signs it', async () => {
  const now = Math.floor(Date.now() / 1000) * 1000;
  const sdk = new Storage({ credentials: ACCOUNT });
  const { authClient: account, apiEndpoint: endpoint } = sdk;
  const ours = await new UrlSigner({ account, endpoint, clock: () => now, logger: SILENT }).sign('/layers/a/b-c.d', {
    method: 'GET',
    expires: 60_000,
  });
  const file = sdk.bucket('layers').file('a/b-c.d');
  const [theirs] = await file.getSignedUrl({ version: 'v4', action: 'read', accessibleAt: now, expires: now + 60_000 });
  const parts = (url: string) => [new URL(url).pathname, [...new URL(url).searchParams].sort()];
  assert.deepEqual(parts(ours ?? ''), parts(theirs));
});

/** Composes names to texts in memory, and fails at the call that it is told. */
function composer(failAt = Number.POSITIVE_INFINITY) {
  const texts = new Map<string, string>();
  let calls = 0;
  return {
    texts,
    compose: async (sources: readonly { readonly name: string }[], to: string) => {
      assert.ok(sources.length >= 1 && sources.length <= 32);
      if (++calls === failAt) throw new Error('refused');
      await delay(0);
      texts.set(to, sources.map(({ name }) => texts.get(name) ?? `<${name}>`).join(''));
      return { name: to, size: 0, modified: new Date(0), version: '1' };
    },
    remove: async (names: readonly string[]) => {
      for (const name of names) texts.delete(name);
    },
  };
}

unit('any number of parts are composed in order, and what stands between is removed', async () => {
  for (const count of [1, 2, 32, 33, 64, 65, 1024, 1025, 10_000]) {
    const parts = Array.from({ length: count }, (_, index) => ({
      name: String(index),
      size: 1,
      modified: new Date(0),
      version: '1',
    }));
    const { texts, ...rest } = composer();
    await composeTree(parts, 'whole', rest);
    assert.deepEqual([...texts.keys()], ['whole']);
    assert.equal(texts.get('whole'), parts.map(({ name }) => `<${name}>`).join(''));
  }
});

unit('what stands between is removed also when composing fails', async () => {
  const parts = Array.from({ length: 100 }, (_, index) => ({
    name: String(index),
    size: 1,
    modified: new Date(0),
    version: '1',
  }));
  for (const failAt of [1, 2, 4, 5]) {
    const { texts, ...rest } = composer(failAt);
    await assert.rejects(composeTree(parts, 'whole', rest), /refused/);
    assert.equal(texts.size, 0);
  }
});

unit.run();
