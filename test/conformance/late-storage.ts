// A storage driver that shows every write late, around one that does not: what an object store is like
// whose hosts do not all know at once what was written.
import type { Readable } from 'node:stream';
import {
  type CallOptions,
  type CommitOptions,
  DriverError,
  type Entry,
  isDriverError,
  type ListOptions,
  type OpenOptions,
  type Stat,
  type StorageDriver,
} from 'koa-registry';

/** What a key showed until a moment. */
interface Past {
  /** By the clock of the process, in milliseconds. */
  readonly until: number;
  /** Of an object that was being appended to; 0 where there was none. */
  readonly size: number;
}

/**
 * The same driver, seen late: an object appears `delay` milliseconds after it was written, and what is
 * appended is not seen to be longer before. Replaced content and removals show at once. All calls see
 * this, also `append` and `commit`, which fail as they would where something is missing.
 */
export class LateStorage implements StorageDriver {
  readonly #driver: StorageDriver;
  readonly #delay: number;
  /** Oldest first. */
  readonly #pasts = new Map<string, Past[]>();

  /** @param delay in milliseconds. */
  constructor(driver: StorageDriver, delay: number) {
    this.#driver = driver;
    this.#delay = delay;
  }

  async get(key: string, options?: CallOptions): Promise<Buffer> {
    this.#assertShown(key);
    return this.#driver.get(key, options);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const isNew = !(await this.#isThere(key));
    await this.#driver.put(key, bytes);
    if (isNew) this.#hide(key, 0);
  }

  async stat(key: string): Promise<Stat> {
    const found = await this.#driver.stat(key);
    if (found.kind === 'prefix') {
      if (await this.#isShownBelow(key)) return found;
      throw new DriverError('not-found', key);
    }
    this.#assertShown(key);
    return { ...found, size: this.#past(key)?.size ?? found.size };
  }

  async *list(key: string, options?: ListOptions): AsyncGenerator<Entry, void, undefined> {
    let any = false;
    for await (const entry of this.#driver.list(key, options)) {
      const child = key === '' ? entry.name : `${key}/${entry.name}`;
      if (entry.kind === 'prefix' ? !(await this.#isShownBelow(child)) : this.#isHidden(child)) continue;
      any = true;
      yield entry;
    }
    if (!any && !(await this.#isShownBelow(key))) throw new DriverError('not-found', key);
  }

  async open(key: string, options: OpenOptions = {}): Promise<Readable> {
    this.#assertShown(key);
    const { size } = this.#past(key) ?? {};
    const { start = 0, end = Number.MAX_SAFE_INTEGER } = options;
    if (size === undefined) return this.#driver.open(key, options);
    if (start >= size) throw new DriverError('invalid-offset', key);
    return this.#driver.open(key, { ...options, end: Math.min(end, size - 1) });
  }

  async append(key: string, offset: number, source: AsyncIterable<Uint8Array>, options?: CallOptions): Promise<number> {
    const past = this.#past(key);
    if (past !== undefined && past.size !== offset) throw new DriverError('offset-conflict', key);
    try {
      return await this.#driver.append(key, offset, source, options);
    } finally {
      this.#hide(key, offset);
    }
  }

  async commit(from: string, to: string, options?: CommitOptions): Promise<void> {
    if (this.#past(from) !== undefined)
      throw new DriverError(this.#isHidden(from) ? 'not-found' : 'offset-conflict', from);
    const isNew = !(await this.#isThere(to));
    await this.#driver.commit(from, to, options);
    if (isNew) this.#hide(to, 0);
  }

  async remove(key: string): Promise<void> {
    if (this.#isHidden(key)) throw new DriverError('not-found', key);
    await this.#driver.remove(key);
    for (const hidden of this.#pasts.keys()) {
      if (hidden === key || hidden.startsWith(`${key}/`)) this.#pasts.delete(hidden);
    }
  }

  #hide(key: string, size: number): void {
    const pasts = this.#pasts.get(key) ?? [];
    this.#pasts.set(key, [...pasts, { until: performance.now() + this.#delay, size }]);
  }

  /** What the key still shows in place of what it holds. */
  #past(key: string): Past | undefined {
    return this.#pasts.get(key)?.find(({ until }) => until > performance.now());
  }

  #isHidden(key: string): boolean {
    return this.#past(key)?.size === 0;
  }

  #assertShown(key: string): void {
    if (this.#isHidden(key)) throw new DriverError('not-found', key);
  }

  async #isThere(key: string): Promise<boolean> {
    try {
      return (await this.#driver.stat(key)).kind === 'object';
    } catch (error) {
      if (isDriverError(error, 'not-found')) return false;
      throw error;
    }
  }

  async #isShownBelow(key: string): Promise<boolean> {
    try {
      for await (const { name, kind } of this.#driver.list(key)) {
        const child = key === '' ? name : `${key}/${name}`;
        if (kind === 'object' ? !this.#isHidden(child) : await this.#isShownBelow(child)) return true;
      }
      return false;
    } catch (error) {
      if (isDriverError(error, 'not-found')) return false;
      throw error;
    }
  }
}
