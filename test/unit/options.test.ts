// The options object: all problems are told at once, and secrets to nobody.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { OptionsError, type RegistryOptions, registry } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { test } from 'uvu';
import { withHost } from '../http/host-service.js';
import { RegistryClient } from '../support/registry-client.js';

const BLOB = Buffer.from('content');

test('every problem is reported at once, with its path', () => {
  const odd = {
    storage: memory({ maxBytes: 'much' }),
    prefix: 'portal',
    readOnly: 'yes',
    delete: { enable: true },
    http: { host: 'registry.example', secret: '', maxManifestBytes: -1, bodyTimeout: 'soon' },
    tags: { maxEntries: 0 },
    catalog: { maxEntries: 1.5 },
    formats: [memory()],
    logger: {},
    unheard: 1,
  } as unknown as RegistryOptions;
  assert.throws(
    () => registry(odd),
    (error: unknown) => {
      assert.ok(error instanceof OptionsError);
      assert.deepEqual(error.problems.map(({ path }) => path).sort(), [
        'catalog.maxEntries',
        'delete.enable',
        'formats[0]',
        'http.bodyTimeout',
        'http.host',
        'http.maxManifestBytes',
        'http.secret',
        'logger',
        'prefix',
        'readOnly',
        'storage.memory.maxBytes',
        'tags.maxEntries',
        'unheard',
      ]);
      assert.match(error.message, /delete\.enable: .*did you mean "enabled"/);
      return true;
    },
  );
});

test('what is no options object at all is told so', () => {
  for (const odd of [undefined, null, 1, 'x', [], {}, { storage: 'memory' }, { storage: memory }]) {
    assert.throws(() => registry(odd as unknown as RegistryOptions), OptionsError);
  }
});

test('the options are neither changed nor kept', async () => {
  const headers: Record<string, string> = { 'X-Ours': 'before' };
  const given: Partial<RegistryOptions> = { http: { headers } };
  await withHost({ options: given }, async ({ url }) => {
    headers['X-Ours'] = 'after';
    assert.equal((await fetch(`${url}/v2/`)).headers.get('X-Ours'), 'before');
    assert.deepEqual(given, { http: { headers: { 'X-Ours': 'after' } } });
  });
});

test('a secret is in no error, no log and no answer', async () => {
  const secret = 'the-secret-of-this-registry';
  const wrong = { storage: memory(), http: { secret: [secret], secrte: secret } } as unknown as RegistryOptions;
  assert.throws(
    () => registry(wrong),
    (error: unknown) => !inspect(error, { depth: 10 }).includes(secret),
  );
  await withHost({ options: { http: { secret } } }, async ({ url, registry: ours, lines, errors }) => {
    await new RegistryClient(url).pushBlob('a', BLOB);
    const bad = await fetch(`${url}/v2/a/blobs/uploads/x?_state=${secret}`);
    assert.equal((await bad.text()).includes(secret), false);
    assert.equal(inspect([ours, lines, errors], { depth: 20 }).includes(secret), false);
  });
});

test.run();
