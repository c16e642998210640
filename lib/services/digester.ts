// The digest of what an upload session has received, kept up while the bytes stream by.
import { createHash, type Hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type Digest, type DigestAlgorithm, finishDigest } from '../model/digest.js';

/** How many unfinished sessions keep their hash; the stored part of any other is read again at its end. */
const KEPT = 10_000;

/** A running hash over the first `offset` bytes of a session. */
export class Digester {
  readonly algorithm: DigestAlgorithm;
  readonly #hash: Hash;
  #offset = 0;

  constructor(algorithm: DigestAlgorithm) {
    this.algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  /** How many bytes went through. */
  get offset(): number {
    return this.#offset;
  }

  /** Passes chunks on as they are, hashing them. */
  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of source) {
      this.#hash.update(chunk);
      this.#offset += chunk.length;
      yield chunk;
    }
  }

  /** The digest of what went through so far; more may follow. */
  digest(): Digest {
    return finishDigest(this.algorithm, this.#hash.copy());
  }
}

/** The digesters of sessions that are between two requests of this process. */
export class Digesters {
  readonly #kept = new LRUCache<string, Digester>({ max: KEPT });

  keep(uuid: string, digester: Digester): void {
    this.#kept.set(uuid, digester);
  }

  /**
   * Takes the digester of a session that has `offset` bytes, if there is one that saw just these:
   * it is the caller's alone, to be kept again when the request went well.
   */
  take(uuid: string, algorithm: DigestAlgorithm, offset: number): Digester | undefined {
    const kept = this.#kept.get(uuid);
    this.#kept.delete(uuid);
    if (kept?.algorithm === algorithm && kept.offset === offset) return kept;
    return offset === 0 ? new Digester(algorithm) : undefined;
  }

  drop(uuid: string): void {
    this.#kept.delete(uuid);
  }
}
