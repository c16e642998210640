// The digest of what an upload session has received, kept up while the bytes stream by.
import { LRUCache } from 'lru-cache';
import type { Digest, DigestAlgorithm } from '../model/digest.js';
import { nativeHash, portableHash, type RunningHash } from './running-hash.js';

/** How many unfinished sessions keep their hash in this process. */
const KEPT = 10_000;

/** A running hash over the first `offset` bytes of a session. */
export class Digester {
  readonly algorithm: DigestAlgorithm;
  readonly #hash: RunningHash;
  #offset: number;

  constructor(algorithm: DigestAlgorithm, hash = nativeHash(algorithm), offset = 0) {
    this.algorithm = algorithm;
    this.#hash = hash;
    this.#offset = offset;
  }

  /** One that any host can go on with, unless there is no memory for it: then it is this process's alone. */
  static async portable(algorithm: DigestAlgorithm): Promise<Digester> {
    const hash = await portableHash(algorithm).catch(() => undefined);
    return new Digester(algorithm, hash);
  }

  /** One that goes on where another host left it; `undefined` where that cannot be read here. */
  static async resumed(algorithm: DigestAlgorithm, offset: number, saved: string): Promise<Digester | undefined> {
    const hash = await portableHash(algorithm, saved).catch(() => undefined);
    return hash && new Digester(algorithm, hash, offset);
  }

  /** How many bytes went through. */
  get offset(): number {
    return this.#offset;
  }

  /** What another host can go on from, where this one is portable. */
  get hash(): string | undefined {
    return this.#hash.save?.();
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
    return this.#hash.digest();
  }
}

/** The digesters of sessions that are between two requests of this process: native ones, which are small. */
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
    return kept?.algorithm === algorithm && kept.offset === offset ? kept : undefined;
  }

  drop(uuid: string): void {
    this.#kept.delete(uuid);
  }
}
