// Which URLs a manifest may name as the place of a layer. The registry itself never asks them for anything, but sends
// its clients there: what is refused here is what could turn a client against somebody else.
import { isWithin, networks } from './spared-clients.js';

/** Longer ones do not fit into every client's idea of a header. */
const LONGEST = 2048;

/** Printable ASCII without what URL parsers disagree about. */
const CHARACTERS = /^https?:\/\/(?!\/)[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+$/i;

/** Addresses that are not those of a public host (RFC 6890 and its successors), and what can hold one of them. */
const INTERNAL = networks([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/96',
  '::ffff:0:0:0/96',
  '64:ff9b::/32',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/9',
  'ff00::/8',
]);

/** Names that mean something only within a network, besides those without a dot. */
const INTERNAL_NAME =
  /^[^.]+$|(?:^|\.)(?:localhost|local|localdomain|internal|intranet|private|corp|home|lan|home\.arpa)$/;

/** A host that no pattern can be about. */
const ANY_HOST = 'any-host-at-all.example';

export interface ForeignUrlRules {
  /** Left out where every public host is allowed. */
  readonly allow?: readonly RegExp[] | undefined;
  readonly deny: readonly RegExp[];
}

export class ForeignUrls {
  readonly #allow: readonly RegExp[] | undefined;
  readonly #deny: readonly RegExp[];

  constructor({ allow, deny }: ForeignUrlRules) {
    this.#allow = allow?.map(withoutState);
    this.#deny = deny.map(withoutState);
  }

  allows(text: string): boolean {
    return this.problemOf(text) === undefined;
  }

  /** Why the URL is refused, or `undefined`. Whatever the rules say, it is `http` or `https`, without credentials. */
  problemOf(text: string): string | undefined {
    if (text.length > LONGEST) return `must not be longer than ${LONGEST} characters`;
    if (!CHARACTERS.test(text) || !URL.canParse(text)) return 'must be an http or https URL of printable ASCII';
    const url = new URL(text);
    if (url.username !== '' || url.password !== '' || authorityOf(text).includes('@'))
      return 'must not have credentials';
    if (text.includes('#')) return 'must not have a fragment';
    if (this.#deny.some((pattern) => pattern.test(text))) return 'is denied';
    if (this.#allow !== undefined && !this.#allow.some((pattern) => pattern.test(text))) return 'is not allowed';
    if (isInternal(url) && !this.#isNamed(text)) return 'must not be on an internal host';
    return undefined;
  }

  /** Whether a pattern is about this host. One that would allow any host does not open what is internal. */
  #isNamed(text: string): boolean {
    const authority = authorityOf(text);
    const port = /:\d*$/.exec(authority)?.[0] ?? '';
    const elsewhere = text.replace(authority, () => ANY_HOST + port);
    return this.#allow?.some((pattern) => pattern.test(text) && !pattern.test(elsewhere)) ?? false;
  }
}

/** A pattern that remembers where it matched last would answer differently each time. */
function withoutState({ source, flags }: RegExp): RegExp {
  return new RegExp(source, flags.replace(/[gy]/g, ''));
}

/** What is between the scheme and the path. */
function authorityOf(text: string): string {
  return /^[a-z]+:\/\/([^/?#]*)/i.exec(text)?.[1] ?? '';
}

/** The parser has already made `127.0.0.1` of `0x7f.1` and of `2130706433`. */
function isInternal({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  return isWithin(INTERNAL, host) || (!host.includes(':') && INTERNAL_NAME.test(host));
}
