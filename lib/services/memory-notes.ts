// Notes of one process: small texts that are forgotten after a time.
import { LRUCache } from 'lru-cache';
import type { Notes } from '../contracts/coordination.js';

/** How many; the least recent are forgotten beyond. */
const CAPACITY = 10_000;

export class MemoryNotes implements Notes {
  readonly #kept: LRUCache<string, string>;

  constructor(clock: () => number) {
    this.#kept = new LRUCache({ max: CAPACITY, perf: { now: clock }, ttlResolution: 0 });
  }

  async get(name: string): Promise<string | undefined> {
    return this.#kept.get(name);
  }

  async set(name: string, text: string, ttl: number): Promise<void> {
    this.#kept.set(name, text, { ttl });
  }

  async delete(name: string): Promise<void> {
    this.#kept.delete(name);
  }
}
