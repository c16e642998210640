// Where the registry stands in somebody else's application: which part of a request's path is ours,
// and what precedes it as the client sees it.
import type { Context } from 'koa';

export interface Mount {
  /** Our part of the path: `/v2/…`, or `/`. */
  readonly path: string;
  /** What precedes it in the URL that the client used, without a slash at the end: `/portal`. */
  readonly base: string;
}

/** What @koa/router leaves on a context that it has matched. */
interface RoutedContext extends Context {
  readonly _matchedRoute?: unknown;
}

/** The path of a URL as it came, undecoded. */
function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

/**
 * How much of `path` an enclosing @koa/router has spoken for: its pattern up to `v2` or the first
 * wildcard, counted in segments because the pattern may have parameters (`/:tenant/v2{/*rest}`,
 * `/:tenant{/*rest}`, `/:tenant/`).
 */
function routedLength(pattern: string, path: string): number {
  let depth = 0;
  for (const segment of pattern.split('/').slice(1)) {
    const [always = ''] = segment.split('{', 1);
    if (always === '' || always === 'v2' || /[*(]/.test(always)) break;
    depth += 1;
    if (always !== segment) break;
  }
  let at = 0;
  for (; depth > 0; depth -= 1) {
    at = path.indexOf('/', at + 1);
    if (at < 0) return path.length;
  }
  return at;
}

/** Whether a path, `prefix` taken off, is the registry's: `/v2` and all below, and `/` itself. */
function isOurs(path: string): boolean {
  return path.startsWith('/v2') && (path.length === 3 || path.charCodeAt(3) === 47);
}

/**
 * Finds the registry's part of a request, or `undefined` where it is the host application's.
 *
 * Understands the option `prefix`, koa-mount (which shortens `ctx.path`), an enclosing @koa/router
 * (which does not) and an outer framework that keeps `req.originalUrl`.
 */
export function findMount(ctx: Context, prefix: string, withRoot: boolean): Mount | undefined {
  const { path } = ctx;
  let skipped = 0;
  if (prefix !== '') {
    if (!path.startsWith(prefix)) return undefined;
    skipped = prefix.length;
  } else if (!isOurs(path)) {
    const pattern = (ctx as RoutedContext)._matchedRoute;
    if (typeof pattern === 'string') skipped = routedLength(pattern, path);
  }
  const rest = skipped === 0 ? path : path.slice(skipped);
  if (!isOurs(rest) && !(withRoot && (rest === '/' || rest === ''))) return undefined;
  return { path: rest === '' ? '/' : rest, base: outerPath(ctx, path) + path.slice(0, skipped) };
}

/** What koa-mount or an outer framework has taken off the front of the path. */
function outerPath(ctx: Context, path: string): string {
  const original = (ctx.req as { originalUrl?: string }).originalUrl ?? ctx.originalUrl;
  if (original === ctx.req.url) return '';
  const whole = pathOf(original);
  return whole.endsWith(path) ? whole.slice(0, whole.length - path.length) : '';
}
