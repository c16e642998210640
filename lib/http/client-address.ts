// Where a request comes from, as far as it can be held against somebody.
import { isIPv6 } from 'node:net';
import type { Context } from 'koa';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * The client's address; of IPv6 its network, since whoever has one address there has 2^64. Behind a
 * proxy it is the client's where the application trusts the proxy (Koa's `app.proxy`).
 */
export function clientAddress({ ip }: Pick<Context, 'ip'>): string {
  const [, v4] = MAPPED.exec(ip) ?? [];
  if (v4 !== undefined || !isIPv6(ip)) return v4 ?? ip;
  const [head = '', tail] = ip.split('%', 1).join('').split('::');
  const first = groups(head);
  const last = groups(tail ?? '');
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - first.length - last.length }, () => '0');
  return `${[...first, ...zeros, ...last].slice(0, 4).join(':')}::/64`;
}

function groups(text: string): string[] {
  return text === '' ? [] : text.split(':').map((group) => group.replace(/^0+(?=.)/, '').toLowerCase());
}
