// Reads a JSON Web Key Set (RFC 7517): public keys that can verify tokens. What is of no use is
// ignored, as the standard asks; what would be a danger is refused.
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { z } from 'zod';
import { type Keys, type TrustedKey, trust } from './trusted-keys.js';

/** A token without a key's name is tried with each. */
const MOST_KEYS = 100;

const PARAMETER = z.string().optional();

const JWK = z.looseObject({
  kty: z.string(),
  kid: PARAMETER,
  alg: PARAMETER,
  use: PARAMETER,
  key_ops: z.array(z.string()).optional(),
});

const JWKS = z.object({ keys: z.array(JWK).max(MOST_KEYS) });

type Jwk = z.output<typeof JWK>;

/** @throws Error that says what is wrong, and quotes nothing but a key's name: the file may be another than was meant. */
export function parseJwks(text: string): Keys {
  const { success, data } = JWKS.safeParse(parseJson(text));
  if (!success) throw new Error(`is no JSON Web Key Set of at most ${MOST_KEYS} keys`);
  return { keys: data.keys.flatMap(keyOf), anchors: [] };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('is not JSON');
  }
}

function keyOf(jwk: Jwk, index: number): TrustedKey[] {
  try {
    const key = usable(jwk) ? trust(publicKey(jwk), { kid: jwk.kid, alg: jwk.alg }) : undefined;
    return key === undefined ? [] : [key];
  } catch (error) {
    const name = jwk.kid === undefined ? `number ${index + 1}` : JSON.stringify(jwk.kid);
    throw new Error(`key ${name} ${error instanceof Error ? error.message : ''}`);
  }
}

/** @throws Error for a key that nobody but the issuer may have. */
function usable({ kty, use, key_ops, ...members }: Jwk): boolean {
  if (kty === 'oct') throw new Error('is symmetric (kty "oct"): whoever can verify with it can sign with it');
  if ('d' in members) throw new Error('is a private key: only its public part belongs here');
  return ['RSA', 'EC', 'OKP'].includes(kty) && (use ?? 'sig') === 'sig' && (key_ops?.includes('verify') ?? true);
}

function publicKey(jwk: Jwk) {
  try {
    return createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  } catch {
    throw new Error(`cannot be read as a key of kty ${JSON.stringify(jwk.kty)}`);
  }
}
