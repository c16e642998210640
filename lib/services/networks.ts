// Lists of networks, and what is within them.
import { BlockList, isIP } from 'node:net';

/** A list of the networks, or of single addresses. */
export function networks(addresses: readonly string[]): BlockList {
  const list = new BlockList();
  for (const address of addresses) {
    const [network = '', prefix] = address.split('/');
    const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(network, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
  }
  return list;
}

/** Whether an address, as a socket or a proxy tells it, is in one of the networks. */
export function isWithin(list: BlockList, address: string): boolean {
  const [withoutZone = ''] = address.split('%', 1);
  const version = isIP(withoutZone);
  return version !== 0 && list.check(withoutZone, version === 6 ? 'ipv6' : 'ipv4');
}
