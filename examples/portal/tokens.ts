// Personal tokens, one for each person: shown once, and only their digest is kept. A token is as random
// as a key, so a fast digest does.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

export class PersonalTokens {
  readonly #digests = new Map<string, Buffer>();

  /** A new token; the one that the person had before is worth nothing any more. */
  create(user: string): string {
    const token = `portal_${randomBytes(32).toString('base64url')}`;
    this.#digests.set(user, digestOf(token));
    return token;
  }

  /** Whether this is the token of that person. */
  belongs(user: string, token: string): boolean {
    const digest = this.#digests.get(user);
    return digest !== undefined && timingSafeEqual(digest, digestOf(token));
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
