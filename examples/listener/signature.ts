// Whether a message is from the registry: an HMAC-SHA256 over its bytes, with a secret that only the two know.
import { createHmac, timingSafeEqual } from 'node:crypto';

/** @param header `sha256=` and 64 hexadecimal digits. */
export function isSigned(body: Buffer, header: string, secret: string): boolean {
  const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(body).digest('hex')}`);
  const given = Buffer.from(header);
  // How long the comparison takes must not tell how much of a guess was right.
  return given.length === expected.length && timingSafeEqual(given, expected);
}
