// Every option of a registry changes what the registry does.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  basicChallenge,
  definePlugin,
  digestOf,
  OCI_CONFIG,
  OCI_IMAGE,
  OCI_INDEX,
  OptionsError,
  RegistryError,
  type RegistryEvent,
  type RegistryOptions,
  registry,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { test } from 'uvu';
import { z } from 'zod';
import { resolveOptions } from '../../lib/options.js';
import { orAbsent } from '../../lib/services/links.js';
import { MemoryCoordinator } from '../../lib/services/memory-coordinator.js';
import { MemoryDescriptorCache } from '../../lib/services/memory-descriptor-cache.js';
import { basic, password } from '../support/credentials.js';
import { RegistryClient } from '../support/registry-client.js';
import { type Host, memoryDriver, recordingLogger, storageOf, withHost } from './host-service.js';

const NONE = z.strictObject({});
const BLOB = Buffer.from('content');
const DIGEST = digestOf(BLOB);
const MISSING = { mediaType: OCI_CONFIG, digest: DIGEST, size: 7 };
const IMAGE = { schemaVersion: 2, mediaType: OCI_IMAGE, config: MISSING, layers: [] };

type Observe = (host: Host) => Promise<unknown>;

interface Row {
  readonly path: string;
  readonly options: Partial<RegistryOptions>;
  /** What there has to be in either case, so that anything is seen. */
  readonly given?: Partial<RegistryOptions>;
  /** What is seen without the option and with it. */
  readonly observe: Observe;
  readonly expected: readonly [without: unknown, with_: unknown];
}

const status =
  (path: string, init?: RequestInit): Observe =>
  async ({ url }) =>
    (await fetch(url + path, init)).status;
const header =
  (path: string, name: string, init?: RequestInit): Observe =>
  async ({ url }) =>
    (await fetch(url + path, init)).headers
      .get(name)
      ?.replace(url, '<url>')
      .replace(/uploads\/.*/, 'uploads/…') ?? null;

const START = { method: 'POST' };
const pushManifest = (document: object, type = OCI_IMAGE): RequestInit => ({
  method: 'PUT',
  headers: { 'Content-Type': type },
  body: JSON.stringify(document),
});

/** How many of two tags or repositories one page has. */
const pageOf =
  (path: string, list: string): Observe =>
  async ({ url }) => {
    const client = new RegistryClient(url);
    for (const repository of ['a', 'b']) {
      await client.pushBlob(repository, BLOB);
      for (const tag of ['1', '2']) {
        await client.pushManifest(repository, tag, { mediaType: OCI_IMAGE, bytes: Buffer.from(JSON.stringify(IMAGE)) });
      }
    }
    const answer = (await (await fetch(url + path)).json()) as Record<string, unknown[]>;
    return answer[list]?.length;
  };

/** What a client is told that announces ten bytes and sends one. */
const stall: Observe = ({ url }) =>
  new Promise((resolve, reject) => {
    const headers = { 'Content-Length': 10, 'Content-Type': OCI_IMAGE };
    const sent = request(`${url}/v2/a/manifests/b`, { method: 'PUT', headers });
    sent.on('error', reject);
    sent.on('response', ({ statusCode }) => {
      resolve(statusCode);
      sent.destroy();
    });
    sent.write('{');
  });

const layer = definePlugin({
  kind: 'layer',
  name: 'elsewhere',
  options: NONE,
  create: () => ({ resolve: () => ({ redirect: 'http://elsewhere.example/' }) }),
});
const auth = definePlugin({
  kind: 'auth',
  name: 'nobody',
  options: NONE,
  create: () => ({
    authorize: () => {
      throw new RegistryError('DENIED');
    },
  }),
});
/** What the second of two guesses is told. */
const guessTwice = async ({ url }: Host) => {
  await fetch(`${url}/v2/`, { headers: basic('alice', password('wrong')) });
  return fetch(`${url}/v2/`, { headers: basic('alice', password('wrong')) });
};
const statusOfGuess: Observe = async (host) => (await guessTwice(host)).status;
/** Whether a guess may soon be repeated. */
const pauseOfGuess: Observe = async (host) => Number((await guessTwice(host)).headers.get('Retry-After')) <= 15;

/** Knows nobody. */
const wary = definePlugin({
  kind: 'auth',
  name: 'wary',
  options: NONE,
  create: () => ({
    authorize: () => {
      throw basicChallenge('nobody');
    },
  }),
});
const guessing = (failedLogins: RegistryOptions['failedLogins']) => ({
  auth: wary(),
  failedLogins: { delay: 0, ...failedLogins },
});

/** Somebody else has every name. */
const coordination = definePlugin({
  kind: 'coordination',
  name: 'busy',
  options: NONE,
  create: () => ({ acquire: async () => undefined }),
});
const format = definePlugin({
  kind: 'format',
  name: 'mine',
  options: NONE,
  create: () => ({
    mediaTypes: ['application/vnd.mine+json'],
    parse: (mediaType: string) => ({ mediaType, blobs: [], manifests: [] }),
  }),
});

/** A cache that knows of a blob which was never pushed. */
const cache = definePlugin({
  kind: 'cache',
  name: 'knowing',
  options: NONE,
  create: () => {
    const known = new MemoryDescriptorCache();
    known.set('blobs:a' as 'blobs', DIGEST, MISSING);
    return known;
  },
});

/** A storage that has a blob in it. */
const filled = storageOf(async () => {
  const driver = await memoryDriver();
  const hex = DIGEST.slice(7);
  const root = 'docker/registry/v2';
  await driver.put(`${root}/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, BLOB);
  await driver.put(`${root}/repositories/a/_layers/sha256/${hex}/link`, Buffer.from(DIGEST));
  return driver;
});

/** The repositories of what a sink was told. */
const tried: string[] = [];

/** Takes nothing. */
const deaf = definePlugin({
  kind: 'notification',
  name: 'deaf',
  options: NONE,
  create: () => ({
    delivery: { threshold: 1000 },
    write: async ([event]: readonly RegistryEvent[]) => {
      tried.push(event?.target.repository ?? '');
      throw new Error('deaf');
    },
  }),
});
const told = (options: RegistryOptions['notifications'] = {}) => ({
  notifications: { sinks: [deaf()], drainTimeout: 0, ...options },
});

/** What is counted of two pushes and a HEAD. */
const countTold =
  (what: 'events' | 'dropped'): Observe =>
  async ({ url, registry: { counters } }) => {
    const client = new RegistryClient(url);
    await client.pushBlob('a', BLOB, 'post');
    await client.pushBlob('b', BLOB, 'post');
    await fetch(`${url}/v2/a/blobs/${DIGEST}`, { method: 'HEAD' });
    return counters().notifications.deaf?.[what];
  };

/** Of which push a sink that was told of two is told now. */
const firstTold: Observe = async ({ url }) => {
  const client = new RegistryClient(url);
  await client.pushBlob('a', BLOB, 'post');
  await client.pushBlob('b', BLOB, 'post');
  const before = tried.length;
  for (let turn = 0; turn < 1000 && tried.length < before + 2; turn++) await sleep(5);
  return tried.at(-1);
};

/** How much a store has kept of two pushes. */
const countKept: Observe = async ({ url }) => {
  const client = new RegistryClient(url);
  await client.pushBlob('a', BLOB, 'post');
  await client.pushBlob('b', BLOB, 'post');
  return kept.length;
};

const kept: RegistryEvent[] = [];
const keeping = definePlugin({
  kind: 'queue',
  name: 'keeping',
  options: NONE,
  create: () => ({
    shared: false,
    open: async () => ({
      length: 0,
      bytes: 0,
      append: async (events: readonly RegistryEvent[]) => void kept.push(...events),
      peek: async () => [],
      remove: async () => undefined,
    }),
  }),
});

const elsewhere = (options: Partial<RegistryOptions> = {}) => ({ layer: layer(), ...options });
const failing = definePlugin({
  kind: 'layer',
  name: 'failing',
  options: NONE,
  create: () => ({ resolve: () => Promise.reject(new Error('no key')) }),
});

/** What becomes of an image whose layer is nowhere. */
const pushFederated: Observe = async ({ url }) => {
  await new RegistryClient(url).pushBlob('a', BLOB);
  const layers = [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(Buffer.from('x')), size: 1 }];
  return (await fetch(`${url}/v2/a/manifests/b`, pushManifest({ ...IMAGE, layers }))).status;
};

/** What becomes of an image whose layer is only at a URL. */
const pushForeign: Observe = (host) => pushLayerAt(host, 'https://cdn.example/x');
const pushInternal: Observe = (host) => pushLayerAt(host, 'https://cdn.corp/x');
const pushLayerAt = async ({ url }: Host, place: string) => {
  await new RegistryClient(url).pushBlob('a', BLOB);
  const layers = [
    {
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: digestOf(Buffer.from('x')),
      size: 1,
      urls: [place],
    },
  ];
  return (await fetch(`${url}/v2/a/manifests/b`, pushManifest({ ...IMAGE, layers }))).status;
};
const pushUrls = (urls: object) => ({ validation: { manifests: { urls } } });

const pullPushed: Observe = async ({ url }) => {
  await new RegistryClient(url).pushBlob('a', BLOB);
  return (await fetch(`${url}/v2/a/blobs/${DIGEST}`, { redirect: 'manual' })).status;
};
const headPushed: Observe = async ({ url }) => {
  await new RegistryClient(url).pushBlob('a', BLOB);
  return (await fetch(`${url}/v2/a/blobs/${DIGEST}`, { method: 'HEAD', redirect: 'manual' })).status;
};

/** What a registry with the secret of the test says to a session that it does not have. */
const secretOf: Observe = async ({ url }) => {
  const { pathname, search } = new URL(await new RegistryClient(url).startUpload('a'));
  return withHost({ options: { http: { secret: 'of the test' } } }, async (other) => {
    const answer = await fetch(other.url + pathname + search);
    return ((await answer.json()) as { errors: { code: string }[] }).errors[0]?.code;
  });
};

const sharing = definePlugin({
  kind: 'coordination',
  name: 'sharing',
  options: NONE,
  create: () => new MemoryCoordinator(),
});

/** Whether the state of an upload is in its `Location`. */
const stateTravels: Observe = async ({ url }) =>
  new URL(await new RegistryClient(url).startUpload('a')).searchParams.has('_state');

const metadata = (options: object) => ({ metadata: { enabled: true, ...options } });
const endpoint =
  (field: string): Observe =>
  async ({ url }) => {
    const answer = await fetch(`${url}/`);
    if (answer.status !== 200) return answer.status;
    return ((await answer.json()) as { endpoints: { v2: Record<string, unknown> } }).endpoints.v2[field];
  };

// biome-ignore format: a table
const ROWS: readonly Row[] = [
  { path: 'storage', options: { storage: filled }, observe: status(`/v2/a/blobs/${DIGEST}`), expected: [404, 200] },
  { path: 'prefix', options: { prefix: '/portal/' }, observe: status('/portal/v2/'), expected: [404, 200] },
  { path: 'cache', options: { cache: cache() }, observe: status(`/v2/a/blobs/${DIGEST}`, { method: 'HEAD' }), expected: [404, 200] },
  { path: 'auth', options: { auth: auth() }, observe: status('/v2/'), expected: [200, 403] },
  { path: 'failedLogins.enabled', given: guessing({ limit: 1 }), options: guessing({ limit: 1, enabled: false }), observe: statusOfGuess, expected: [429, 401] },
  { path: 'failedLogins.limit', given: guessing({}), options: guessing({ limit: 1 }), observe: statusOfGuess, expected: [401, 429] },
  { path: 'failedLogins.window', given: guessing({ limit: 1 }), options: guessing({ limit: 1, window: '10s' }), observe: pauseOfGuess, expected: [false, true] },
  { path: 'coordination', options: { coordination: coordination() }, observe: status('/v2/a/manifests/b', pushManifest({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }, OCI_INDEX)), expected: [201, 503] },
  { path: 'layer', options: { layer: layer() }, observe: pullPushed, expected: [200, 307] },
  { path: 'notifications.sinks', options: told(), observe: countTold('events'), expected: [undefined, 2] },
  { path: 'notifications.includeHead', given: told(), options: told({ includeHead: true }), observe: countTold('events'), expected: [2, 3] },
  { path: 'notifications.queue.maxEvents', given: told(), options: told({ queue: { maxEvents: 1 } }), observe: countTold('dropped'), expected: [0, 1] },
  { path: 'notifications.queue.maxBytes', given: told(), options: told({ queue: { maxBytes: 1 } }), observe: countTold('dropped'), expected: [0, 1] },
  { path: 'notifications.queue.overflow', given: told({ queue: { maxEvents: 1 } }), options: told({ queue: { maxEvents: 1, overflow: 'drop-newest' } }), observe: firstTold, expected: ['b', 'a'] },
  { path: 'notifications.queue.store', given: told(), options: told({ queue: { store: keeping() } }), observe: countKept, expected: [0, 2] },
  { path: 'offload.minSize', given: elsewhere(), options: elsewhere({ offload: { minSize: '1KiB' } }), observe: pullPushed, expected: [307, 200] },
  { path: 'offload.head', given: elsewhere(), options: elsewhere({ offload: { head: false } }), observe: headPushed, expected: [307, 200] },
  { path: 'offload.spare.userAgents', given: elsewhere(), options: elsewhere({ offload: { spare: { userAgents: ['NODE'] } } }), observe: pullPushed, expected: [307, 200] },
  { path: 'offload.spare.addresses', given: elsewhere(), options: elsewhere({ offload: { spare: { addresses: ['127.0.0.0/8'] } } }), observe: pullPushed, expected: [307, 200] },
  { path: 'offload.onFailure', given: { layer: failing() }, options: { layer: failing(), offload: { onFailure: 'unavailable' } }, observe: pullPushed, expected: [200, 503] },
  { path: 'federation', options: { federation: [{ repositories: ['a'], url: 'https://b.example/{digest}' }] }, observe: pushFederated, expected: [400, 201] },
  { path: 'validation.manifests.urls.allow', options: pushUrls({ allow: [] }), observe: pushForeign, expected: [201, 400] },
  { path: 'validation.manifests.urls.internalHosts', given: pushUrls({}), options: pushUrls({ internalHosts: ['cdn.corp'] }), observe: pushInternal, expected: [400, 201] },
  { path: 'validation.manifests.urls.deny', options: pushUrls({ deny: ['cdn'] }), observe: pushForeign, expected: [201, 400] },
  { path: 'formats', options: { formats: [format()] }, observe: status('/v2/a/manifests/b', pushManifest({ mediaType: 'application/vnd.mine+json' }, 'application/vnd.mine+json')), expected: [400, 201] },
  { path: 'delete.enabled', options: { delete: { enabled: true } }, observe: status('/v2/a/manifests/b', { method: 'DELETE' }), expected: [405, 404] },
  { path: 'readOnly', options: { readOnly: true }, observe: status('/v2/a/blobs/uploads/', START), expected: [202, 405] },
  { path: 'uploads.minChunkBytes', options: { uploads: { minChunkBytes: '5MiB' } }, observe: header('/v2/a/blobs/uploads/', 'OCI-Chunk-Min-Length', START), expected: ['1', String(5 * 2 ** 20)] },
  { path: 'uploads.state', given: { coordination: sharing() }, options: { coordination: sharing(), uploads: { state: 'coordination' } }, observe: stateTravels, expected: [true, false] },
  { path: 'http.host', options: { http: { host: 'https://r.example/x' } }, observe: header('/v2/a/blobs/uploads/', 'Location', START), expected: ['<url>/v2/a/blobs/uploads/…', 'https://r.example/x/v2/a/blobs/uploads/…'] },
  { path: 'http.relativeUrls', options: { http: { relativeUrls: true } }, observe: header('/v2/a/blobs/uploads/', 'Location', START), expected: ['<url>/v2/a/blobs/uploads/…', '/v2/a/blobs/uploads/…'] },
  { path: 'http.secret', options: { http: { secret: 'of the test' } }, observe: secretOf, expected: ['BLOB_UPLOAD_INVALID', 'BLOB_UPLOAD_UNKNOWN'] },
  { path: 'http.headers', options: { http: { headers: { 'X-Ours': 'yes' } } }, observe: header('/v2/', 'X-Ours'), expected: [null, 'yes'] },
  { path: 'http.maxManifestBytes', options: { http: { maxManifestBytes: 10 } }, observe: status('/v2/a/manifests/b', pushManifest(IMAGE)), expected: [400, 413] },
  { path: 'tags.maxEntries', options: { tags: { maxEntries: 1 } }, observe: pageOf('/v2/a/tags/list', 'tags'), expected: [2, 1] },
  { path: 'catalog.maxEntries', options: { catalog: { maxEntries: 1 } }, observe: pageOf('/v2/_catalog', 'repositories'), expected: [2, 1] },
  { path: 'validation.manifests.references', options: { validation: { manifests: { references: false } } }, observe: status('/v2/a/manifests/b', pushManifest(IMAGE)), expected: [400, 201] },
  { path: 'metadata.enabled', options: metadata({}), observe: status('/'), expected: [404, 200] },
  { path: 'metadata.fallback', options: metadata({ fallback: 'v1' }), observe: endpoint('fallback'), expected: [404, 'v1'] },
  { path: 'metadata.mirrors', options: metadata({ mirrors: [{ root: 'https://m.example/v2/' }] }), observe: endpoint('mirrors'), expected: [404, [{ root: 'https://m.example/v2/', manifests: true }]] },
];

/** Seen in other ways than by two answers. */
const ELSEWHERE = [
  'logger',
  'http.bodyTimeout',
  'failedLogins.delay',
  'failedLogins.maxDelay',
  'notifications.deadLetters',
  'notifications.drainTimeout',
  'uploads.purge.enabled',
  'uploads.purge.age',
  'uploads.purge.interval',
  'uploads.purge.dryRun',
];

for (const { path, options, given = {}, observe, expected } of ROWS) {
  test(`${path} changes what is answered`, async () => {
    for (const [index, tried] of [given, options].entries()) {
      await withHost({ options: tried }, async (host) => assert.deepEqual(await observe(host), expected[index]));
    }
  });
}

test('http.bodyTimeout ends a request whose client sends nothing', async () => {
  await withHost({ options: { http: { bodyTimeout: 20 } } }, async (host) => {
    assert.equal(await stall(host), 408);
  });
  assert.equal(resolveOptions({ storage: memory() }).http.bodyTimeout, 60_000);
});

/** Begun in 2024, never gone on with. */
const ABANDONED = 'docker/registry/v2/repositories/a/_uploads/6f1b6a34-6f4e-4b0e-9d0c-0a1b2c3d4e5f/startedat';
const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;

/** Whether an abandoned upload is still there when so many milliseconds have passed. */
async function isKept(purge: NonNullable<RegistryOptions['uploads']>['purge'], after: number): Promise<boolean> {
  const driver = await memoryDriver();
  const { stat } = driver;
  driver.stat = async (key) => ({ ...(await stat.call(driver, key)), modified: new Date('2024-01-01') });
  await driver.put(ABANDONED, Buffer.from('2024-01-01T00:00:00Z'));
  mock.timers.enable({ apis: ['setTimeout'] });
  const { ready, close } = registry({
    storage: storageOf(async () => driver),
    uploads: { purge },
    logger: recordingLogger().logger,
  });
  try {
    await ready();
    mock.timers.tick(after);
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    return (await orAbsent(driver.get(ABANDONED))) !== undefined;
  } finally {
    mock.timers.reset();
    await close();
  }
}

test('uploads.purge removes what nobody has touched for long, from time to time', async () => {
  assert.deepEqual(resolveOptions({ storage: memory() }).uploads.purge, {
    enabled: true,
    age: 7 * DAY,
    interval: DAY,
    dryRun: false,
  });
  assert.equal(await isKept({}, 60 * MINUTE), false);
  assert.equal(await isKept({ enabled: false }, 60 * MINUTE), true);
  assert.equal(await isKept({ dryRun: true }, 60 * MINUTE), true);
  assert.equal(await isKept({ age: '10000d' }, 60 * MINUTE), true);
  assert.equal(await isKept({ interval: '1m' }, MINUTE), false);
});

test('notifications.deadLetters gets what a sink has refused too often', async () => {
  const refused: string[] = [];
  const dead = definePlugin({
    kind: 'notification',
    name: 'dead',
    options: NONE,
    create: () => ({ write: async ([event]: readonly RegistryEvent[]) => void refused.push(event?.action ?? '') }),
  });
  const once = definePlugin({
    kind: 'notification',
    name: 'once',
    options: NONE,
    create: () => ({ delivery: { maxAttempts: 1 }, write: () => Promise.reject(new Error('no')) }),
  });
  const notifications = { sinks: [once()], deadLetters: dead() };
  await withHost({ options: { notifications } }, ({ url }) => new RegistryClient(url).pushBlob('a', BLOB));
  assert.deepEqual(refused, ['push']);
});

test('notifications.drainTimeout is how long closing waits for the delivery', async () => {
  for (const [drainTimeout, delivered] of [
    ['1m', 1],
    [0, 0],
  ] as const) {
    let written = 0;
    const slow = definePlugin({
      kind: 'notification',
      name: 'slow',
      options: NONE,
      create: () => ({
        write: async (_events: readonly RegistryEvent[], { signal }: { signal: AbortSignal }) => {
          await sleep(500, undefined, { signal });
          written += 1;
        },
      }),
    });
    const notifications = { sinks: [slow()], drainTimeout };
    await withHost({ options: { notifications } }, ({ url }) => new RegistryClient(url).pushBlob('a', BLOB));
    assert.equal(written, delivered);
  }
});

test('two sinks of one name are refused', () => {
  const notifications = { sinks: [deaf(), deaf()] };
  assert.throws(
    () => registry({ storage: memory(), notifications }),
    (error) => error instanceof OptionsError && error.problems[0]?.path === 'notifications.sinks[1]',
  );
});

/** Timers may be early by a fraction of a millisecond. */
const EARLY = 2;

test('failedLogins.delay holds back the answer to a wrong password, and failedLogins.maxDelay bounds that', async () => {
  for (const [failedLogins, least] of [
    [{ delay: 40 }, 40 + 80],
    [{ delay: '9s', maxDelay: 30 }, 30 + 30],
  ] as const) {
    await withHost({ options: guessing(failedLogins) }, async (host) => {
      const started = performance.now();
      assert.equal(await statusOfGuess(host), 401);
      assert.ok(performance.now() - started >= least - 2 * EARLY);
    });
  }
  const { failedLogins } = resolveOptions({ storage: memory() });
  assert.deepEqual(failedLogins, { enabled: true, delay: 200, maxDelay: 5_000, limit: 20, window: 900_000 });
});

test('failedLogins has bounds', () => {
  for (const [key, value] of [
    ['delay', -1],
    ['delay', 'soon'],
    ['maxDelay', '11s'],
    ['limit', 0],
    ['limit', 1.5],
    ['window', 999],
    ['enabled', 'no'],
    ['delai', 1],
  ] as const) {
    const wrong = { storage: memory(), failedLogins: { [key]: value } } as RegistryOptions;
    assert.throws(
      () => registry(wrong),
      (error) => error instanceof OptionsError && error.problems[0]?.path === `failedLogins.${key}`,
      `${key}: ${value}`,
    );
  }
});

test('logger takes what the registry has to say', async () => {
  const { logger, lines } = recordingLogger();
  const { close } = registry({ storage: memory(), logger });
  assert.match(lines[0]?.msg ?? '', /^no auth handler/);
  await close();
});

test('every option has a row above', () => {
  const all = Object.assign({}, ...ROWS.map(({ options }) => options)) as RegistryOptions;
  const { logger } = recordingLogger();
  const resolved = resolveOptions({
    ...all,
    http: { host: 'https://r.example', secret: 'x' },
    metadata: { fallback: 'v1' },
    ...pushUrls({ allow: [] }),
    ...told({ queue: { store: keeping() }, deadLetters: deaf() }),
    logger,
  });
  const isGroup = (value: unknown) => value?.constructor === Object && Object.keys(value).length > 0;
  const paths = (value: object, at: string): string[] =>
    Object.entries(value).flatMap(([key, inner]) =>
      isGroup(inner) ? paths(inner as object, `${at}${key}.`) : [at + key],
    );
  assert.deepEqual(paths(resolved, '').sort(), [...ROWS.map(({ path }) => path), ...ELSEWHERE].sort());
});

test.run();
