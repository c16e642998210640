// Tokens that were verified before, so that a client's next request costs a digest and no signature.
import { hash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { VerifiedToken } from './claims.js';
import type { KeySet } from './trusted-keys.js';

/** Beyond that the least recently used are verified again. */
const REMEMBERED = 5_000;

export class VerifiedTokens {
  readonly #tokens = new LRUCache<string, VerifiedToken>({ max: REMEMBERED });
  /** Makes what is kept worthless outside of this process. */
  readonly #salt = randomBytes(32).toString('hex');
  #keys: KeySet | undefined;

  /** @param keys what is trusted now: what was verified with others is forgotten. */
  find(token: string, keys: KeySet, now: number): VerifiedToken | undefined {
    if (keys !== this.#keys) this.#tokens.clear();
    this.#keys = keys;
    const verified = this.#tokens.get(this.#digest(token));
    return verified !== undefined && now < verified.until ? verified : undefined;
  }

  /** @param keys what was trusted when it was verified. */
  add(token: string, keys: KeySet, verified: VerifiedToken): void {
    if (keys === this.#keys) this.#tokens.set(this.#digest(token), verified);
  }

  #digest(token: string): string {
    return hash('sha256', this.#salt + token, 'base64');
  }
}
