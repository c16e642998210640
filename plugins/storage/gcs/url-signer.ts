// Signed URLs, version 4 (https://cloud.google.com/storage/docs/access-control/signed-urls): the SDK
// signs for GET, this for HEAD as well. The key is the account's own, or IAM signs for the account.
import { createHash } from 'node:crypto';
import type { Logger, UrlOptions } from 'koa-registry';

/** What of an account is needed. */
export interface SigningAccount {
  getCredentials(): Promise<{ readonly client_email?: string | undefined }>;
  /** A signature by the account, in base64. */
  sign(text: string): Promise<string>;
}

export interface UrlSignerOptions {
  readonly account: SigningAccount;
  /** Where the objects are served: `https://storage.googleapis.com`. */
  readonly endpoint: string;
  readonly userProject?: string | undefined;
  /** The present time in milliseconds since 1970. */
  readonly clock: () => number;
  readonly logger: Logger;
}

const ALGORITHM = 'GOOG4-RSA-SHA256';

/** What the service allows, in seconds. */
const LONGEST = 7 * 24 * 60 * 60;

/** For how long an account that could not sign is not asked to again, in milliseconds: rights are given, outages pass. */
const PAUSE = 300_000;

export class UrlSigner {
  readonly #options: UrlSignerOptions;
  /** Of the account, unless it turned out that it cannot sign. */
  #email: Promise<string | undefined> | undefined;
  /** When to find that out (again). */
  #due = 0;

  constructor(options: UrlSignerOptions) {
    this.#options = options;
  }

  /**
   * A URL of the object at `path` (from the bucket's name on, percent-encoded); `undefined` where the
   * account cannot sign, or the URL would have to serve for more than seven days.
   */
  async sign(path: string, { method, expires }: UrlOptions): Promise<string | undefined> {
    const seconds = Math.ceil(expires / 1000);
    const { endpoint, userProject, clock, account } = this.#options;
    if (clock() >= this.#due) {
      this.#due = Number.POSITIVE_INFINITY;
      this.#email = this.#findOut();
    }
    const email = await this.#email;
    if (email === undefined || seconds > LONGEST) return undefined;
    const { origin, host } = new URL(endpoint);
    const now = new Date(clock()).toISOString().replace(/[-:]|\.\d+/g, '');
    const scope = `${now.slice(0, 8)}/auto/storage/goog4_request`;
    const query = canonicalQuery({
      'X-Goog-Algorithm': ALGORITHM,
      'X-Goog-Credential': `${email}/${scope}`,
      'X-Goog-Date': now,
      'X-Goog-Expires': String(seconds),
      'X-Goog-SignedHeaders': 'host',
      userProject,
    });
    const request = [method, path, query, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
    const digest = createHash('sha256').update(request).digest('hex');
    const signature = await account.sign([ALGORITHM, now, scope, digest].join('\n'));
    return `${origin}${path}?${query}&X-Goog-Signature=${Buffer.from(signature, 'base64').toString('hex')}`;
  }

  /** Signs once for a try: whether an account may be signed for is not to be seen from outside. */
  async #findOut(): Promise<string | undefined> {
    const { account, clock, logger } = this.#options;
    try {
      const { client_email: email } = await account.getCredentials();
      if (email === undefined) throw new Error('the credentials are of no service account');
      await account.sign('');
      return email;
    } catch (error) {
      this.#due = clock() + PAUSE;
      logger.warn(
        { err: error },
        'no URL can be signed with these credentials at present: blobs are served by the registry itself',
      );
      return undefined;
    }
  }
}

function canonicalQuery(parameters: Readonly<Record<string, string | undefined>>): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`],
  );
  return pairs.sort().join('&');
}
