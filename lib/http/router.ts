// Finding the route of a request: @koa/router matches, the table of routes says what was matched.
import Router from '@koa/router';
import { RegistryError } from '../errors.js';
import { parseDigest } from '../model/digest.js';
import { parseReference } from '../model/reference.js';
import { parseRepositoryName } from '../model/repository-name.js';
import type { Call } from './call.js';
import { type Route, routes } from './routes.js';

/**
 * `/v2/:name/blobs/:digest` as an expression. A name takes whatever is there, so that a bad one is
 * told apart from an unknown path; a slash at the end of the pattern may be left out.
 */
function compile(path: string): RegExp {
  const source = path
    .replace(/\/$/, '/?')
    .replace(/:(\w+)/g, (_, name) => (name === 'name' ? '(?<name>.*)' : `(?<${name}>[^/]+)`));
  return new RegExp(`^${source}$`);
}

interface Compiled {
  readonly route: Route;
  readonly pattern: RegExp;
}

const table = new Map<string, Compiled>();
const router = new Router();
/** A router tries every pattern that it has: one that knows only what a method may mean has few. */
const routers = new Map<string, Router>();
for (const route of routes) {
  const name = `${route.method} ${route.path}`;
  const pattern = compile(route.path);
  table.set(name, { route, pattern });
  for (const each of [router, ...methodsOf(route).map(routerOf)]) {
    each.register(pattern, [route.method], () => undefined, { name, pathAsRegExp: true });
  }
}

/** Those that a route answers. */
function methodsOf({ method }: Route): string[] {
  return method === 'GET' ? ['GET', 'HEAD'] : [method];
}

function routerOf(method: string): Router {
  const known = routers.get(method) ?? new Router();
  routers.set(method, known);
  return known;
}

/** The methods that a path has, of those that `may` does not rule out, for `Allow`. */
export function allowedMethods(path: string, may: (route: Route) => boolean = () => true): string {
  const methods = new Set<string>();
  let pattern: string | undefined;
  for (const { name } of router.match(path, 'OPTIONS').path) {
    const route = table.get(name ?? '')?.route;
    if (route === undefined || (pattern ?? route.path) !== route.path) continue;
    pattern = route.path;
    if (!may(route)) continue;
    for (const method of methodsOf(route)) methods.add(method);
  }
  return [...methods].join(', ');
}

/**
 * Finds the route of a call and parses what the path names.
 *
 * @throws RegistryError `NAME_INVALID`, `DIGEST_INVALID`, `TAG_INVALID`; `UNSUPPORTED` with `Allow`
 *   for a method that the path does not have; `NAME_UNKNOWN` for a path that is no endpoint.
 */
export function findRoute(call: Call): void {
  const { method, mount } = call;
  const { path } = mount;
  const [layer] = routers.get(method)?.match(path, method).pathAndMethod ?? [];
  const compiled = table.get(layer?.name ?? '');
  if (compiled === undefined) {
    const allow = allowedMethods(path);
    if (allow === '') throw new RegistryError('NAME_UNKNOWN', { problem: 'no such endpoint' });
    throw new RegistryError('UNSUPPORTED', { method }, { headers: { Allow: allow } });
  }
  call.route = compiled.route;
  const parameters = compiled.pattern.exec(path)?.groups;
  if (parameters !== undefined) parse(call, parameters);
}

function parse(call: Call, { name, digest, reference, session }: Readonly<Record<string, string>>): void {
  // Never decoded: nothing in a name needs it, and `%2F` must not become a separator.
  if (name !== undefined) call.named.repository = parseRepositoryName(name);
  if (digest !== undefined) call.named.digest = parseDigest(decoded(digest));
  if (reference !== undefined) call.named.reference = parseReference(decoded(reference));
  if (session !== undefined) call.named.session = session;
}

/** A segment whose colon a client has escaped; what is malformed stays as it is, and fails its grammar. */
function decoded(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
