// Where a request comes from, as far as it can be held against somebody.
import { isIPv6, SocketAddress } from 'node:net';
import type { Context } from 'koa';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;

/**
 * The client's address; of IPv6 its network, since whoever has one address there has 2^64. Behind a
 * proxy it is the client's where the application trusts the proxy (Koa's `app.proxy`).
 */
export function clientAddress({ ip }: Pick<Context, 'ip'>): string {
  if (!isIPv6(ip)) return ip;
  // An address has many spellings; this is the shortest one, without a zone.
  const { address } = new SocketAddress({ address: ip, family: 'ipv6' });
  return MAPPED.exec(address)?.[1] ?? `${network(address)}::/64`;
}

/** The first four groups, with those that `::` stands for. */
function network(address: string): string {
  const [head, tail] = address.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const [first = [], last = []] = [head, tail];
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - first.length - last.length }, () => '0');
  return [...first, ...zeros, ...last].slice(0, 4).join(':');
}
