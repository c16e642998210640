// distribution's configuration file, section by section: what it becomes, what is skipped, what is refused.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { DescriptorCache } from 'koa-registry';
import { redis } from 'koa-registry/plugins/cache/redis';
import { redis as leases } from 'koa-registry/plugins/coordination/redis';
import { filesystem as files } from 'koa-registry/plugins/storage/filesystem';
import { gcs as bucket } from 'koa-registry/plugins/storage/gcs';
import { s3 } from 'koa-registry/plugins/storage/s3';
import { test } from 'uvu';
import { z } from 'zod';
import { OptionsError } from '../../lib/errors.js';
import { resolveOptions } from '../../lib/options.js';
import {
  type AnyPluginFactory,
  definePlugin,
  deliveryOptions,
  fromConfig,
  isPlugin,
  secret,
  startPlugin,
} from '../../lib/plugin/index.js';
import { RedisServer, until } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';

const never = () => assert.fail('nothing is created from a configuration');

const filesystem = definePlugin({
  kind: 'storage',
  name: 'filesystem',
  options: z.strictObject({ rootDirectory: z.string(), maxThreads: z.number().optional() }),
  create: never,
});
const memory = definePlugin({ kind: 'storage', name: 'memory', options: z.strictObject({}), create: never });
const gcs = definePlugin({
  kind: 'storage',
  name: 'gcs',
  options: z.strictObject({ bucket: z.string(), credentials: z.object({ privateKey: secret(z.string()) }).optional() }),
  create: never,
});
const htpasswd = definePlugin({
  kind: 'auth',
  name: 'htpasswd',
  options: z.strictObject({ realm: z.string().default('Registry'), path: z.string() }),
  create: never,
});
const delegate = definePlugin({ kind: 'layer', name: 'delegate', options: z.strictObject({}), create: never });
const webhook = definePlugin({
  kind: 'notification',
  name: 'webhook',
  options: z.strictObject({ ...deliveryOptions(), url: z.url(), headers: z.record(z.string(), z.array(z.string())) }),
  create: never,
});
const cloudfront = definePlugin({
  kind: 'layer',
  name: 'cloudfront',
  options: z.strictObject({
    baseUrl: z.string(),
    keyPairId: z.string().optional(),
    ipFilteredBy: z.string().default('none'),
  }),
  create: never,
});

const plugins = [filesystem, memory, gcs, htpasswd];

/** What a document says that has no lists: as distribution, no URL is allowed. */
const NO_URLS = { manifests: { urls: { allow: [] } } };

/** The options without the storage that every document needs, and without what each of them says. */
function read(document: object): object {
  const { storage, validation, ...rest } = fromConfig({ storage: { inmemory: null }, ...document }, plugins);
  assert.ok(isPlugin(storage, 'storage'));
  return isDeepStrictEqual(validation, NO_URLS) ? rest : { ...rest, ...(validation && { validation }) };
}

function problems(document: unknown, factories: readonly AnyPluginFactory[] = plugins): string[] {
  try {
    fromConfig(document, factories);
  } catch (error) {
    assert.ok(error instanceof OptionsError);
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
  return [];
}

test('storage: the section names the plugin and holds its options, spelled either way', () => {
  for (const key of ['rootdirectory', 'rootDirectory', 'root_directory', 'ROOT-DIRECTORY']) {
    const { storage } = fromConfig({ storage: { filesystem: { [key]: '/data', maxthreads: 100 } } }, plugins);
    assert.equal(storage.definition, filesystem.definition);
    assert.deepEqual(storage.options, { rootDirectory: '/data', maxThreads: 100 });
  }
  const nested = { storage: { GCS: { bucket: 'b', credentials: { private_key: 'k' } } } };
  assert.deepEqual(fromConfig(nested, plugins).storage.options, { bucket: 'b', credentials: { privateKey: 'k' } });
});

test('storage: an empty section and a mere name stand for a plugin without options', () => {
  for (const storage of [{ inmemory: null }, { inmemory: {} }, { memory: {} }, 'inmemory', 'memory']) {
    const options = fromConfig({ storage }, plugins);
    assert.equal(options.storage.definition, memory.definition);
    assert.deepEqual(Object.keys(options), ['storage', 'validation']);
  }
});

test('storage.delete.enabled becomes delete.enabled', () => {
  assert.deepEqual(read({ storage: { inmemory: {}, delete: { enabled: true } } }), { delete: { enabled: true } });
  assert.deepEqual(read({ storage: { inmemory: {}, delete: null } }), {});
});

test('storage.maintenance.readonly.enabled becomes readOnly', () => {
  const maintenance = { readonly: { enabled: true } };
  assert.deepEqual(read({ storage: { inmemory: {}, maintenance } }), { readOnly: true });
});

/** What the section `uploadpurging` becomes. */
function purge(uploadpurging: object | null): object | undefined {
  return fromConfig({ storage: { inmemory: {}, maintenance: { uploadpurging } } }, plugins).uploads?.purge;
}

const HOUR = 3_600_000;

test('storage.maintenance.uploadpurging becomes uploads.purge', () => {
  assert.deepEqual(purge({ enabled: true, age: '168h', interval: '24h', dryrun: false }), {
    enabled: true,
    age: 168 * HOUR,
    interval: 24 * HOUR,
    dryRun: false,
  });
  assert.deepEqual(purge({ enabled: false }), { enabled: false });
  for (const nothing of [null, {}, { age: null }]) assert.deepEqual(purge(nothing), undefined);
  const { storage: _, ...options } = fromConfig(
    { storage: { inmemory: {}, maintenance: { uploadpurging: { age: '48h', dryrun: true } } } },
    plugins,
  );
  const { uploads } = resolveOptions({ storage: memory(), ...options });
  assert.deepEqual(uploads.purge, { enabled: true, age: 48 * HOUR, interval: 24 * HOUR, dryRun: true });
});

test('durations are those of Go', () => {
  for (const [written, milliseconds] of [
    ['1h30m', 1.5 * HOUR],
    ['1.5h', 1.5 * HOUR],
    ['+2h', 2 * HOUR],
    ['.5h', 0.5 * HOUR],
    ['1.h', HOUR],
    ['1.1h', 3_960_000],
    ['1h0m0.5s', HOUR + 500],
    ['3600000000us', HOUR],
    ['3600000000\u00b5s', HOUR],
    ['3600000000\u03bcs', HOUR],
    ['3600000000000ns', HOUR],
    ['1ns', 1],
    ['0', 0],
    [0, 0],
    ['7d', 168 * HOUR],
  ] as const) {
    assert.deepEqual(purge({ age: written }), { age: milliseconds }, String(written));
  }
  for (const written of ['', '168', 168, '-1h', '1 h', 'h', '.h', '1h30', '1y', '1e3h', true, `${'9'.repeat(400)}h`]) {
    const storage = { inmemory: {}, maintenance: { uploadpurging: { interval: written } } };
    assert.deepEqual(problems({ storage }), [
      'storage.maintenance.uploadPurging.interval: must be a duration with a unit, such as "168h" or "1h30m"',
    ]);
  }
});

test('storage.cache in memory and storage.tag are what the registry does anyway', () => {
  for (const cache of [{ blobdescriptor: 'inmemory' }, { layerinfo: 'inmemory' }]) {
    assert.deepEqual(read({ storage: { inmemory: {}, cache, tag: { concurrencylimit: 8 } } }), {});
  }
});

test('storage.redirect uses the plugin layer/delegate where it was handed over', () => {
  const all = [...plugins, delegate];
  assert.equal(fromConfig({ storage: 'memory' }, all).layer?.definition, delegate.definition);
  assert.equal(fromConfig({ storage: { memory: {}, redirect: { disable: false } } }, all).layer?.name, 'delegate');
  assert.equal(fromConfig({ storage: { memory: {}, redirect: { disable: true } } }, all).layer, undefined);
  assert.deepEqual(read({ storage: { memory: {}, redirect: { disable: true } } }), {});
  assert.deepEqual(problems({ storage: { memory: {}, redirect: { disable: false } } }), [
    'storage.redirect.disable: needs the plugin layer/delegate',
  ]);
});

test('middleware.storage names the layer plugin and its options, spelled either way', () => {
  const all = [...plugins, delegate, cloudfront];
  const entry = { name: 'cloudfront', options: { baseurl: 'https://d1.example', keypairid: 'K' } };
  const document = (entries: object[], more: object = {}) => ({
    storage: { memory: {}, ...more },
    middleware: { storage: entries, registry: [], repository: null },
  });
  const { layer } = fromConfig(document([entry]), all);
  assert.equal(layer?.definition, cloudfront.definition);
  assert.deepEqual(layer?.options, { baseUrl: 'https://d1.example', keyPairId: 'K' });
  assert.equal(fromConfig(document([{ ...entry, disabled: true }]), all).layer?.name, 'delegate');
  assert.equal(fromConfig(document([]), all).layer?.name, 'delegate');
  assert.equal(fromConfig(document([entry], { redirect: { disable: true } }), all).layer, undefined);
  assert.deepEqual(problems(document([entry])), ['middleware.storage[0].name: needs the plugin layer/cloudfront']);
  assert.deepEqual(problems(document([{ name: 'cloudfront', options: { basurl: 'x' } }]), all).sort(), [
    'middleware.storage[0].options.baseUrl: Invalid input: expected string, received undefined',
    'middleware.storage[0].options.basurl: unknown option, did you mean "baseUrl"?',
  ]);
  assert.deepEqual(problems(document([entry, entry]), all), ['middleware.storage: must have one entry at most']);
  assert.deepEqual(problems({ storage: 'memory', middleware: { repository: [{ name: 'x' }] } }), [
    'middleware.repository: is not supported by this version',
  ]);
});

test('notifications.endpoints become sinks', () => {
  const all = [...plugins, webhook];
  const endpoint = {
    name: 'audit',
    url: 'https://listener.example/canary',
    headers: { Authorization: ['Bearer canary'] },
    timeout: '500ms',
    threshold: 5,
    backoff: '1s',
    ignoredmediatypes: ['x/a'],
    ignore: { mediatypes: ['x/b'], actions: ['pull'] },
  };
  const document = (...endpoints: object[]) => ({
    storage: 'memory',
    notifications: { events: { includereferences: true }, endpoints },
  });
  const [sink, ...others] =
    fromConfig(document(endpoint, { ...endpoint, disabled: true }), all).notifications?.sinks ?? [];
  assert.equal(others.length, 0);
  assert.equal(sink?.definition, webhook.definition);
  assert.deepEqual(sink?.options, {
    name: 'audit',
    url: 'https://listener.example/canary',
    headers: { Authorization: ['Bearer canary'] },
    timeout: 500,
    threshold: 5,
    backoff: 1000,
    ignore: { mediaTypes: ['x/a', 'x/b'], actions: ['pull'] },
  });
  assert.deepEqual(read({ notifications: { endpoints: [] } }), {});
  assert.deepEqual(problems(document(endpoint)), ['notifications.endpoints[0]: needs the plugin notification/webhook']);
  assert.deepEqual(problems(document({ ...endpoint, treshold: 1 }), all), [
    'notifications.endpoints[0].treshold: unknown option, did you mean "threshold"?',
  ]);
  assert.deepEqual(problems(document({ ...endpoint, ignore: { actions: ['jump'] } }), all).length, 1);
});

test('validation.manifests.urls becomes the lists of the registry, as distribution understands them', () => {
  const urls = { allow: ['^https://a'], deny: ['b'] };
  const of = (validation: object) => fromConfig({ storage: 'memory', validation }, plugins).validation;
  assert.deepEqual(of({ manifests: { urls } }), { manifests: { urls } });
  assert.deepEqual(of({ manifests: { urls: { deny: ['b'] } } }), { manifests: { urls: { deny: ['b'] } } });
  assert.deepEqual(of({}), NO_URLS);
  assert.deepEqual(fromConfig({ storage: 'memory' }, plugins).validation, NO_URLS);
  assert.equal(of({ disabled: true, manifests: { urls } }), undefined);
  assert.deepEqual(of({ disabled: true, enabled: true, manifests: { urls } }), { manifests: { urls } });
});

test('auth: the section names the plugin', () => {
  const { auth } = fromConfig({ storage: 'memory', auth: { htpasswd: { realm: 'r', path: '/p' } } }, plugins);
  assert.equal(auth?.definition, htpasswd.definition);
  assert.deepEqual(auth?.options, { realm: 'r', path: '/p' });
  assert.deepEqual(read({ auth: null }), {});
});

test('http.prefix becomes prefix', () => {
  assert.deepEqual(read({ http: { prefix: '/portal' } }), { prefix: '/portal' });
});

test('http.host, relativeurls and secret become those of http', () => {
  assert.deepEqual(read({ http: { host: 'https://r.example' } }), { http: { host: 'https://r.example' } });
  assert.deepEqual(read({ http: { relativeurls: true } }), { http: { relativeUrls: true } });
  assert.deepEqual(read({ http: { secret: 's' } }), { http: { secret: 's' } });
});

test('http.headers become one text for each header', () => {
  const headers = { 'X-Content-Type-Options': ['nosniff'], 'X-Many': ['a', 'b'], 'X-One': 'c' };
  assert.deepEqual(read({ http: { headers } }), {
    http: { headers: { 'X-Content-Type-Options': 'nosniff', 'X-Many': 'a, b', 'X-One': 'c' } },
  });
});

test('catalog.maxentries and tags.maxtags become maxEntries', () => {
  assert.deepEqual(read({ catalog: { maxentries: 500 } }), { catalog: { maxEntries: 500 } });
  assert.deepEqual(read({ tags: { maxtags: 50 } }), { tags: { maxEntries: 50 } });
});

test('validation.manifests.references becomes that of validation', () => {
  const validation = { disabled: false, manifests: { references: false } };
  assert.deepEqual(read({ validation }), { validation: { manifests: { references: false, urls: { allow: [] } } } });
});

test("the host application's sections are skipped", () => {
  const document = {
    version: 0.1,
    log: { level: 'debug', fields: { service: 'registry' }, hooks: [{ type: 'mail' }] },
    loglevel: 'info',
    reporting: { bugsnag: {} },
    http: {
      addr: ':5000',
      net: 'tcp',
      tls: { certificate: '/c', key: '/k', letsencrypt: {} },
      http2: { disabled: false },
      h2c: { enabled: true },
      draintimeout: '60s',
      debug: { addr: ':5001', prometheus: { enabled: true } },
    },
  };
  assert.deepEqual(read(document), {});
});

test('the file that the registry:2 image brings along is taken as it is', () => {
  const document = {
    version: 0.1,
    log: { fields: { service: 'registry' } },
    storage: { cache: { blobdescriptor: 'inmemory' }, filesystem: { rootdirectory: '/var/lib/registry' } },
    http: { addr: ':5000', headers: { 'X-Content-Type-Options': ['nosniff'] } },
    health: { storagedriver: { enabled: true, interval: '10s', threshold: 3 } },
  };
  const { storage, ...rest } = fromConfig(document, plugins);
  assert.ok(isPlugin(storage, 'storage'));
  assert.equal(storage.name, 'filesystem');
  assert.deepEqual(rest, { http: { headers: { 'X-Content-Type-Options': 'nosniff' } }, validation: NO_URLS });
});

test('what this version cannot do is said, section by section', () => {
  const document = {
    storage: { inmemory: {}, cache: { blobdescriptor: 'inmemory', blobdescriptorsize: 5 } },
    validation: { manifests: { indexes: { platforms: 'list' } } },
    proxy: { remoteurl: 'https://r' },
    policy: {},
    compatibility: {},
  };
  const found = problems(document);
  for (const section of Object.keys(document).slice(2)) {
    assert.ok(found.includes(`${section}: is not supported by this version`), section);
  }
  for (const path of [
    'storage.cache.blobDescriptorSize: is not supported by this version',
    'validation.manifests.indexes: is not supported by this version',
  ]) {
    assert.ok(found.includes(path), path);
  }
  assert.equal(found.length, 5);
});

test('everything unknown is named at once, with what was probably meant', () => {
  const found = problems({
    storage: { gsc: {}, gcs: { bukcet: 'x' }, delete: { enable: true } },
    http: { prefx: '/' },
    auht: {},
  });
  assert.deepEqual(
    new Set(found),
    new Set([
      'storage.gsc: unknown option, did you mean "gcs"?',
      'storage.gcs.bukcet: unknown option, did you mean "bucket"?',
      'storage.gcs.bucket: Invalid input: expected string, received undefined',
      'storage.delete.enable: unknown option, did you mean "enabled"?',
      'http.prefx: unknown option, did you mean "prefix"?',
      'auht: unknown option, did you mean "auth"?',
    ]),
  );
});

test('values of the wrong type are refused where they stand', () => {
  const found = problems({
    storage: { memory: {}, delete: { enabled: 'yes' } },
    http: { host: 5 },
    catalog: { maxentries: 0 },
  });
  assert.deepEqual(
    found.map((line) => line.slice(0, line.indexOf(':'))),
    ['storage.delete.enabled', 'http.host', 'catalog.maxEntries'],
  );
});

test('a key that is there in two spellings is refused', () => {
  assert.deepEqual(problems({ storage: { filesystem: { rootDirectory: '/a', rootdirectory: '/b' } } }), [
    'storage.filesystem.rootdirectory: unknown option, did you mean "rootDirectory"?',
  ]);
});

test('there must be exactly one storage, and at most one auth', () => {
  assert.deepEqual(problems({ storage: {} }), [
    'storage: must have a section for exactly one plugin: filesystem, memory, gcs',
  ]);
  assert.deepEqual(problems({ storage: { memory: {}, gcs: { bucket: 'b' } } }).length, 1);
  assert.deepEqual(problems({ storage: { delete: {} } }, []), [
    'storage: must have a section for exactly one plugin, but no plugin of kind storage was handed over',
  ]);
  assert.deepEqual(problems({ storage: 'memory', auth: {} }), [
    'auth: must have a section for exactly one plugin: htpasswd',
  ]);
  assert.equal(problems({}).length, 1);
});

test('what is no document is refused, not crashed upon', () => {
  for (const document of [undefined, null, [], 'storage', 5, { storage: null }, { storage: [] }, { storage: 5 }]) {
    assert.ok(problems(document).length > 0);
  }
});

test('no secret of the document is printed, and the document stays as it is', () => {
  const document = { storage: { gcs: { bucket: 5, credentials: { private_key: 5 } } }, http: { secret: ['hunter2'] } };
  const before = structuredClone(document);
  assert.ok(!problems(document).join().includes('hunter2'));
  assert.deepEqual(document, before);
});

const REQUIRED = 'redis: required by storage.cache';
const inRedis = { memory: null, cache: { blobdescriptor: 'redis' } };

/** The options of cache/redis that a section `redis` becomes. */
function cacheOf(section: object): unknown {
  const { cache } = fromConfig({ storage: inRedis, redis: section }, [memory, redis]);
  assert.equal(cache?.definition, redis.definition);
  resolveOptions({ storage: memory(), cache });
  return cache.options;
}

/** What is wrong with a section `redis` in use. */
function redisProblems(section: object): string[] {
  return problems({ storage: inRedis, redis: section }, [memory, redis]);
}

test('storage.cache in Redis is the plugin cache/redis with what the section redis says', () => {
  // As the references of distribution 2.8 and 3 have it.
  const common = { password: 'asecret', db: 0, dialtimeout: '10ms', readtimeout: '10ms', writetimeout: '10ms' };
  const understood = { addr: 'localhost:6379', password: 'asecret', db: 0, dialTimeout: 10, commandTimeout: 10 };
  const old = { addr: 'localhost:6379', ...common, pool: { maxidle: 16, maxactive: 64, idletimeout: '300s' } };
  assert.deepEqual(cacheOf(old), understood);
  const pool = { maxidleconns: 16, poolsize: 64, connmaxidletime: '300s' };
  const tls = { certificate: '/path/to/cert.crt', key: '/path/to/key.pem', rootcas: ['/path/to/ca.pem'] };
  assert.deepEqual(cacheOf({ tls, addrs: ['localhost:6379'], ...common, ...pool }), {
    ...understood,
    tls: { ca: '/path/to/ca.pem', cert: '/path/to/cert.crt', key: '/path/to/key.pem' },
  });
});

test('storage.cache.layerinfo is the older name of blobdescriptor', () => {
  const document = { storage: { memory: null, cache: { layerinfo: 'redis' } }, redis: { addr: 'r' } };
  assert.equal(fromConfig(document, [memory, redis]).cache?.name, 'redis');
  const both = { storage: { memory: null, cache: { blobdescriptor: 'inmemory', layerinfo: 'redis' } } };
  assert.equal(fromConfig({ ...document, ...both }, [memory, redis]).cache, undefined);
});

test('the size of a cache in Redis is skipped, as distribution does', () => {
  const cache = { blobdescriptor: 'redis', blobdescriptorsize: 10_000 };
  assert.deepEqual(problems({ storage: { memory: null, cache }, redis: { addr: 'r' } }, [memory, redis]), []);
});

test('redis: one address is a server, several are a cluster, and with a master they are sentinels', () => {
  assert.deepEqual(cacheOf({ addrs: ['a:1'] }), { addr: 'a:1' });
  assert.deepEqual(cacheOf({ addrs: ['a:1', 'b:2'] }), { cluster: ['a:1', 'b:2'] });
  const sentinels = { sentinelMasterSet: 'main', sentinels: ['a:1', 'b:2'] };
  assert.deepEqual(cacheOf({ addrs: ['a:1', 'b:2'], mastername: 'main' }), sentinels);
  assert.deepEqual(cacheOf({ addr: 'a:1, b:2', sentinelMasterSet: 'main' }), sentinels);
  const names = { username: 'u', password: 'p', sentinelusername: 'su', sentinelpassword: 'sp' };
  assert.deepEqual(cacheOf({ addrs: ['a:1'], mastername: 'main', ...names }), {
    sentinelMasterSet: 'main',
    sentinels: ['a:1'],
    username: 'u',
    password: 'p',
    sentinelUsername: 'su',
    sentinelPassword: 'sp',
  });
  // A file for both versions of distribution.
  assert.deepEqual(cacheOf({ addr: 'a:1', addrs: ['a:1'] }), { addr: 'a:1' });
});

test('redis: what Go takes for unwritten is', () => {
  const empty = { username: '', password: '', sentinelusername: '', mastername: '', db: null, dialtimeout: 0 };
  assert.deepEqual(cacheOf({ addr: 'a', addrs: [], ...empty, tls: { certificate: '', rootcas: [] } }), { addr: 'a' });
});

test('redis: a command may take as long as the longer of reading and writing', () => {
  assert.deepEqual(cacheOf({ addr: 'a', readtimeout: '1s', writetimeout: '2s' }), { addr: 'a', commandTimeout: 2_000 });
  assert.deepEqual(cacheOf({ addr: 'a', readtimeout: '3s' }), { addr: 'a', commandTimeout: 3_000 });
});

test('redis.tls: files or the mere word encrypt', () => {
  assert.deepEqual(cacheOf({ addr: 'a', tls: { enabled: true } }), { addr: 'a', tls: true });
  assert.deepEqual(cacheOf({ addr: 'a', tls: { enabled: false } }), { addr: 'a' });
  assert.deepEqual(cacheOf({ addr: 'a', tls: { rootcas: ['/ca'] } }), { addr: 'a', tls: { ca: '/ca' } });
  assert.deepEqual(redisProblems({ addr: 'a', tls: { enabled: false, certificate: '/c' } }), [
    'redis.tls.key: required with "certificate"',
    'redis.tls.enabled: contradicts the files beside it',
  ]);
  assert.deepEqual(redisProblems({ addr: 'a', tls: { key: '/k' } }), ['redis.tls.certificate: required with "key"']);
  assert.deepEqual(redisProblems({ addr: 'a', tls: { clientcas: ['/ca'], rootcas: ['/a', '/b'] } }), [
    'redis.tls.rootCas: must be one file, which may hold several certificates',
    'redis.tls.clientCas: has no effect on a client: use rootCas',
  ]);
});

test('redis: what is wrong is named where the document has it', () => {
  assert.deepEqual(redisProblems({}), ['redis.addrs: required, unless there is "addr"']);
  assert.deepEqual(redisProblems({ addrs: ['a:1', 'b:x'] }), ['redis.addrs[1]: must be a host, or host:port']);
  assert.deepEqual(redisProblems({ addr: 'a', readtimeout: '2m', dialtimeout: '2m' }).map(pathOf), [
    'redis.dialTimeout',
    'redis.readTimeout',
  ]);
  assert.deepEqual(redisProblems({ addr: 'a', dialtimeout: 10_000_000 }).map(pathOf), ['redis.dialTimeout']);
  assert.deepEqual(redisProblems({ addrs: ['a', 'b'], db: 1 }), ['redis.db: a cluster has no other database than 0']);
  assert.deepEqual(redisProblems({ addr: 'a', sentinelpassword: 'p' }).map(pathOf), ['redis.sentinelPassword']);
  assert.deepEqual(redisProblems({ addr: 'a', adrs: [] }), ['redis.adrs: unknown option, did you mean "addrs"?']);
  assert.deepEqual(redisProblems({ addr: 'a', readonly: true, routebylatency: true, routerandomly: false }), [
    'redis.readOnly: is not supported by this version: only masters are asked',
    'redis.routeByLatency: is not supported by this version: only masters are asked',
  ]);
});

function pathOf(problem: string): string {
  return problem.slice(0, problem.indexOf(':'));
}

test('storage.cache in Redis needs the plugin and the section, said beside all else that is wrong', () => {
  const needs = 'storage.cache.blobDescriptor: needs the plugin cache/redis';
  assert.deepEqual(problems({ storage: inRedis, redis: { addr: 'a' } }), [needs]);
  assert.deepEqual(problems({ storage: inRedis, redis: { addr: 'a' } }, [memory, leases]), [needs]);
  for (const section of [{}, { redis: null }]) {
    assert.deepEqual(problems({ storage: inRedis, ...section }, [memory, redis]), [REQUIRED]);
  }
  const found = problems({ storage: { ...inRedis, tga: {} }, http: { host: 5 } }, [memory, redis]);
  assert.deepEqual(found.map(pathOf).sort(), ['http.host', 'redis', 'storage.tga']);
  assert.deepEqual(problems({ storage: { memory: null, cache: { blobdescriptor: 'memcached' } } }), [
    'storage.cache.blobDescriptor: only "inmemory" and "redis" are supported by this version',
  ]);
});

test('a section redis without a use has no effect, and switches no coordination on', () => {
  for (const factories of [[memory], [memory, redis, leases]]) {
    for (const storage of ['memory', { memory: null, cache: { blobdescriptor: 'inmemory' } }]) {
      assert.deepEqual(Object.keys(fromConfig({ storage, redis: { addr: 'a' } }, factories)), [
        'storage',
        'validation',
      ]);
    }
  }
  const { cache, ...rest } = fromConfig({ storage: inRedis, redis: { addr: 'a' } }, [memory, redis, leases]);
  assert.ok(isPlugin(cache, 'cache'));
  assert.deepEqual(Object.keys(rest), ['storage', 'validation']);
});

test('no secret of the section redis is printed', () => {
  const found = problems({ storage: inRedis, redis: { addr: 'a', password: ['hunter2'] } }, [memory, redis]).join();
  assert.ok(found.includes('redis.password') && !found.includes('hunter2'));
  const { cache } = fromConfig({ storage: inRedis, redis: { addr: 'a', password: 'hunter2' } }, [memory, redis]);
  assert.ok(!JSON.stringify(cache).includes('hunter2'));
});

test("the reference's section filesystem is understood", () => {
  const section = { rootdirectory: '/var/lib/registry', maxthreads: 100 };
  assert.deepEqual(fromConfig({ storage: { filesystem: section } }, [files]).storage.options, {
    rootDirectory: '/var/lib/registry',
  });
});

test("the reference's section gcs is understood", () => {
  const credentials = {
    type: 'service_account',
    project_id: 'project_id_string',
    private_key_id: 'private_key_id_string',
    private_key: 'private_key_string',
    client_email: 'client@example.com',
    client_id: 'client_id_string',
    auth_uri: 'http://example.com/auth_uri',
    token_uri: 'http://example.com/token_uri',
    auth_provider_x509_cert_url: 'http://example.com/provider_cert_url',
    client_x509_cert_url: 'http://example.com/client_cert_url',
  };
  const section = { bucket: 'bucketname', rootdirectory: '/gcs/object/name/prefix', chunksize: 5_242_880 };
  const understood = { bucket: 'bucketname', rootDirectory: '/gcs/object/name/prefix', chunkSize: 5_242_880 };
  const options = (gcs: object) => fromConfig({ storage: { gcs } }, [bucket]).storage.options;
  assert.deepEqual(options({ ...section, credentials }), { ...understood, credentials });
  assert.deepEqual(options({ ...section, keyfile: '/path/to/keyfile', maxconcurrency: 60 }), {
    ...understood,
    keyFile: '/path/to/keyfile',
    maxConcurrency: 60,
  });
});

/** As the reference of distribution 3 has it. */
const S3 = {
  accesskey: 'awsaccesskey',
  secretkey: 'awssecretkey',
  region: 'us-west-1',
  regionendpoint: 'http://myobjects.local',
  forcepathstyle: true,
  accelerate: false,
  bucket: 'bucketname',
  encrypt: true,
  keyid: 'mykeyid',
  secure: true,
  v4auth: true,
  chunksize: 5_242_880,
  multipartcopychunksize: 33_554_432,
  multipartcopymaxconcurrency: 100,
  multipartcopythresholdsize: 33_554_432,
  rootdirectory: '/s3/object/name/prefix',
  usedualstack: false,
  usefipsendpoint: false,
  loglevel: 'debug',
};

test("the reference's section s3 is understood, but for an endpoint that is not as secure as it says", () => {
  for (const name of ['s3', 's3aws', 'S3']) {
    assert.deepEqual(fromConfig({ storage: { [name]: { ...S3, secure: false } } }, [s3]).storage.options, {
      accessKey: 'awsaccesskey',
      secretKey: 'awssecretkey',
      region: 'us-west-1',
      regionEndpoint: 'http://myobjects.local',
      forcePathStyle: true,
      accelerate: false,
      bucket: 'bucketname',
      encrypt: true,
      keyId: 'mykeyid',
      secure: false,
      v4Auth: true,
      chunkSize: 5_242_880,
      rootDirectory: '/s3/object/name/prefix',
      useDualStack: false,
      useFipsEndpoint: false,
    });
  }
  assert.deepEqual(problems({ storage: { s3: S3 } }, [s3]).map(pathOf), ['storage.s3.regionEndpoint']);
});

test('what a plugin ignores is left out of its section, and of no other', () => {
  assert.deepEqual(problems({ storage: { gcs: { bucket: 'b', maxthreads: 5 } } }, [bucket]).length, 1);
  // A plugin that knows the key gets it.
  assert.deepEqual(
    fromConfig({ storage: { filesystem: { rootdirectory: '/d', maxthreads: 5 } } }, plugins).storage.options,
    {
      rootDirectory: '/d',
      maxThreads: 5,
    },
  );
});

test.run();

function reaches(cache: DescriptorCache): Promise<boolean> {
  return Promise.resolve(cache.check?.()).then(
    () => true,
    () => false,
  );
}

const live = suiteNeeding('fromConfig: a Redis that is there', ['redis-server']);

live('the cache reaches the Redis of the document, with its password, in its database', async () => {
  const server = await RedisServer.start({ password: 'asecret' });
  try {
    const { cache } = fromConfig({ storage: inRedis, redis: { addrs: [server.addr], password: 'asecret', db: 3 } }, [
      memory,
      redis,
    ]);
    assert.ok(cache);
    const started = await startPlugin(cache);
    try {
      const { instance } = started;
      assert.ok(instance.check);
      await until(() => reaches(instance));
      const clients = await server.with((client) => client.client('LIST'));
      assert.match(String(clients), / db=3 /);
    } finally {
      await started.close();
    }
  } finally {
    await server.stop('SIGKILL');
  }
});

live.run();
