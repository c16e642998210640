// An auth handler over a file of names and bcrypt hashes, as Apache's `htpasswd -B` writes it: whoever
// is in it may do everything, as in `distribution`.
import { hash, randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { AccessRequest, AuthHandler, Grant } from 'koa-registry';
import { basicChallenge, definePlugin, duration, optionalPeer, parseCredentials } from 'koa-registry';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { type Compare, Comparisons } from './htpasswd/comparisons.js';
import type { Entries } from './htpasswd/entries.js';
import { EntriesFile } from './htpasswd/entries-file.js';

/** Credentials that were right: whose they are, as long as the entry has this hash. */
interface Verified {
  readonly name: string;
  readonly hash: string;
}

interface HandlerOptions {
  readonly realm: string;
  /** In milliseconds; 0 for not at all. */
  readonly cacheFor: number;
  readonly clock: () => number;
}

/** How many credentials are remembered; beyond that the least recent are forgotten. */
const REMEMBERED = 10_000;

const everything = () => true;

function grantOf(name: string, { optional }: AccessRequest): Grant {
  return { actor: { name }, granted: optional, allows: everything };
}

class HtpasswdHandler implements AuthHandler {
  readonly #file: EntriesFile;
  readonly #comparisons: Comparisons;
  readonly #realm: string;
  readonly #verified: LRUCache<string, Verified> | undefined;
  /** Makes a digest of credentials worthless outside of this process. */
  readonly #secret = randomBytes(32).toString('hex');

  constructor(file: EntriesFile, compare: Compare, { realm, cacheFor, clock }: HandlerOptions) {
    this.#file = file;
    this.#comparisons = new Comparisons(compare);
    this.#realm = realm;
    if (cacheFor > 0) {
      this.#verified = new LRUCache({ max: REMEMBERED, ttl: cacheFor, ttlResolution: 0, perf: { now: clock } });
    }
  }

  /** At once for credentials that were right lately. */
  authorize(request: AccessRequest): Grant | Promise<Grant> {
    const header = request.ctx.headers.authorization;
    if (header === undefined) throw basicChallenge(this.#realm);
    const key = hash('sha256', this.#secret + header, 'base64');
    const verified = this.#verified?.get(key);
    if (verified === undefined) return this.#login(request, key, header);
    const decide = ({ hashes }: Entries) =>
      hashes.get(verified.name) === verified.hash ? grantOf(verified.name, request) : this.#login(request, key, header);
    const entries = this.#file.current();
    return entries instanceof Promise ? entries.then(decide) : decide(entries);
  }

  check(): Promise<void> {
    return this.#file.check();
  }

  #login(request: AccessRequest, key: string, header: string): Promise<Grant> {
    const credentials = parseCredentials(header);
    if (credentials?.scheme !== 'basic') throw basicChallenge(this.#realm);
    return this.#verify(request, key, credentials.user, credentials.password);
  }

  async #verify(request: AccessRequest, key: string, name: string, password: string): Promise<Grant> {
    const { hashes, decoy } = await this.#file.current();
    const hash = hashes.get(name);
    // Who is not in the file is found out as slowly as who has a wrong password.
    const matches = await this.#comparisons.compare(key, password, hash ?? decoy, request.signal);
    // The queue may have been long.
    if (hash === undefined || !matches || !(await this.#isInForce({ name, hash }))) throw basicChallenge(this.#realm);
    this.#verified?.set(key, { name, hash });
    return grantOf(name, request);
  }

  async #isInForce({ name, hash }: Verified): Promise<boolean> {
    const { hashes } = await this.#file.current();
    return hashes.get(name) === hash;
  }
}

/**
 * Names and passwords from a file: lines `name:hash` with bcrypt hashes (`htpasswd -B`), and nothing
 * else but blank lines and comments that begin with `#`. Who is in it may do everything. The package
 * `bcrypt` has to be installed.
 *
 * A change of the file, however it is made, is in force within a second. A file that turns bad or
 * vanishes leaves what was last read in force, is logged, and makes the registry's `health()` say so;
 * one that is bad from the beginning keeps the registry from starting.
 *
 * Passwords are compared off the main thread, two at a time; beyond 100 that wait, logins are answered
 * 429. As with every bcrypt, the first 72 bytes of a password count.
 */
export const htpasswd = definePlugin({
  kind: 'auth',
  name: 'htpasswd',
  options: z.strictObject({
    /** What the login is for, as clients may show it: printable ASCII. */
    realm: z
      .string()
      .regex(/^[\x20-\x7e]+$/, 'must be printable ASCII')
      .default('Registry'),
    /** The file. A relative path counts from the working directory. */
    path: z.string().min(1),
    /** For how long credentials that were right are not compared again; 0 for never. What is kept of them is a keyed digest. */
    cacheFor: duration().prefault('5m'),
  }),
  create: async ({ realm, path, cacheFor }, host) => {
    const { default: bcrypt } = await optionalPeer('bcrypt', () => import('bcrypt'));
    const file = await EntriesFile.open(resolve(path), host);
    return new HtpasswdHandler(file, bcrypt.compare, { realm, cacheFor, clock: host.clock });
  },
});
