// Certificates as sources of keys: those of a bundle are trusted as they are, and a chain in a token's
// header as far as it leads up to one of them.
import { X509Certificate } from 'node:crypto';
import { type Keys, type TrustedKey, trust } from './trusted-keys.js';

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** More than any issuer needs; each costs the check of a signature before anybody is known. */
const LONGEST_CHAIN = 8;

/**
 * The certificates of a PEM file, and their keys. A certificate's dates bound only what it signs, as in
 * distribution: its own key is trusted as long as it is in the file.
 *
 * @throws Error when there is none, or one that cannot be read or trusted.
 */
export function parseBundle(pem: string): Keys {
  const anchors = [...pem.matchAll(PEM)].map(([block], index) => read(block, index));
  if (anchors.length === 0) throw new Error('has no certificate in PEM');
  return { anchors, keys: anchors.flatMap((certificate, index) => keyOf(certificate, index)) };
}

function read(block: string, index: number): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch {
    throw new Error(`has a certificate that cannot be read (number ${index + 1})`);
  }
}

/** None for a certificate whose key signs certificates only. */
function keyOf({ publicKey }: X509Certificate, index: number): TrustedKey[] {
  try {
    const key = trust(publicKey);
    return key === undefined ? [] : [key];
  } catch (error) {
    throw new Error(`has a certificate (number ${index + 1}) whose key ${error instanceof Error ? error.message : ''}`);
  }
}

/**
 * The key of a chain's first certificate (RFC 7515, section 4.1.6), if an anchor is the last or has signed
 * it, each of the others has signed the one before it, and all are valid `now`; trusted until the first
 * of them expires. It is walked from its end, so that a stranger's costs one signature check.
 */
export function keyOfChain(x5c: unknown, anchors: readonly X509Certificate[], now: number): TrustedKey | undefined {
  if (!isListOfTexts(x5c) || x5c.length > LONGEST_CHAIN || anchors.length === 0) return undefined;
  try {
    const chain = x5c.map((der) => new X509Certificate(Buffer.from(der, 'base64')));
    const [leaf] = chain;
    if (leaf === undefined) return undefined;
    const until = trustedUntil(chain.toReversed(), anchors, now);
    return until === undefined ? undefined : trust(leaf.publicKey, { until });
  } catch {
    // Whatever a stranger sends may be no certificate at all.
    return undefined;
  }
}

function isListOfTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((element) => typeof element === 'string');
}

/** When the first certificate of the way down from an anchor expires; `undefined` where it breaks off. */
function trustedUntil(
  downwards: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  now: number,
): number | undefined {
  let until = Number.POSITIVE_INFINITY;
  let issuers = anchors;
  for (const certificate of downwards) {
    if (!isValid(certificate, now)) return undefined;
    const isAnchor = issuers === anchors && anchors.some(({ raw }) => raw.equals(certificate.raw));
    const issuer = isAnchor
      ? certificate
      : issuers.find((other) => isValid(other, now) && hasSigned(other, certificate));
    if (issuer === undefined) return undefined;
    until = Math.min(until, Date.parse(issuer.validTo), Date.parse(certificate.validTo));
    issuers = [certificate];
  }
  return until;
}

function isValid({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

/** Also, by its basic constraints and its key usage, that it may. */
function hasSigned(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
