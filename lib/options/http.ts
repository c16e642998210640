// The options of the HTTP face.
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { z } from 'zod';
import { duration, secret, size } from '../plugin/index.js';

/** Node throws for what cannot be sent; here that is found at start-up. */
function areHeaders(headers: Readonly<Record<string, string>>): boolean {
  try {
    for (const [name, value] of Object.entries(headers)) {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    }
    return true;
  } catch {
    return false;
  }
}

const address = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' });

/** Where the same content may be pulled. */
export const mirror = z.strictObject({
  /** The API's root of the mirror: `https://mirror.example/v2/`. */
  root: address,
  /** Whether the mirror has manifests, not only blobs. */
  manifests: z.boolean().default(true),
});

export const http = z.strictObject({
  /**
   * The registry's address as clients know it, when it cannot be told from the request:
   * `https://registry.example`, with a path where a proxy in front takes one off.
   */
  host: address.optional(),
  /** Answer `Location` and `Link` without scheme and host. Default: false. */
  relativeUrls: z.boolean().default(false),
  /**
   * Signs the state of an upload that travels in its `Location`. The same on every host that serves
   * this registry. Default: random, so that uploads under way end with the process.
   */
  secret: secret(z.string().min(1)).optional(),
  /** Headers to put on every answer. */
  headers: z.record(z.string(), z.string()).refine(areHeaders, 'must be names and values of HTTP headers').default({}),
  /** A larger manifest is answered 413. At least 4 MiB keeps to the specification. Default: 4 MiB. */
  maxManifestBytes: size({ min: 1 }).default(4 * 1024 * 1024),
  /** For how long a client may send nothing in the middle of a body before it is answered 408. Default: 60 s. */
  bodyTimeout: duration({ min: 1 }).default(60_000),
});
