// Addresses as numbers: whether one is in any of ten thousand networks takes a binary search, where
// `net.BlockList` looks at each network in turn.
import { isIPv4, isIPv6 } from 'node:net';

/** Where the IPv4 addresses are among those of IPv6 (`::ffff:0:0/96`): both families are one line of numbers. */
const MAPPED = 0xffff_0000_0000n;

const BITS = 128n;

/** The number of an address in any spelling, with a zone or without; `undefined` for what is none. */
function addressNumber(text: string): bigint | undefined {
  const [address = ''] = text.split('%', 1);
  if (isIPv4(address)) return MAPPED + ipv4Number(address);
  return isIPv6(address) ? ipv6Number(address) : undefined;
}

function ipv4Number(address: string): bigint {
  return BigInt(address.split('.').reduce((number, octet) => number * 256 + Number(octet), 0));
}

function ipv6Number(address: string): bigint {
  // The last two groups may be written as an IPv4 address.
  const inGroups = address.replace(/[\d.]+\.\d+$/, (quad) => {
    const digits = ipv4Number(quad).toString(16).padStart(8, '0');
    return `${digits.slice(0, 4)}:${digits.slice(4)}`;
  });
  const [head = [], tail = []] = inGroups.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  return BigInt(`0x${[...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join('')}`);
}

interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

/** @throws TypeError for what is no network. */
function rangeOf(network: string): Range {
  const [address = '', prefix = ''] = network.split('/');
  const number = addressNumber(address);
  if (number === undefined || prefix === '') throw new TypeError('not a network');
  const fixed = BigInt(prefix) + (isIPv4(address) ? 96n : 0n);
  const size = 1n << (BITS - fixed);
  const first = number - (number % size);
  return { first, last: first + size - 1n };
}

/** By their beginnings; of two that begin alike the wider one first. */
function byPosition(a: Range, b: Range): number {
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return a.last > b.last ? -1 : 1;
}

/** Networks of both families, to be asked whether an address is in any of them. */
export class AddressTable {
  /** Disjoint and ascending. */
  readonly #ranges: Range[] = [];

  /**
   * @param networks such as `10.0.0.0/8` or `2001:db8::/32`, in any order.
   * @throws TypeError for what is no network.
   */
  constructor(networks: readonly string[]) {
    for (const range of networks.map(rangeOf).sort(byPosition)) {
      // Two networks never overlap in part: what does not begin after the one before is inside it.
      const before = this.#ranges.at(-1);
      if (before === undefined || range.first > before.last) this.#ranges.push(range);
    }
  }

  /** Whether an address, as a socket or a proxy tells it, is in one of the networks. */
  has(address: string): boolean {
    const number = addressNumber(address);
    if (number === undefined) return false;
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const range = this.#ranges[middle];
      if (range === undefined || number < range.first) high = middle;
      else if (number > range.last) low = middle + 1;
      else return true;
    }
    return false;
  }
}

/** From where nobody comes to a host of the internet by the same address (RFC 6890), besides what is multicast. */
const UNSEEN = new AddressTable([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/3',
]);

/**
 * The IPv4 address by which a host of the internet would see the client, written with dots; `undefined` where it is
 * of IPv6 or of a network of its own.
 */
export function publicIpv4(client: string): string | undefined {
  const number = addressNumber(client);
  if (number === undefined || number >> 32n !== MAPPED >> 32n || UNSEEN.has(client)) return undefined;
  return [24n, 16n, 8n, 0n].map((shift) => (number >> shift) & 0xffn).join('.');
}
