// The private key that signs: PEM in the options, or in a file. No error says a word of what is not a key, for it may
// be one that was mangled.
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** What CloudFront takes, in bits. */
const LEAST_MODULUS = 2048;

export const KEY_FORM = `an RSA private key of ${LEAST_MODULUS} bits or more in PEM, without a passphrase`;

/** Whether a text is meant as a key, not as the path of one. */
export function isPem(text: string): boolean {
  return text.includes('-----BEGIN');
}

/** `undefined` where the text is no key that CloudFront could know. */
export function parsePrivateKey(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    const { modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
    return key.asymmetricKeyType === 'rsa' && modulusLength >= LEAST_MODULUS ? key : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param privateKey PEM, or the path of a file with it.
 * @throws Error when there is no such key, or no such file.
 */
export async function loadPrivateKey(privateKey: string): Promise<KeyObject> {
  const key = parsePrivateKey(isPem(privateKey) ? privateKey : await readKeyFile(privateKey));
  if (key === undefined) throw new Error(`privateKey: the file does not hold ${KEY_FORM}`);
  return key;
}

/** @throws Error without the path: it may be a key that lacks the lines around it. */
async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new Error(`privateKey: no PEM, and not the path of a file that can be read (${code})`);
  }
}
