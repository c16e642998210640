// The cache that a registry uses when it is given none: descriptors in this process's memory.
import { LRUCache } from 'lru-cache';
import type { DescriptorCache, DescriptorSet } from '../contracts/cache.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';

/** How many descriptors; each takes some 200 bytes. */
const CAPACITY = 50_000;

export class MemoryDescriptorCache implements DescriptorCache {
  readonly #kept = new LRUCache<string, Descriptor>({ max: CAPACITY });

  get(set: DescriptorSet, digest: Digest): Descriptor | undefined {
    return this.#kept.get(`${set}@${digest}`);
  }

  set(set: DescriptorSet, digest: Digest, descriptor: Descriptor): void {
    this.#kept.set(`${set}@${digest}`, descriptor);
  }

  delete(set: DescriptorSet, digest: Digest): void {
    this.#kept.delete(`${set}@${digest}`);
  }
}
