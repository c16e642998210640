// `layer/redirect`: clients get blobs from a server that shows the store at a URL of its own, such as a CDN or a
// mirror. Nothing is signed.
import type { LayerHandler } from 'koa-registry';
import { definePlugin } from 'koa-registry';
import { z } from 'zod';

/** Normalised, without the slashes at its end. */
const baseUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL', abort: true })
  .refine((text) => {
    const { username, password, search, hash } = new URL(text);
    return `${username}${password}${search}${hash}` === '';
  }, 'must be without credentials, query and fragment')
  .transform((text) => {
    const { origin, pathname } = new URL(text);
    return `${origin}${pathname}`.replace(/\/+$/, '');
  });

/**
 * Redirects clients to `<baseUrl>/<key>`, with the blob's key in the store: `docker/registry/v2/blobs/sha256/…/data`.
 * What the server at `baseUrl` has to have is what is below the store's root directory.
 */
export const redirect = definePlugin({
  kind: 'layer',
  name: 'redirect',
  options: z.strictObject({
    /** What stands before a key: an `http` or `https` URL, which may have a path. */
    baseUrl,
  }),
  create: (options): LayerHandler => ({ resolve: ({ key }) => ({ redirect: `${options.baseUrl}/${key}` }) }),
});
