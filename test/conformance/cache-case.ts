// What the tests of the cache suite have in common: their form, a host at work, and descriptors that
// nobody else has.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Descriptor,
  type DescriptorCache,
  type DescriptorSet,
  type Digest,
  digestOf,
  type Plugin,
  parseRepositoryName,
  type RepositoryName,
  type Started,
  startPlugin,
} from 'koa-registry';

/** One promise, and the test that fails where it is broken. `start` makes a host that is at work. */
export type CacheCase = readonly [promise: string, body: (start: () => Promise<CacheHost>) => Promise<void>];

/** How long a cache may take before it remembers, in milliseconds. */
const WARM_UP = 60_000;

/** A cache, and the close of its plugin. */
export class CacheHost {
  readonly cache: DescriptorCache;
  readonly close: () => Promise<void>;

  constructor({ instance, close }: Started<'cache'>) {
    this.cache = instance;
    this.close = close;
  }

  static async start(plugin: Plugin<'cache'>): Promise<CacheHost> {
    return new CacheHost(await startPlugin(plugin));
  }

  /** Resolves when the cache remembers what it is told. */
  async warm(): Promise<void> {
    for (const end = performance.now() + WARM_UP; performance.now() < end; await delay(20)) {
      const { digest } = await this.remembers(aSet(), aDescriptor());
      if (digest !== undefined) return;
    }
    assert.fail('the cache remembers nothing, a minute after its start');
  }

  /** Tells the cache a descriptor, and answers what it then says. */
  async remembers(set: DescriptorSet, descriptor: Descriptor): Promise<Partial<Descriptor>> {
    await this.cache.set(set, descriptor.digest, descriptor);
    return (await this.cache.get(set, descriptor.digest)) ?? {};
  }

  /** Asserts that a descriptor is answered as it is. */
  async has(set: DescriptorSet, descriptor: Descriptor): Promise<void> {
    assert.deepEqual(await this.cache.get(set, descriptor.digest), descriptor, `in ${set}`);
  }

  /** Asserts that nothing is answered. */
  async lacks(set: DescriptorSet, digest: Digest, why = 'what is not there is answered'): Promise<void> {
    assert.equal(await this.cache.get(set, digest), undefined, `${why}, in ${set}`);
  }
}

/** A repository's set that no other test uses. */
export function aSet(kind: 'blobs' | 'manifests' = 'blobs'): DescriptorSet {
  return `${kind}:${aName()}`;
}

export function aName(): RepositoryName {
  return parseRepositoryName(`conformance/${randomUUID()}`);
}

/** A descriptor of content that no other test has. */
export function aDescriptor(more: Partial<Descriptor> = {}): Descriptor {
  const digest = digestOf(Buffer.from(randomUUID()));
  return { mediaType: 'application/octet-stream', digest, size: 1234, ...more };
}
