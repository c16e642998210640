// distribution's configuration file, section by section: what it becomes, what is skipped, what is refused.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { z } from 'zod';
import { OptionsError } from '../../lib/errors.js';
import { definePlugin, fromConfig, isPlugin, secret } from '../../lib/plugin/index.js';

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
const redirect = definePlugin({ kind: 'layer', name: 'redirect', options: z.strictObject({}), create: never });

const plugins = [filesystem, memory, gcs, htpasswd];

/** The options without the storage that every document needs. */
function read(document: object): object {
  const { storage, ...rest } = fromConfig({ storage: { inmemory: null }, ...document }, plugins);
  assert.ok(isPlugin(storage, 'storage'));
  return rest;
}

function problems(document: unknown, factories = plugins): string[] {
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
    assert.deepEqual(Object.keys(options), ['storage']);
  }
});

test('storage.delete.enabled becomes delete.enabled', () => {
  assert.deepEqual(read({ storage: { inmemory: {}, delete: { enabled: true } } }), { delete: { enabled: true } });
  assert.deepEqual(read({ storage: { inmemory: {}, delete: null } }), {});
});

test('storage.maintenance.readonly.enabled becomes readOnly', () => {
  const maintenance = {
    readonly: { enabled: true },
    uploadpurging: { enabled: false, age: '168h', interval: '24h', dryrun: false },
  };
  assert.deepEqual(read({ storage: { inmemory: {}, maintenance } }), { readOnly: true });
});

test('storage.cache in memory and storage.tag are what the registry does anyway', () => {
  for (const cache of [{ blobdescriptor: 'inmemory' }, { layerinfo: 'inmemory' }]) {
    assert.deepEqual(read({ storage: { inmemory: {}, cache, tag: { concurrencylimit: 8 } } }), {});
  }
});

test('storage.redirect uses the plugin layer/redirect where it was handed over', () => {
  const all = [...plugins, redirect];
  assert.equal(fromConfig({ storage: 'memory' }, all).layer?.definition, redirect.definition);
  assert.equal(fromConfig({ storage: { memory: {}, redirect: { disable: false } } }, all).layer?.name, 'redirect');
  assert.equal(fromConfig({ storage: { memory: {}, redirect: { disable: true } } }, all).layer, undefined);
  assert.deepEqual(read({ storage: { memory: {}, redirect: { disable: true } } }), {});
  assert.deepEqual(problems({ storage: { memory: {}, redirect: { disable: false } } }), [
    'storage.redirect.disable: needs the plugin layer/redirect',
  ]);
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
  assert.deepEqual(read({ validation }), { validation: { manifests: { references: false } } });
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
  assert.deepEqual(rest, { http: { headers: { 'X-Content-Type-Options': 'nosniff' } } });
});

test('what this version cannot do is said, section by section', () => {
  const document = {
    storage: {
      inmemory: {},
      cache: { blobdescriptor: 'redis', blobdescriptorsize: 5 },
      maintenance: { uploadpurging: { enabled: true } },
    },
    validation: { manifests: { urls: { allow: ['x'] }, indexes: { platforms: 'list' } } },
    notifications: { endpoints: [] },
    proxy: { remoteurl: 'https://r' },
    redis: { addr: 'r' },
    middleware: { storage: [] },
    policy: {},
    compatibility: {},
  };
  const found = problems(document);
  for (const section of Object.keys(document).slice(2)) {
    assert.ok(found.includes(`${section}: is not supported by this version`), section);
  }
  for (const path of [
    'storage.cache.blobDescriptor: only "inmemory" is supported by this version',
    'storage.cache.blobDescriptorSize: is not supported by this version',
    'storage.maintenance.uploadPurging.enabled: is not supported by this version; set it to false',
    'validation.manifests.urls: is not supported by this version',
    'validation.manifests.indexes: is not supported by this version',
  ]) {
    assert.ok(found.includes(path), path);
  }
  assert.equal(found.length, 11);
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

test.run();
