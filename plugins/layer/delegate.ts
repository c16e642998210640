// `layer/delegate`: clients get blobs from the store itself, by URLs that the storage driver signs. Signing costs
// more than all else that a redirect takes, so a URL serves several clients for a while.
import type { Layer, LayerHandler, LayerRequest, LayerStore } from 'koa-registry';
import { definePlugin, duration } from 'koa-registry';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';

/** How many URLs are kept; beyond that the least recently used is signed again. */
const KEPT = 5_000;

/**
 * For how long a URL is handed out again at most, in milliseconds: long enough for all who pull one image at once. A
 * URL ends with temporary credentials, and only the driver knows when: an older one might be worse than a new one.
 */
const LONGEST_REUSE = 10_000;

/** Where a blob would be that nobody has: a URL can be signed for it all the same. */
const NOBODYS = `docker/registry/v2/blobs/sha256/00/${'0'.repeat(64)}/data`;

const options = z.strictObject({
  /**
   * For how long a URL serves after it was signed, from 1 s to 7 days; a download that has begun by then goes on. When
   * a client gets the URL, a tenth of that may be over, and ten seconds at most. Default: 20 min.
   */
  expires: duration({ min: '1s', max: '7d' }).prefault('20m'),
  /**
   * Whether it is a failure that the driver has no URL; otherwise the registry streams, and nobody is told. That
   * signing fails is one in any case. Default: true.
   */
  required: z.boolean().default(true),
});

type SignUrl = NonNullable<LayerStore['url']>;

interface SignedUrl {
  /** When the driver was asked for it. */
  readonly at: number;
  /** Once it is known that there is none, it is not kept. */
  readonly url: Promise<string | undefined>;
}

class Delegate implements LayerHandler {
  readonly #expires: number;
  readonly #required: boolean;
  readonly #reuse: number;
  readonly #clock: () => number;
  readonly #signed = new LRUCache<string, SignedUrl>({ max: KEPT });

  constructor({ expires, required }: z.output<typeof options>, clock: () => number) {
    this.#expires = expires;
    this.#required = required;
    this.#reuse = Math.min(expires / 10, LONGEST_REUSE);
    this.#clock = clock;
  }

  async resolve({ key, url }: Layer, { method }: LayerRequest): Promise<{ redirect: string } | undefined> {
    const redirect = url && (await this.#urlOf(url, key, method));
    return redirect === undefined ? this.#without(url) : { redirect };
  }

  async check({ url }: LayerStore): Promise<void> {
    const signed = await url?.(NOBODYS, { method: 'GET', expires: this.#expires });
    if (signed === undefined) this.#without(url);
  }

  /** @throws Error that says why there is no URL, where there has to be one. */
  #without(url: SignUrl | undefined): undefined {
    if (!this.#required) return;
    if (url === undefined) throw new Error('the storage driver has no URLs of its own to redirect clients to');
    throw new Error(`the storage driver cannot sign a URL for ${this.#expires} ms at present`);
  }

  /** The client's address is not told to the driver: the URL may be for many. */
  #urlOf(sign: SignUrl, key: string, method: LayerRequest['method']): Promise<string | undefined> {
    const name = `${method} ${key}`;
    const at = this.#clock();
    const kept = this.#signed.get(name);
    // A clock that was set back makes nothing younger.
    if (kept !== undefined && Math.abs(at - kept.at) < this.#reuse) return kept.url;
    const url = sign(key, { method, expires: this.#expires });
    const signed = { at, url };
    this.#signed.set(name, signed);
    const forget = () => {
      if (this.#signed.peek(name) === signed) this.#signed.delete(name);
    };
    url.then((answer) => answer ?? forget(), forget);
    return url;
  }
}

/**
 * Redirects clients to the storage driver's own URL of a blob, signed for `expires`. That the driver has none is a
 * failure, unless `required` is false.
 */
export const delegate = definePlugin({
  kind: 'layer',
  name: 'delegate',
  options,
  create: (given, { clock }) => new Delegate(given, clock),
});
