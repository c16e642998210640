// A storage driver around the real one: it notes every call, and lets a test delay calls or make a
// chosen one fail, before it was done or after.
import type { Readable } from 'node:stream';
import type { Entry, ListOptions, OpenOptions, Stat, StorageDriver } from '../../lib/contracts/index.js';
import type { CallOptions, CommitOptions } from '../../lib/contracts/storage.js';

export type StorageMethod = 'get' | 'put' | 'stat' | 'list' | 'open' | 'append' | 'commit' | 'remove';

export interface StorageCall {
  readonly method: StorageMethod;
  readonly key: string;
}

/** What happens around a call; what it throws is what the caller gets. */
export interface StorageHooks {
  /** Nothing was done yet. */
  before?(call: StorageCall): Promise<void> | void;
  /** It was done, and its answer may yet be lost. */
  after?(call: StorageCall): Promise<void> | void;
}

export class ObservedStorage implements StorageDriver {
  /** All calls so far; empty it to count anew. */
  calls: StorageCall[] = [];
  hooks: StorageHooks = {};
  readonly #driver: StorageDriver;

  constructor(driver: StorageDriver) {
    this.#driver = driver;
  }

  /** What `work` asks of the store: `get <key>`. */
  async during(work: () => Promise<unknown>): Promise<readonly string[]> {
    this.calls = [];
    await work();
    return this.calls.map(({ method, key }) => `${method} ${key}`);
  }

  get(key: string, options?: CallOptions): Promise<Buffer> {
    return this.#around('get', key, () => this.#driver.get(key, options));
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    return this.#around('put', key, () => this.#driver.put(key, bytes));
  }

  stat(key: string): Promise<Stat> {
    return this.#around('stat', key, () => this.#driver.stat(key));
  }

  async *list(key: string, options?: ListOptions): AsyncGenerator<Entry, void, undefined> {
    await this.#around('list', key, async () => undefined);
    yield* this.#driver.list(key, options);
  }

  open(key: string, options?: OpenOptions): Promise<Readable> {
    return this.#around('open', key, () => this.#driver.open(key, options));
  }

  append(key: string, offset: number, source: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<number> {
    return this.#around('append', key, () => this.#driver.append(key, offset, source, options));
  }

  commit(from: string, to: string, options?: CommitOptions): Promise<void> {
    return this.#around('commit', from, () => this.#driver.commit(from, to, options));
  }

  remove(key: string): Promise<void> {
    return this.#around('remove', key, () => this.#driver.remove(key));
  }

  async #around<T>(method: StorageMethod, key: string, work: () => Promise<T>): Promise<T> {
    const call = { method, key };
    this.calls.push(call);
    await this.hooks.before?.(call);
    const result = await work();
    await this.hooks.after?.(call);
    return result;
  }
}
