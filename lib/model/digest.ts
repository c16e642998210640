// Content digests: `sha256:<hex>` and `sha512:<hex>` (OCI image-spec, "Digests").
import { createHash, type Hash } from 'node:crypto';
import { RegistryError } from '../errors.js';

/** The registered algorithms, with the length of their encoded part in hexadecimal digits. */
export const DIGEST_ALGORITHMS = { sha256: 64, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof DIGEST_ALGORITHMS;

/** A well-formed digest of a registered algorithm. Made by {@link parseDigest} and {@link digestOf} only. */
export type Digest = string & { readonly __brand: 'Digest' };

const HEX = /^[0-9a-f]+$/;

export function isDigestAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(DIGEST_ALGORITHMS, text);
}

export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, colon);
  if (colon < 0 || !isDigestAlgorithm(algorithm)) return false;
  const encoded = text.slice(colon + 1);
  return encoded.length === DIGEST_ALGORITHMS[algorithm] && HEX.test(encoded);
}

/** @throws RegistryError `DIGEST_INVALID` for anything but a digest of a registered algorithm. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new RegistryError('DIGEST_INVALID', { digest: text.slice(0, 200) });
  return text;
}

/** @throws RegistryError `DIGEST_INVALID` for an algorithm that is not registered. */
export function parseDigestAlgorithm(text: string): DigestAlgorithm {
  if (!isDigestAlgorithm(text)) throw new RegistryError('DIGEST_INVALID', { algorithm: text.slice(0, 64) });
  return text;
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm;
}

/** The encoded part: lower-case hexadecimal. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** The digest of what a hash was fed with. Ends the hash. */
export function finishDigest(algorithm: DigestAlgorithm, hash: Hash): Digest {
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return finishDigest(algorithm, createHash(algorithm).update(bytes));
}
