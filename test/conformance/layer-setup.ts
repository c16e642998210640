// What the author of a layer handler says of it to the suite: the plugin, and how a client gets the bytes.
import type { Plugin } from 'koa-registry';
import type { RequestHeaders } from './auth-setup.js';

/** Where things are while a test runs; both are base URLs of 127.0.0.1, without a slash at the end. */
export interface LayerPlaces {
  /**
   * Where objects of the suite's own store are had, as from a CDN: by their key (`<origin>/<key>`) or by the whole
   * name that the driver's `path` tells, with GET and HEAD, ranges too. A query is not looked at, but in the URLs
   * that the driver itself signs, which are for one method and for a while.
   */
  readonly origin: string;
  /** The registry itself, for a front server to ask. */
  readonly registry: string;
}

/** A request for a blob; it names nobody, for whoever is sent elsewhere takes no credentials there. */
export interface BlobRequest {
  readonly method: 'GET' | 'HEAD';
  readonly headers: RequestHeaders;
}

/** What came of it. */
export interface BlobReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Uint8Array;
}

/** A layer handler and all that the suite has to know of it. */
export interface LayerSetup {
  readonly layer: Plugin<'layer'>;
  /** One to be thrown away: what the tests push stays there. Default: the store that is at `origin`. */
  readonly storage?: Plugin<'storage'> | undefined;
  /**
   * What requests for blobs carry besides, such as `X-Sendfile-Type`. The application trusts its proxy:
   * `X-Forwarded-For` is the client's address.
   */
  readonly headers?: RequestHeaders | undefined;
  /** The base URL of a front server, which is then asked for blobs in the registry's place. */
  readonly front?: string | undefined;
  /**
   * How a client gets the bytes from what the registry answered, a redirect or headers. Default: it follows a redirect
   * with the same method and `Range`. Where the answer is headers, and there is neither this nor `front`, the bytes
   * are not looked at.
   */
  readonly follow?: ((reply: BlobReply, request: BlobRequest) => Promise<BlobReply>) | undefined;
  /** Whether a large blob never passes through the registry. Default: true. */
  readonly offloads?: boolean | undefined;
  /** What the log must not hold, besides the queries of redirects and the options that are marked secret. */
  readonly secrets?: readonly string[] | undefined;
  /** Ends what the setup itself has started. */
  readonly close?: (() => Promise<void>) | undefined;
}
