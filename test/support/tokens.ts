// A token server's other half: keys of a test's own, and the tokens that they sign, also those that no
// registry may accept.
import {
  base64url,
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from 'jose';
import { parseScopes, type Scope } from 'koa-registry';

export { bearer } from './credentials.js';

export const ISSUER = 'test-issuer';
export const SERVICE = 'test-service';

/** In seconds. */
const LIFETIME = 300;

/** An element of the claim `access` (Docker "Token Authentication Implementation"). */
export interface AccessEntry {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** The claim `access` for scopes of several resources. */
export function accessClaim(scopes: string): AccessEntry[] {
  const resources = scopes.split(' ').map(parseScopes);
  return resources.flatMap((resource: Scope[]) => {
    const [first] = resource;
    return first === undefined ? [] : [{ type: first.type, name: first.name, actions: resource.map(actionOf) }];
  });
}

function actionOf({ action }: Scope): string {
  return action;
}

/** Signs tokens with a key pair of its own. */
export class TokenIssuer {
  readonly alg: string;
  readonly kid: string;
  readonly privateKey: CryptoKey;
  /** The public key, as a token server publishes it. */
  readonly jwks: { readonly keys: JWK[] };

  private constructor(alg: string, kid: string, privateKey: CryptoKey, publicKey: JWK) {
    this.alg = alg;
    this.kid = kid;
    this.privateKey = privateKey;
    this.jwks = { keys: [{ ...publicKey, kid, alg, use: 'sig' }] };
  }

  /** A new key pair, for ES256 unless another algorithm is asked for; `kid` is its RFC 7638 thumbprint unless given. */
  static async create({ alg = 'ES256', kid }: { alg?: string; kid?: string } = {}): Promise<TokenIssuer> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = await exportJWK(publicKey);
    return new TokenIssuer(alg, kid ?? (await calculateJwkThumbprint(jwk)), privateKey, jwk);
  }

  /**
   * A token that says that `alice` may do this, valid now for five minutes. What `claims` and `header`
   * name is said instead; `undefined` takes it out.
   *
   * @param scopes `repository:a:pull,push registry:catalog:*`
   */
  sign(
    scopes = '',
    claims: Readonly<Record<string, unknown>> = {},
    header: Readonly<Record<string, unknown>> = {},
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const valid = { iss: ISSUER, aud: SERVICE, sub: 'alice', iat: now, nbf: now, exp: now + LIFETIME };
    const said = { ...valid, access: accessClaim(scopes), ...claims };
    const protectedHeader = without({ typ: 'JWT', alg: this.alg, kid: this.kid, ...header });
    return new SignJWT(without(said)).setProtectedHeader(protectedHeader as JWTHeaderParameters).sign(this.privateKey);
  }
}

function without(members: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** The same claims with `alg: none` and no signature. */
export function unsigned(token: string, alg = 'none'): string {
  const [, payload = ''] = token.split('.');
  return `${base64url.encode(JSON.stringify({ typ: 'JWT', alg }))}.${payload}.`;
}

/** The same signature under other claims: one letter of the payload is another, and what may be pulled may be pushed. */
export function tampered(token: string): string {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const claims = Buffer.from(payload, 'base64url').toString('utf8');
  const more = claims.includes('"pull"') ? claims.replace('"pull"', '"push"') : claims.replace('"alice"', '"alicf"');
  return [header, base64url.encode(more), signature].join('.');
}
