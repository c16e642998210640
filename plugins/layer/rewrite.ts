// `layer/rewrite`: the URL that another layer handler answers, at another host. It is edited as text, never parsed and
// put together again: path and query keep every byte, as a signature may be over them.
import type { CallOptions, Layer, LayerAnswer, LayerHandler, LayerRequest, LayerStore } from 'koa-registry';
import { definePlugin, parseDigest, parseRepositoryName, pluginOf } from 'koa-registry';
import { delegate } from 'koa-registry/plugins/layer/delegate';
import { z } from 'zod';

const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/i;

/** As clients would send it; without the slash at its end. */
const pathPrefix = z
  .string()
  .refine(
    (text) => text.startsWith('/') && URL.canParse(`http://x${text}`) && new URL(`http://x${text}`).pathname === text,
    'must be a path as it stands in a URL, such as "/layers"',
  )
  .transform((text) => text.replace(/\/+$/, ''));

const options = z
  .strictObject({
    /** Answers the URLs. Default: `layer/delegate`, with its defaults. */
    handler: pluginOf('layer').default(() => delegate()),
    /** Default: that of the URL. */
    scheme: z.enum(['http', 'https']).optional(),
    /** The host, with its port where it is not the scheme's own. Default: that of the URL, port and all. */
    host: z
      .string()
      .refine((text) => HOST.test(text) && URL.canParse(`http://${text}`), 'must be a host, or "host:port"')
      .optional(),
    /** What is taken off the beginning of the path, in whole components; a path that begins otherwise is a failure. Default: nothing. */
    trimPathPrefix: pathPrefix.default(''),
    /** What is put before the path in its place. Default: nothing. */
    addPathPrefix: pathPrefix.default(''),
  })
  .refine(
    ({ scheme, host, trimPathPrefix, addPathPrefix }) =>
      scheme !== undefined || host !== undefined || trimPathPrefix !== addPathPrefix,
    'changes nothing: say scheme, host, trimPathPrefix or addPathPrefix',
  );

type Change = Omit<z.output<typeof options>, 'handler'>;

const PARTS = /^(https?):\/\/([^/?#]+)([^?#]*)(.*)$/is;

/** @throws Error that does not contain the URL, which may be signed. */
function rewritten(url: string, { scheme, host, trimPathPrefix, addPathPrefix }: Change): string {
  const [, itsScheme, itsHost, path = '', rest] = PARTS.exec(url) ?? [];
  if (itsScheme === undefined) throw new Error('the layer handler answered no absolute http or https URL');
  if (path !== trimPathPrefix && !path.startsWith(`${trimPathPrefix}/`)) {
    throw new Error(`the path of the URL does not begin with ${JSON.stringify(trimPathPrefix)} (trimPathPrefix)`);
  }
  return `${scheme ?? itsScheme}://${host ?? itsHost}${addPathPrefix}${path.slice(trimPathPrefix.length)}${rest}`;
}

/** A blob that nobody has. */
const NOBODYS = {
  repository: parseRepositoryName('nobody/nothing'),
  descriptor: { mediaType: 'application/octet-stream', digest: parseDigest(`sha256:${'0'.repeat(64)}`), size: 1 },
  key: `docker/registry/v2/blobs/sha256/00/${'0'.repeat(64)}/data`,
} as const satisfies Layer;

/** An address that is nobody's (RFC 5737). */
const NOBODY = '192.0.2.1';

class RewriteHandler implements LayerHandler {
  readonly #handler: LayerHandler;
  readonly #change: Change;

  constructor(handler: LayerHandler, change: Change) {
    this.#handler = handler;
    this.#change = change;
  }

  async resolve(layer: Layer, request: LayerRequest): Promise<LayerAnswer | undefined> {
    const answer = await this.#handler.resolve(layer, request);
    if (!answer || !('redirect' in answer)) return answer;
    return { redirect: rewritten(answer.redirect, this.#change) };
  }

  /** A URL that could not be rewritten fails the check, before it fails a client. */
  async check(given: LayerStore & CallOptions): Promise<void> {
    await this.#handler.check?.(given);
    const answer = await this.#tried(given);
    if (answer && 'redirect' in answer) rewritten(answer.redirect, this.#change);
  }

  /** What the handler answers to nobody. Whether it can work is for its own check to say: this blob need not please it. */
  async #tried({ signal = new AbortController().signal, ...store }: LayerStore & CallOptions) {
    const request: LayerRequest = { method: 'GET', client: NOBODY, headers: {}, signal };
    try {
      return await this.#handler.resolve({ ...NOBODYS, ...store }, request);
    } catch {
      return undefined;
    }
  }
}

/** Changes scheme, host and the beginning of the path of the URLs to which another layer handler redirects. */
export const rewrite = definePlugin({
  kind: 'layer',
  name: 'rewrite',
  options,
  create: async ({ handler, ...change }, host) => new RewriteHandler(await host.start(handler), change),
});
