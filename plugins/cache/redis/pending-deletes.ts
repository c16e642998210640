// Deletes that Redis has not been told of yet. There is a bound to what is remembered, beyond which
// everything counts as deleted.

/** Some ten megabytes. */
const CAPACITY = 50_000;

export class PendingDeletes {
  /** Whether there were more than can be remembered, so that nothing in the cache is to be believed. */
  overflown = false;
  readonly #names = new Set<string>();
  readonly #waiting = new Set<() => void>();

  get empty(): boolean {
    return this.#names.size === 0 && !this.overflown;
  }

  add(name: string): void {
    if (!this.overflown) this.#names.add(name);
    if (this.#names.size <= CAPACITY) return;
    this.overflown = true;
    this.#names.clear();
  }

  /** Has each name told, `count` at a time, also those that are added meanwhile; what cannot be told stays. */
  async drain(count: number, tell: (names: readonly string[]) => Promise<void>): Promise<void> {
    while (this.#names.size > 0) {
      const names = [...this.#names].slice(0, count);
      await tell(names);
      for (const name of names) this.#names.delete(name);
    }
    if (this.empty) this.#notify();
  }

  clear(): void {
    this.#names.clear();
    this.overflown = false;
    this.#notify();
  }

  /** Resolves when nothing is left, or after `limit` milliseconds. */
  gone(limit: number): Promise<void> {
    if (limit <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, limit);
      this.#waiting.add(end);
    });
  }

  #notify(): void {
    for (const end of this.#waiting) end();
  }
}
