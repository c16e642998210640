// Small content kept in memory. What stands under a digest never changes, so an entry is right for
// as long as it is kept; whether the caller may have it is decided elsewhere.
import { LRUCache } from 'lru-cache';
import type { Digest } from '../model/digest.js';

/** In bytes. Beyond it the least recently used content goes. */
const CAPACITY = 32 * 1024 * 1024;

/** Larger content is read from the store each time. Nearly all manifests and configs are far below. */
const LARGEST = 256 * 1024;

export class Contents {
  readonly #kept = new LRUCache<Digest, Buffer>({ maxSize: CAPACITY, sizeCalculation: (bytes) => bytes.length + 128 });

  get(digest: Digest): Buffer | undefined {
    return this.#kept.get(digest);
  }

  /** Keeps a copy of its own where `bytes` is a view on something larger. */
  keep(digest: Digest, bytes: Buffer): void {
    if (bytes.length > LARGEST) return;
    this.#kept.set(digest, bytes.length === bytes.buffer.byteLength ? bytes : Buffer.from(bytes));
  }

  /** Whether content of this size is worth keeping at all. */
  static fits(size: number): boolean {
    return size <= LARGEST;
  }
}
