// Stores that show a write late: what is known to have been written is looked for again for a while.
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { RegistryError } from '../errors.js';

/** Pauses between looks, in milliseconds: a second and a half in all. */
const PAUSES = [25, 50, 100, 200, 400, 800];

/** How long something counts as written lately, in milliseconds, and how much of it is remembered. */
const LATELY = 60_000;
const REMEMBERED = 10_000;

/** Looks until something is found; `undefined` where it does not appear in time. */
export async function lookAgain<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  for (const pause of PAUSES) {
    await sleep(pause);
    const found = await look();
    if (found !== undefined) return found;
  }
  return undefined;
}

/** "It was written, and cannot be seen yet": answered 503, and a later try will find it. */
export function notYetVisible(detail: Readonly<Record<string, unknown>>, cause?: unknown): RegistryError {
  return new RegistryError('UNAVAILABLE', { ...detail, problem: 'the store does not show it yet' }, { cause });
}

/** Names of what this process has lately written. */
export class LatelyWritten {
  readonly #names = new LRUCache<string, true>({ max: REMEMBERED, ttl: LATELY });

  add(name: string): void {
    this.#names.set(name, true);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  delete(name: string): void {
    this.#names.delete(name);
  }
}
