// Refresh tokens: a client keeps one in place of a password. Only digests are remembered, and only in
// this process: a service that means it keeps them in its database, and lets people revoke them.
import { createHash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';

/** The least recently used ones end first. */
const REMEMBERED = 10_000;

export class RefreshTokens {
  readonly #names = new LRUCache<string, string>({ max: REMEMBERED });

  issue(name: string): string {
    const token = randomBytes(32).toString('base64url');
    this.#names.set(digestOf(token), name);
    return token;
  }

  /** Whose it is. */
  nameOf(token: string): string | undefined {
    return this.#names.get(digestOf(token));
  }
}

function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}
