// Which clients get the bytes of blobs from the registry itself, because they cannot follow a redirect or cannot reach
// where it leads.
import type { LayerRequest } from '../contracts/layer.js';
import { isWithin, networks } from './networks.js';

export interface SparedClients {
  /** Texts that the `User-Agent` contains, in any case. */
  readonly userAgents: readonly string[];
  /** Addresses, or networks such as `10.0.0.0/8`, already checked. */
  readonly addresses: readonly string[];
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
