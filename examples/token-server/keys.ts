// The keys of the token server: one signs, and those before it stay published for as long as a token
// that they signed may live.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  /** As it is published: without its private part. */
  readonly jwk: JWK;
}

interface RetiredKey {
  readonly key: SigningKey;
  /** When the last token that it signed is no longer accepted anywhere, in milliseconds since 1970. */
  readonly until: number;
}

/** How wrong the clock of a registry may be, in milliseconds. */
const LEEWAY = 60_000;

export class SigningKeys {
  readonly #next: () => Promise<SigningKey>;
  readonly #lifetime: number;
  readonly #clock: () => number;
  #current: SigningKey;
  #retired: readonly RetiredKey[] = [];

  private constructor(next: () => Promise<SigningKey>, first: SigningKey, lifetime: number, clock: () => number) {
    this.#next = next;
    this.#current = first;
    this.#lifetime = lifetime;
    this.#clock = clock;
  }

  /**
   * @param file a PEM file with a private P-256 key, read again at each rotation. Without one, keys are
   *   made here, and end with the process.
   * @param lifetime of tokens, in milliseconds.
   */
  static async open(file: string | undefined, lifetime: number, clock = Date.now): Promise<SigningKeys> {
    const next = file === undefined ? generateKey : () => readKey(file);
    return new SigningKeys(next, await next(), lifetime, clock);
  }

  /** The one that signs. */
  get current(): SigningKey {
    return this.#current;
  }

  /** What registries fetch (RFC 7517, section 5). */
  get published(): { readonly keys: readonly JWK[] } {
    const inUse = this.#retired.filter(({ until }) => until > this.#clock()).map(({ key }) => key);
    return { keys: [this.#current, ...inUse].map(({ jwk }) => jwk) };
  }

  /** From now on another key signs. Where the next one cannot be read, the present one goes on. */
  async rotate(): Promise<void> {
    const next = await this.#next();
    if (next.kid === this.#current.kid) return;
    const now = this.#clock();
    const retired = { key: this.#current, until: now + this.#lifetime + LEEWAY };
    this.#retired = [retired, ...this.#retired.filter(({ key, until }) => until > now && key.kid !== next.kid)];
    this.#current = next;
  }
}

async function generateKey(): Promise<SigningKey> {
  return signingKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
}

async function readKey(file: string): Promise<SigningKey> {
  const key = createPrivateKey(await readFile(file));
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error(`${file} holds no private P-256 key`);
  return signingKey(key);
}

async function signingKey(privateKey: KeyObject): Promise<SigningKey> {
  const jwk = await exportJWK(createPublicKey(privateKey));
  const kid = await calculateJwkThumbprint(jwk);
  return { kid, privateKey, jwk: { ...jwk, kid, alg: 'ES256', use: 'sig' } };
}
