// The handler itself, asked about stores that can do less than it hopes, or say odd things.
import { strict as assert } from 'node:assert';
import { DriverError, type Layer, type LayerAnswer, type LayerStore } from 'koa-registry';
import { assertAnswer, type LayerCase, layerOf, requestOf, resolveOf, settled } from './layer-case.js';
import { assertUnseen } from './layer-log.js';
import type { LayerRegistry } from './layer-registry.js';

const METHODS = ['GET', 'HEAD'] as const;

/** What a signature of the driver looks like in these tests. */
const CANARY = 'canary-of-a-signature';

/** Where a client may be said to be, by a proxy or by itself. */
const ADDRESSES = [
  '',
  'unknown',
  '127.0.0.1',
  '::1',
  '::ffff:203.0.113.7',
  'fe80::1%eth0',
  '2001:db8::7',
  '203.0.113.7:4711',
  '203.0.113.7, 10.0.0.1',
  '256.256.256.256',
  '*',
  '0.0.0.0/0',
  '203.0.113.7/0"}},"Resource":"*',
  'a\u00e9\u{1f41f}',
  '9'.repeat(400),
];

/** What a driver may have instead of a URL. */
const NO_URLS = [
  `:${CANARY}`,
  `/relative?s=${CANARY}`,
  `ftp://a/b?s=${CANARY}`,
  `http://[a?s=${CANARY}`,
  `http://a b/?s=${CANARY}`,
];

/** The members of a store that a handler is told of. */
function onStore({ url: _url, path: _path, ...layer }: Layer, store: LayerStore): Layer {
  return { ...layer, ...store };
}

/** What the handler answers on a store; a failure is one of its ways to say that it cannot. */
async function outcomes(
  at: LayerRegistry,
  store: LayerStore,
): Promise<PromiseSettledResult<LayerAnswer | undefined>[]> {
  const layer = onStore(await layerOf(at), store);
  const results: PromiseSettledResult<LayerAnswer | undefined>[] = [];
  for (const method of METHODS) results.push(await settled(resolveOf(at, layer, requestOf(at, { method }))));
  return results;
}

async function fitsOn(at: LayerRegistry, store: LayerStore): Promise<void> {
  for (const result of await outcomes(at, store)) if (result.status === 'fulfilled') assertAnswer(result.value);
}

/** A store that has of its two members those that are defined. */
function storeWith({ url, path }: { [K in keyof LayerStore]?: LayerStore[K] | undefined }): LayerStore {
  return { ...(url && { url }), ...(path && { path }) };
}

const failing = () => Promise.reject(new DriverError('unavailable', 'conformance'));
const silent = async () => undefined;

/** Stores that lack something, for good. */
function poorStores(at: LayerRegistry): LayerStore[] {
  const { url, path } = at.store;
  return [{}, storeWith({ url }), storeWith({ path }), storeWith({ url: silent, path }), { url: silent }];
}

/** A request whose signal is aborted, before or after it is asked. */
async function abortedRequest(at: LayerRegistry, layer: Layer, when: 'before' | 'after'): Promise<void> {
  const controller = new AbortController();
  const abort = () => controller.abort(new Error('the client is gone'));
  if (when === 'before') abort();
  const answer = settled(resolveOf(at, layer, requestOf(at, { signal: controller.signal })));
  if (when === 'after') setImmediate(abort);
  const result = await answer;
  if (result.status === 'fulfilled') assertAnswer(result.value);
}

export const storeCases: readonly LayerCase[] = [
  [
    'resolve: does not fail for the address of a client, whatever it is',
    async (at) => {
      const layer = await layerOf(at);
      for (const client of ADDRESSES) {
        for (const method of METHODS) {
          const result = await settled(resolveOf(at, layer, requestOf(at, { client, method, headers: {} })));
          assert.equal(result.status, 'fulfilled', `fails for a client at ${JSON.stringify(client)}`);
          if (result.status === 'fulfilled') assertAnswer(result.value);
        }
      }
    },
  ],
  [
    'resolve: on a driver whose url rejects it throws, or answers what can be sent',
    async (at) => {
      await fitsOn(at, storeWith({ url: failing, path: at.store.path }));
      await fitsOn(at, { url: failing });
    },
  ],
  [
    'resolve: on a driver whose url answers undefined it throws, or answers what can be sent',
    async (at) => {
      await fitsOn(at, storeWith({ url: silent, path: at.store.path }));
      await fitsOn(at, { url: silent });
    },
  ],
  [
    'resolve: on a driver with neither url nor path it throws, or answers what can be sent',
    async (at) => fitsOn(at, {}),
  ],
  [
    'resolve: where the names of a store have spaces, percent signs and letters of any script, what it answers can be sent',
    async (at) => {
      for (const folder of ['two words', '100%', '%41', 'a?b#c', 'caf\u00e9 \u{1f41f}', '/srv/two words']) {
        await fitsOn(at, storeWith({ url: at.store.url, path: (key) => `${folder}/${key}` }));
      }
    },
  ],
  [
    'resolve: what it throws over a URL that is none holds nothing of it',
    async (at) => {
      for (const answer of NO_URLS) {
        for (const result of await outcomes(at, { url: async () => answer })) {
          if (result.status === 'rejected') assertUnseen([CANARY], result.reason, 'what the handler throws');
        }
      }
      assertUnseen([CANARY], at.log, 'the log');
    },
  ],
  [
    'resolve: comes to an end when the signal is aborted',
    async (at) => {
      const layer = await layerOf(at);
      await abortedRequest(at, layer, 'before');
      await abortedRequest(at, layer, 'after');
    },
  ],
  [
    'resolve: changes nothing of what it is given, nor of its options',
    async (at) => {
      const layer = await layerOf(at);
      const request = requestOf(at);
      const given = () => structuredClone({ descriptor: layer.descriptor, headers: request.headers });
      const members = () => [Object.entries(layer), Object.entries(request)];
      const before = [given(), members(), JSON.stringify(at.setup.layer)];
      await settled(resolveOf(at, layer, request));
      assert.deepEqual([given(), members(), JSON.stringify(at.setup.layer)], before);
    },
  ],
  [
    'check: resolves with the store that the handler works with',
    async (at) => {
      const handler = await at.handler();
      const result = await settled(
        Promise.resolve(handler.check?.({ ...at.store, signal: AbortSignal.timeout(60_000) })),
      );
      if (result.status === 'rejected') assert.fail(`check rejects: ${String(result.reason)}`);
      const { ok, checks } = await at.registry.health();
      assert.ok(ok, JSON.stringify(checks));
    },
  ],
  [
    'check: rejects where what the driver can is not enough for the handler',
    async (at) => {
      const handler = await at.handler();
      for (const store of poorStores(at)) {
        if (handler.check === undefined) return;
        const { status } = await settled(handler.check(store));
        if (status === 'rejected') continue;
        for (const result of await outcomes(at, store)) {
          assert.equal(result.status, 'fulfilled', 'check finds nothing wrong with a store on which resolve fails');
        }
      }
    },
  ],
];
