// The one place where URLs come from: `Location`, `Link` and whatever else tells a client where to go.
import type { Context } from 'koa';
import type { Digest } from '../model/digest.js';
import type { RepositoryName } from '../model/repository-name.js';

export interface UrlOptions {
  /** The registry's address as clients know it: scheme, host, and a path where a proxy takes one off. */
  readonly host?: string | undefined;
  /** Answer paths without scheme and host. */
  readonly relativeUrls: boolean;
}

const PREFIX = /^(?:\/[\w.~-]+)+$/;
const HOST = /^[\w.-]+$|^\[[\da-fA-F:.]+\]$/;
const FORWARDED = { proto: /^https?$/, host: /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/ } as const;

/** The first element of a list header, which is what the proxy nearest to the client has set. */
function first(ctx: Context, header: string): string {
  return ctx.get(header).split(',', 1)[0]?.trim() ?? '';
}

/** `proto` or `host` of a `Forwarded` header (RFC 7239), where it is one; neither minds the case. */
function forwarded(ctx: Context, parameter: keyof typeof FORWARDED): string | undefined {
  for (const pair of first(ctx, 'Forwarded').split(';')) {
    const [name = '', value = ''] = pair.split('=', 2);
    if (name.trim().toLowerCase() !== parameter) continue;
    const text = value
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .toLowerCase();
    return FORWARDED[parameter].test(text) ? text : undefined;
  }
  return undefined;
}

/** Scheme and host as the client used them; what a proxy says counts only where the application trusts it. */
function requestOrigin(ctx: Context): string {
  if (!ctx.app.proxy) return `${ctx.protocol}://${ctx.host}`;
  const protocol = forwarded(ctx, 'proto') ?? ctx.protocol;
  const host = forwarded(ctx, 'host') ?? ctx.host;
  const port = first(ctx, 'X-Forwarded-Port');
  const isDefault = port === (protocol === 'https' ? '443' : '80');
  return `${protocol}://${host}${/^\d{1,5}$/.test(port) && !isDefault && HOST.test(host) ? `:${port}` : ''}`;
}

/** The path that a trusted proxy has taken off before it passed the request on. */
function forwardedPrefix(ctx: Context): string {
  if (!ctx.app.proxy) return '';
  const prefix = first(ctx, 'X-Forwarded-Prefix').replace(/\/$/, '');
  return PREFIX.test(prefix) ? prefix : '';
}

/** URLs of one request. */
export class Urls {
  readonly #ctx: Context;
  readonly #base: string;
  readonly #options: UrlOptions;

  /** @param base what stands before `/v2` in the request's path. */
  constructor(ctx: Context, base: string, options: UrlOptions) {
    this.#ctx = ctx;
    this.#base = base;
    this.#options = options;
  }

  blob(repository: RepositoryName, digest: Digest): string {
    return this.#url(`/v2/${repository}/blobs/${digest}`);
  }

  manifest(repository: RepositoryName, digest: Digest): string {
    return this.#url(`/v2/${repository}/manifests/${digest}`);
  }

  upload(repository: RepositoryName, uuid: string, state: string | undefined): string {
    const query = state === undefined ? '' : `?_state=${state}`;
    return this.#url(`/v2/${repository}/blobs/uploads/${uuid}${query}`);
  }

  /** The API's root, `…/v2/`. */
  root(): string {
    return this.#url('/v2/');
  }

  /** The present path with another query, for the next page. */
  next(path: string, query: Readonly<Record<string, string>>): string {
    return this.#url(`${path}?${new URLSearchParams(query)}`);
  }

  #url(path: string): string {
    const { host, relativeUrls } = this.#options;
    if (host !== undefined) {
      const address = new URL(host);
      const outer = address.pathname === '/' ? '' : address.pathname.replace(/\/$/, '');
      return `${relativeUrls ? '' : address.origin}${outer}${this.#base}${path}`;
    }
    const local = forwardedPrefix(this.#ctx) + this.#base + path;
    return relativeUrls ? local : requestOrigin(this.#ctx) + local;
  }
}
