// A digest of something secret, worthless outside of the process that knows the salt.
import { hash } from 'node:crypto';

export function saltedDigest(salt: string, text: string): string {
  return hash('sha256', salt + text, 'base64');
}
