// Signs URLs for CloudFront. A signature costs more than all the rest of a redirect, so one that is still fresh is
// given to the next client, too.
import type { KeyObject } from 'node:crypto';
import type { getSignedUrl } from '@aws-sdk/cloudfront-signer';
import { LRUCache } from 'lru-cache';

/** How many signed URLs are kept, each of less than a kilobyte. */
const MOST_KEPT = 5_000;

/** The part of a URL's duration during which it is given out. */
const FRESH = 0.1;

export interface UrlSignerOptions {
  readonly sign: typeof getSignedUrl;
  readonly keyPairId: string;
  readonly key: KeyObject;
  /** In milliseconds. */
  readonly duration: number;
  readonly clock: () => number;
}

interface SignedUrl {
  readonly url: string;
  readonly signedAt: number;
}

export class UrlSigner {
  readonly #options: UrlSignerOptions;
  readonly #kept = new LRUCache<string, SignedUrl>({ max: MOST_KEPT });

  constructor(options: UrlSignerOptions) {
    this.#options = options;
  }

  /**
   * The URL with its signature, good for the duration, or nine tenths of it at least.
   *
   * @param ipAddress the only client that may use it, by a custom policy; without, anybody by a canned one.
   * @throws Error when the key cannot sign.
   */
  sign(url: string, ipAddress?: string): string {
    const { duration, clock } = this.#options;
    const now = clock();
    const name = ipAddress === undefined ? url : `${url} ${ipAddress}`;
    const kept = this.#kept.get(name);
    // A clock that was set back makes nothing fresher.
    if (kept !== undefined && Math.abs(now - kept.signedAt) <= duration * FRESH) return kept.url;
    const signed = this.#signUntil(now + duration, url, ipAddress);
    this.#kept.set(name, { url: signed, signedAt: now });
    return signed;
  }

  /** CloudFront counts whole seconds. */
  #signUntil(time: number, url: string, ipAddress: string | undefined): string {
    const { sign, keyPairId, key } = this.#options;
    return sign({
      url,
      keyPairId,
      // The SDK hands it on to node:crypto, which need not parse it for each URL; only the SDK's types insist on PEM.
      privateKey: key as unknown as Buffer,
      dateLessThan: new Date(Math.ceil(time / 1000) * 1000).toISOString(),
      ...(ipAddress !== undefined && { ipAddress }),
    });
  }
}
