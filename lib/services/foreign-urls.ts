// Which URLs a manifest may name as the place of a layer. The registry itself never asks them for anything, but sends
// its clients there: what is refused here is what could turn a client against somebody else.
import { isWithin, networks } from './networks.js';

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
  '168.63.129.16',
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
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/9',
  'ff00::/8',
]);

/** Names that mean something only within a network, besides those without a dot; and such as no name can be. */
const INTERNAL_NAME =
  /^[^.]*$|\.\.|^\.|\.$|\.(?:alt|arpa|consul|corp|home|internal|intra|intranet|invalid|lan|local|localdomain|localhost|localnet|onion|private|svc|test)$/;

/** Something that texts are tested with, such as a regular expression. */
export interface Pattern {
  test(text: string): boolean;
}

export interface ForeignUrlRules {
  /** Left out where every public host is allowed. */
  readonly allow?: readonly Pattern[] | undefined;
  readonly deny: readonly Pattern[];
  /** Names, addresses and networks that would be internal, and are allowed as far as the patterns allow them. */
  readonly internalHosts: readonly string[];
}

export class ForeignUrls {
  readonly #rules: ForeignUrlRules;
  readonly #names: ReadonlySet<string>;
  readonly #networks: ReturnType<typeof networks>;

  constructor(rules: ForeignUrlRules) {
    const isNetwork = (host: string) => /^[\d.]+(?:\/|$)|:/.test(host);
    this.#rules = rules;
    this.#names = new Set(rules.internalHosts.filter((host) => !isNetwork(host)).map((name) => name.toLowerCase()));
    this.#networks = networks(rules.internalHosts.filter(isNetwork));
  }

  allows(text: string): boolean {
    return this.problemOf(text) === undefined;
  }

  /** Why the URL is refused, or `undefined`. Whatever the rules say, it is `http` or `https`, without credentials. */
  problemOf(text: string): string | undefined {
    if (text.length > LONGEST) return `must not be longer than ${LONGEST} characters`;
    if (!CHARACTERS.test(text) || !URL.canParse(text)) return 'must be an http or https URL of printable ASCII';
    const url = new URL(text);
    // The parser takes `https://@host` for one without credentials; others may not.
    if (`${url.username}${url.password}` !== '' || /^\w+:\/\/[^/?#]*@/.test(text)) return 'must not have credentials';
    if (text.includes('#')) return 'must not have a fragment';
    const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    return this.#problemByRules(spellings(text, url), host);
  }

  #problemByRules([text, plain]: readonly [string, string], host: string): string | undefined {
    const { allow, deny } = this.#rules;
    if (deny.some((pattern) => pattern.test(text) || pattern.test(plain))) return 'is denied';
    if (allow !== undefined && !allow.some((pattern) => pattern.test(text) && pattern.test(plain)))
      return 'is not allowed';
    return isInternal(host) && !this.#isNamed(host) ? 'must not be on an internal host' : undefined;
  }

  #isNamed(host: string): boolean {
    return this.#names.has(host) || isWithin(this.#networks, host);
  }
}

/** As it is written, and as it is meant: a pattern must not be evaded by `EVIL.example`, `%65vil.example` or `:443`. */
function spellings(text: string, url: URL): readonly [string, string] {
  const plain = url.hostname.endsWith('.') ? url.href.replace(/^(\w+:\/\/[^/:]+)\.(?=[/:])/, '$1') : url.href;
  return [text, plain];
}

/** The parser has already made `127.0.0.1` of `0x7f.1` and of `2130706433`. */
function isInternal(host: string): boolean {
  return isWithin(INTERNAL, host) || (!host.includes(':') && INTERNAL_NAME.test(host));
}
