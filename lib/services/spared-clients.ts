// Which clients get the bytes of blobs from the registry itself, because they cannot follow a redirect or cannot reach
// where it leads.
import { BlockList, isIP } from 'node:net';
import type { LayerRequest } from '../contracts/layer.js';

export interface SparedClients {
  /** Texts that the `User-Agent` contains, in any case. */
  readonly userAgents: readonly string[];
  /** Addresses, or networks such as `10.0.0.0/8`, already checked. */
  readonly addresses: readonly string[];
}

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

export function sparedClients({ userAgents, addresses }: SparedClients): (request: LayerRequest) => boolean {
  if (userAgents.length === 0 && addresses.length === 0) return () => false;
  const texts = userAgents.map((text) => text.toLowerCase());
  const list = networks(addresses);
  return ({ client, headers }) => {
    const agent = headers['user-agent']?.toLowerCase() ?? '';
    return texts.some((text) => agent.includes(text)) || (addresses.length > 0 && isWithin(list, client));
  };
}
