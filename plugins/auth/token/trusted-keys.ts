// The public keys that tokens may be signed with: which algorithms each is good for, by which names
// tokens refer to it, and how those of several sources are one set.
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';

/** The algorithms that a kind of key can verify: what a token says of its algorithm never chooses more. */
const ALGORITHMS = {
  rsa: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
  ed25519: ['EdDSA'],
} as const satisfies Record<string, readonly string[]>;

type KeyKind = keyof typeof ALGORITHMS;

/** A signature algorithm for which there is a public key (RFC 7518, section 3.1; RFC 8037, section 3.1). */
export type SigningAlgorithm = (typeof ALGORITHMS)[KeyKind][number];

/** All of them: no `HS256`, whose key would be as good for signing, and no `none`. */
export const SIGNING_ALGORITHMS: readonly SigningAlgorithm[] = Object.values(ALGORITHMS).flat();

const MIN_RSA_BITS = 2048;

export interface TrustedKey {
  readonly key: KeyObject;
  /** What a token may call it. */
  readonly names: readonly string[];
  readonly algorithms: readonly string[];
  /** When it ceases to be trusted, in milliseconds since 1970. */
  readonly until: number;
}

/** What is known of a key besides itself. */
interface TrustOptions {
  readonly kid?: string | undefined;
  /** The only algorithm that it is meant for. */
  readonly alg?: string | undefined;
  readonly until?: number;
}

/**
 * `undefined` for a key that cannot verify tokens.
 *
 * @throws Error for an RSA key that is too short to be trusted.
 */
export function trust(key: KeyObject, { kid, alg, until = Number.POSITIVE_INFINITY }: TrustOptions = {}) {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const kind = namedCurve ?? key.asymmetricKeyType ?? '';
  if (!isKeyKind(kind)) return undefined;
  if (kind === 'rsa' && (modulusLength ?? 0) < MIN_RSA_BITS) {
    throw new Error(`is an RSA key of ${modulusLength} bits: at least ${MIN_RSA_BITS} are needed`);
  }
  const algorithms = ALGORITHMS[kind].filter(
    (one) => alg === undefined || one === alg || (one === 'EdDSA' && alg === 'Ed25519'),
  );
  if (algorithms.length === 0) return undefined;
  const names = [thumbprint(key), fingerprint(key), ...(kid === undefined ? [] : [kid])];
  return { key, names, algorithms, until } satisfies TrustedKey;
}

function isKeyKind(kind: string): kind is KeyKind {
  return Object.hasOwn(ALGORITHMS, kind);
}

/** The name of a key by RFC 7638: a digest of the members that make it, in the order of the alphabet. */
export function thumbprint(key: KeyObject): string {
  const { crv, e, kty, n, x, y } = key.export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, e, kty, n, x, y })).digest('base64url');
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** The name of a key by libtrust, which the Docker token specification still shows: `PYYO:TEWU:V7JH:…`. */
export function fingerprint(key: KeyObject): string {
  const digest = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
  const bits = [...digest.subarray(0, 30)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = bits.replace(/.{5}/g, (five) => BASE32.charAt(Number.parseInt(five, 2)));
  return letters.replace(/.{4}(?!$)/g, '$&:');
}

/** What one source holds. */
export interface Keys {
  readonly keys: readonly TrustedKey[];
  /** Certificates that a chain in a token's header may end in. */
  readonly anchors: readonly X509Certificate[];
}

export const NO_KEYS: Keys = { keys: [], anchors: [] };

/** The keys of all sources at one time. */
export class KeySet implements Keys {
  readonly keys: readonly TrustedKey[];
  readonly anchors: readonly X509Certificate[];
  readonly #byName = new Map<string, TrustedKey[]>();

  constructor(parts: readonly Keys[]) {
    this.keys = parts.flatMap(({ keys }) => keys);
    this.anchors = parts.flatMap(({ anchors }) => anchors);
    for (const key of this.keys) {
      for (const name of new Set(key.names)) this.#byName.set(name, [...this.named(name), key]);
    }
  }

  /** Several, where an issuer gives keys of different kinds one name. */
  named(name: string): readonly TrustedKey[] {
    return this.#byName.get(name) ?? [];
  }
}
