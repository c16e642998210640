// Is this token one of our issuer's, for us, now? The signature and the registered claims are checked
// by jose; which algorithms and keys it may use for that is decided here, never by the token.
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { CryptoKey, JWTPayload, KeyObject, ProtectedHeaderParameters } from 'jose';
import { VerifiedToken } from './claims.js';
import type { KeyHints, KeyRing } from './key-ring.js';
import { type KeySet, type TrustedKey, thumbprint } from './trusted-keys.js';
import { VerifiedTokens } from './verified-tokens.js';

/** The package, loaded where a registry needs it. */
export type Jose = typeof import('jose');

export interface VerifierOptions {
  readonly issuer: string;
  /** The audience. */
  readonly service: string;
  readonly signingAlgorithms: readonly string[];
  /** In milliseconds. */
  readonly leeway: number;
}

/** A token that proves nothing. The message is for the log and quotes nothing of the token. */
export class InvalidToken extends Error {
  override readonly name = 'InvalidToken';
}

/** Tokens of other kinds (RFC 8725, section 3.11), such as those of a logout, must not pass for these. */
const TYPES: readonly unknown[] = [undefined, 'jwt', 'at+jwt'];

export class TokenVerifier {
  readonly #jose: Jose;
  readonly #keys: KeyRing;
  readonly #options: VerifierOptions;
  readonly #clock: () => number;
  readonly #verified = new VerifiedTokens();

  constructor(jose: Jose, keys: KeyRing, options: VerifierOptions, clock: () => number) {
    this.#jose = jose;
    this.#keys = keys;
    this.#options = options;
    this.#clock = clock;
  }

  /**
   * At once where the token was verified before.
   *
   * @throws InvalidToken when it is none, has expired, or is not meant for us.
   * @throws RegistryError `UNAVAILABLE` when it cannot be known whether its key is trusted.
   */
  verify(token: string): VerifiedToken | Promise<VerifiedToken> {
    const keys = this.#keys.current();
    return keys instanceof Promise ? keys.then((read) => this.#find(token, read)) : this.#find(token, keys);
  }

  #find(token: string, keys: KeySet): VerifiedToken | Promise<VerifiedToken> {
    return this.#verified.find(token, keys, this.#clock()) ?? this.#remember(token, keys);
  }

  async #remember(token: string, keys: KeySet): Promise<VerifiedToken> {
    const verified = await this.#verifyAnew(token);
    this.#verified.add(token, keys, verified);
    return verified;
  }

  async #verifyAnew(token: string): Promise<VerifiedToken> {
    const { alg, ...hints } = this.#readHeader(token);
    const meant = await this.#keys.meant(hints);
    for (const key of meant.filter(({ algorithms }) => algorithms.includes(alg))) {
      const payload = await this.#payloadBy(key, token, alg);
      if (payload !== undefined) return this.#accept(payload, key);
    }
    throw new InvalidToken('no trusted key has signed it');
  }

  #readHeader(token: string): KeyHints & { readonly alg: string } {
    if (!isCanonical(token)) throw new InvalidToken('it is no JWS in compact serialization');
    const { alg, typ, crit, kid, jwk, x5c } = this.#decodeHeader(token);
    if (typeof alg !== 'string' || !this.#options.signingAlgorithms.includes(alg)) {
      throw new InvalidToken('its algorithm is not allowed');
    }
    if (crit !== undefined) throw new InvalidToken('it has critical extensions, which are not known');
    if (!TYPES.includes(typeof typ === 'string' ? bareType(typ) : typ)) throw new InvalidToken('it is of another type');
    if (kid !== undefined && typeof kid !== 'string') throw new InvalidToken('its key has a name that is no text');
    const names = [kid, jwk === undefined ? undefined : nameOf(jwk)].filter((name) => name !== undefined);
    return { alg, names, x5c };
  }

  /** Nothing of it is verified, so nothing is of the type which it should be. */
  #decodeHeader(token: string): { readonly [Name in keyof ProtectedHeaderParameters]: unknown } {
    try {
      return this.#jose.decodeProtectedHeader(token);
    } catch {
      throw new InvalidToken('its header cannot be read');
    }
  }

  /** `undefined` when it was not this key. */
  async #payloadBy({ key }: TrustedKey, token: string, alg: string): Promise<JWTPayload | undefined> {
    const { issuer, service, leeway } = this.#options;
    try {
      const { payload } = await this.#jose.jwtVerify(token, key as KeyObject | CryptoKey, {
        algorithms: [alg],
        issuer,
        audience: service,
        clockTolerance: leeway / 1000,
        currentDate: new Date(this.#clock()),
        requiredClaims: ['exp'],
      });
      return payload;
    } catch (error) {
      const { JOSEError, JWSSignatureVerificationFailed } = this.#jose.errors;
      if (error instanceof JWSSignatureVerificationFailed) return undefined;
      if (error instanceof JOSEError) throw new InvalidToken(describe(error));
      throw error;
    }
  }

  #accept(payload: JWTPayload, { until }: TrustedKey): VerifiedToken {
    const verified = VerifiedToken.of(payload, { now: this.#clock(), leeway: this.#options.leeway, until });
    if (verified === undefined) throw new InvalidToken('its claims are malformed, or from the future');
    return verified;
  }
}

/** jose's messages and causes may quote the token; its codes, and the names of the claims that it checks, do not. */
function describe(error: { readonly code: string; readonly claim?: unknown }): string {
  return typeof error.claim === 'string' ? `${error.code}: ${error.claim}` : error.code;
}

/**
 * Whether it consists of three parts in base64url, each as an encoder writes it: one that differs in
 * bits which a decoder drops is another token.
 */
function isCanonical(token: string): boolean {
  const parts = token.split('.');
  const isWritten = (part: string) => part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part;
  return parts.length === 3 && parts.every(isWritten);
}

/** RFC 7515, section 4.1.9. */
function bareType(type: string): string {
  return type.toLowerCase().replace(/^application\//, '');
}

/** A key in the header is one more way to name one that is trusted. */
function nameOf(jwk: unknown): string {
  try {
    return thumbprint(createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }));
  } catch {
    throw new InvalidToken('its header has a key that cannot be read');
  }
}
