// The cache of descriptors as the services use it: it fails open, and never remembers what was
// revoked while it was being looked up.
import type { DescriptorCache, DescriptorSet } from '../contracts/cache.js';
import type { Logger } from '../contracts/logger.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';

export class Descriptors {
  readonly #cache: DescriptorCache;
  readonly #log: Logger;
  /** Grows when a revocation begins and when it ends; a look-up that saw it change is not remembered. */
  #revocations = 0;
  /** What is on its way into the cache; a revocation waits for it, lest it arrive afterwards. */
  readonly #writing = new Set<Promise<void>>();

  constructor(cache: DescriptorCache, log: Logger) {
    this.#cache = cache;
    this.#log = log;
  }

  /** What is remembered; a cache that fails has nothing. */
  get(set: DescriptorSet, digest: Digest): Promise<Descriptor | undefined> | Descriptor | undefined {
    try {
      const found = this.#cache.get(set, digest);
      return found instanceof Promise ? found.catch((error) => this.#failed('get', error)) : found;
    } catch (error) {
      return this.#failed('get', error);
    }
  }

  /** Remembers what `look` finds or writes, if anything. */
  async remember<T extends Descriptor | undefined>(
    set: DescriptorSet,
    digest: Digest,
    look: () => Promise<T>,
  ): Promise<T> {
    const before = this.#revocations;
    const descriptor = await look();
    if (descriptor === undefined || before !== this.#revocations) return descriptor;
    const writing = this.#write(set, digest, descriptor);
    this.#writing.add(writing);
    await writing;
    this.#writing.delete(writing);
    return descriptor;
  }

  async #write(set: DescriptorSet, digest: Digest, descriptor: Descriptor): Promise<void> {
    try {
      await this.#cache.set(set, digest, descriptor);
    } catch (error) {
      this.#failed('set', error);
    }
  }

  /** Runs `remove`, after which nobody finds the descriptor in `set`, remembered or stored. */
  async revoke<T>(set: DescriptorSet, digest: Digest, remove: () => Promise<T>): Promise<T> {
    this.#revocations += 1;
    try {
      return await remove();
    } finally {
      this.#revocations += 1;
      await this.#forget(set, digest);
    }
  }

  async #forget(set: DescriptorSet, digest: Digest): Promise<void> {
    await Promise.all(this.#writing);
    try {
      await this.#cache.delete(set, digest);
    } catch (error) {
      this.#failed('delete', error);
    }
  }

  #failed(operation: string, error: unknown): undefined {
    this.#log.warn({ operation, err: error }, 'the descriptor cache failed; going on without it');
    return undefined;
  }
}
