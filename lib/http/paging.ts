// `n`, `last` and `Link`: how lists are split (OCI distribution-spec, "Listing Tags").
import { RegistryError } from '../errors.js';
import type { Call } from './call.js';

/**
 * How many items the client wants, at most `max`.
 *
 * @throws RegistryError `PAGINATION_NUMBER_INVALID`.
 */
export function pageSize(call: Call, max: number): number {
  const text = call.query('n');
  if (text === undefined) return max;
  if (!/^\d{1,15}$/.test(text)) throw new RegistryError('PAGINATION_NUMBER_INVALID', { n: text.slice(0, 40) });
  return Math.min(Number(text), max);
}

/** Points to the page after `last`. */
export function linkNext(call: Call, last: string, n: number, more: Readonly<Record<string, string>> = {}): void {
  const url = call.urls.next(call.mount.path, { ...more, last, n: String(n) });
  call.set('Link', `<${url}>; rel="next"`);
}
