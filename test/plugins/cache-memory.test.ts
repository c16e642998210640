// The cache that a registry has when it is given none: the published suite over it, and the suite itself
// over caches that break one promise each.
import { strict as assert } from 'node:assert';
import { type DescriptorCache, definePlugin } from 'koa-registry';
import { descriptorCacheSuite } from 'koa-registry/conformance';
import { suite } from 'uvu';
import { z } from 'zod';
import { MemoryDescriptorCache } from '../../lib/services/memory-descriptor-cache.js';

function pluginOf(create: () => DescriptorCache) {
  return definePlugin({ kind: 'cache', name: 'memory', options: z.strictObject({}), create });
}

const conformance = suite('the cache in memory: conformance');
descriptorCacheSuite(conformance, () => pluginOf(() => new MemoryDescriptorCache())(), {}, { shared: false });
conformance.run();

/** Deletes, and from then on refuses what is set: what several hosts of one process could share. */
class SharedCache extends MemoryDescriptorCache {
  readonly #deleted = new Set<string>();

  override set(...[set, digest, descriptor]: Parameters<DescriptorCache['set']>): void {
    if (!this.#deleted.has(`${set}@${digest}`)) super.set(set, digest, descriptor);
  }

  override delete(...[set, digest]: Parameters<DescriptorCache['delete']>): void {
    this.#deleted.add(`${set}@${digest}`);
    super.delete(set, digest);
  }
}

const shared = suite('the suite over two hosts that share a sound cache');
const common = new SharedCache();
descriptorCacheSuite(
  shared,
  pluginOf(() => common),
);
shared.run();

/** Everything in one set. */
class OneSet extends MemoryDescriptorCache {
  override get(...[, digest]: Parameters<DescriptorCache['get']>) {
    return super.get('blobs', digest);
  }
  override set(...[, digest, descriptor]: Parameters<DescriptorCache['set']>) {
    super.set('blobs', digest, descriptor);
  }
}

class Late extends MemoryDescriptorCache {
  override async set(...args: Parameters<DescriptorCache['set']>) {
    await new Promise(setImmediate);
    super.set(...args);
  }
}

const bare = new MemoryDescriptorCache();

/** A promise, and a cache that breaks it. */
const FAULTS: readonly (readonly [promise: string, create: () => DescriptorCache])[] = [
  [
    'get: the descriptor is whole, with all that it may have',
    () => {
      const cache = new MemoryDescriptorCache();
      const set: DescriptorCache['set'] = (where, digest, { mediaType, size }) =>
        cache.set(where, digest, { mediaType, digest, size });
      return { get: (...args) => cache.get(...args), set, delete: (...args) => cache.delete(...args) };
    },
  ],
  ['set: a descriptor is in the set that it was set in, and in no other', () => new OneSet()],
  [
    'delete: the descriptor is answered no more',
    () => Object.assign(new MemoryDescriptorCache(), { delete: () => undefined }),
  ],
  [
    'delete: what is not there may be deleted, again and again',
    () => Object.assign(new MemoryDescriptorCache(), { delete: () => Promise.reject(new Error('not found')) }),
  ],
  [
    'delete: other sets and other digests keep what they have',
    () => {
      let cache = new MemoryDescriptorCache();
      return {
        get: (...args) => cache.get(...args),
        set: (...args) => cache.set(...args),
        delete: () => {
          cache = new MemoryDescriptorCache();
        },
      };
    },
  ],
  ['delete: what was being set meanwhile is not there afterwards', () => new Late()],
  [
    'check: resolves while the cache can be reached',
    () => Object.assign(new MemoryDescriptorCache(), { check: () => Promise.reject(new Error('away')) }),
  ],
  ['two hosts: what one has set the other answers', () => new MemoryDescriptorCache()],
  ['two hosts: what one has deleted neither answers', () => new MemoryDescriptorCache()],
  ['two hosts: a look-up that began before a delete cannot bring back what it found', () => bare],
];

const test = suite('the suite over caches that break a promise');
for (const [promise, create] of FAULTS) {
  test(promise, async () => {
    const cases = new Map<string, () => Promise<void>>();
    descriptorCacheSuite((name, body) => cases.set(name, body), pluginOf(create));
    const body = cases.get(promise);
    assert.ok(body !== undefined, 'no such case');
    await assert.rejects(body(), 'the broken promise was not noticed');
  });
}

test('a skip that names no test is an error', () => {
  const skips = { 'get: everything': 'there is no such promise' };
  assert.throws(
    () =>
      descriptorCacheSuite(
        test,
        pluginOf(() => bare),
        skips,
      ),
    /no such test: get: everything/,
  );
});

test.run();
