// Keys at a URL: fetched again when they are old, and, not too often, when a token names one that is
// not among them, which is how a rotation is noticed.
import type { PluginHost } from 'koa-registry';
import { parseJwks } from './jwks.js';
import { type KeySource, LatestKeys, MAX_BYTES } from './latest-keys.js';
import type { Keys } from './trusted-keys.js';

/** How long a fetch may take, in milliseconds. */
const PATIENCE = 5_000;

const ACCEPT = { Accept: 'application/jwk-set+json, application/json' };

/** In milliseconds. */
export interface KeyUrlOptions {
  readonly maxAge: number;
  readonly cooldown: number;
}

export class KeyUrl implements KeySource {
  readonly #url: string;
  readonly #options: KeyUrlOptions;
  readonly #host: PluginHost;
  readonly #latest: LatestKeys;
  /** When the keys were last known to be those of the URL. */
  #knownAt = 0;
  #triedAt = 0;
  #fetching: Promise<void> | undefined;

  private constructor(url: string, options: KeyUrlOptions, host: PluginHost) {
    const { origin, pathname } = new URL(url);
    this.#url = url;
    this.#options = options;
    this.#host = host;
    // Without the query, which may be a secret.
    this.#latest = new LatestKeys(`jwksUrl ${origin}${pathname}`, parseJwks, host.logger);
  }

  /** @throws Error when the keys cannot be fetched. */
  static async open(url: string, options: KeyUrlOptions, host: PluginHost): Promise<KeyUrl> {
    const source = new KeyUrl(url, options, host);
    source.#triedAt = host.clock();
    source.#knownAt = source.#triedAt;
    await source.#latest.begin(() => source.#fetch());
    return source;
  }

  get keys(): Keys {
    return this.#latest.keys;
  }

  look(): Promise<void> | undefined {
    if (!this.#isDue()) return undefined;
    const fetched = this.#renew();
    // Nobody waits again and again for a server that does not answer.
    return this.#latest.failing ? undefined : fetched;
  }

  /** Not more often than the cooldown allows. */
  async refresh(): Promise<void> {
    if (this.#fetching !== undefined || this.#since(this.#triedAt) >= this.#options.cooldown) await this.#renew();
  }

  assertWell(): void {
    this.#latest.assertWell();
  }

  #isDue(): boolean {
    if (this.#since(this.#knownAt) < this.#options.maxAge) return false;
    return !this.#latest.failing || this.#since(this.#triedAt) >= this.#options.cooldown;
  }

  /** A clock that was set back makes nothing younger. */
  #since(time: number): number {
    return Math.abs(this.#host.clock() - time);
  }

  #renew(): Promise<void> {
    this.#fetching ??= this.#renewNow().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #renewNow(): Promise<void> {
    const begun = this.#host.clock();
    this.#triedAt = begun;
    await this.#latest.renew(() => this.#fetch());
    if (!this.#latest.failing) this.#knownAt = begun;
  }

  /** Redirects are not followed: who is trusted is what the options say. */
  async #fetch(): Promise<string> {
    // Not AbortSignal.any over AbortSignal.timeout: Node 20 may collect that time-out as garbage before it is up.
    const patience = new AbortController();
    const giveUp = (reason: unknown) => patience.abort(reason);
    const timer = setTimeout(giveUp, PATIENCE, new Error(`has not answered within ${PATIENCE} ms`)).unref();
    const close = () => giveUp(this.#host.signal.reason);
    this.#host.signal.addEventListener('abort', close);
    try {
      const response = await fetch(this.#url, { headers: ACCEPT, redirect: 'manual', signal: patience.signal });
      if (response.status === 200) return await readText(response);
      await response.body?.cancel();
      throw new Error(`answers ${response.status}, not 200; redirects are not followed`);
    } finally {
      clearTimeout(timer);
      this.#host.signal.removeEventListener('abort', close);
    }
  }
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BYTES) throw new Error(`answers more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
