// May this caller do this? Asked once a request, with everything that the route needs.
import type { Context } from 'koa';
import type { AccessRequest, AuthHandler, Grant } from '../contracts/index.js';
import { Challenge, RegistryError } from '../errors.js';
import { parseCredentials } from '../model/credentials.js';
import { isRepositoryName } from '../model/repository-name.js';
import type { Scope } from '../model/scope.js';
import type { Login } from '../services/index.js';
import type { Call } from './call.js';
import { clientAddress } from './client-address.js';
import { OPEN, pullScope } from './grants.js';
import { allowedMethods } from './router.js';
import type { Route } from './routes.js';

const ACTIONS = { pull: ['pull'], push: ['pull', 'push'], delete: ['delete'] } as const;

function requiredScopes({ access }: Route, call: Call): Scope[] {
  if (access === 'none' || access === 'base') return [];
  if (access === 'catalog') return [{ type: 'registry', name: 'catalog', action: '*' }];
  return ACTIONS[access].map((action) => ({ type: 'repository', name: call.repository, action }));
}

/** A mount names a repository besides the route's own. */
function optionalScopes(route: Route, call: Call): Scope[] {
  const from = route.method === 'POST' ? call.query('from') : undefined;
  return from !== undefined && isRepositoryName(from) ? [pullScope(from)] : [];
}

/**
 * @throws Challenge, or RegistryError `DENIED`, as the auth handler decides.
 * @throws RegistryError `TOOMANYREQUESTS` when too many logins have failed.
 */
export function authorize(call: Call, route: Route): Promise<void> | undefined {
  const { auth } = call.services;
  if (auth === undefined || route.access === 'none') {
    call.grant = OPEN;
    return undefined;
  }
  const grant = ask(auth, call, new RouteAccess(call, route));
  if (grant instanceof Promise) return grant.then((given) => admit(call, given));
  admit(call, grant);
  return undefined;
}

/** What a request wants. A class, for its signal is made when it is asked for, and most handlers do not. */
class RouteAccess implements AccessRequest {
  readonly required: readonly Scope[];
  readonly optional: readonly Scope[];
  readonly ctx: Context;
  readonly #call: Call;

  constructor(call: Call, route: Route) {
    this.required = requiredScopes(route, call);
    this.optional = optionalScopes(route, call);
    this.ctx = call.ctx;
    this.#call = call;
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }
}

/** Only passwords are guessed: a token that is refused has expired, most of the time. */
function ask(auth: AuthHandler, call: Call, request: AccessRequest): Promise<Grant> | Grant {
  const { failedLogins } = call.services;
  const header = call.header('authorization');
  if (failedLogins === undefined || header === undefined || !BASIC.test(header)) return auth.authorize(request);
  return failedLogins.attempt(
    `${call.ctx.ip} ${header}`,
    () => readLogin(call, header),
    () => auth.authorize(request),
    isFailedLogin,
  );
}

const BASIC = /^basic /i;

function readLogin(call: Call, header: string): Login | undefined {
  const credentials = parseCredentials(header);
  if (credentials?.scheme !== 'basic') return undefined;
  return { actor: credentials.user, address: clientAddress(call.ctx), signal: call.signal, log: call.log };
}

function isFailedLogin(error: unknown): boolean {
  return error instanceof Challenge && error.error !== 'insufficient_scope';
}

/** A grant is all that opens the door: a forgotten `return` or `throw` in a handler must not. */
function admit(call: Call, grant: Grant): void {
  if (typeof grant !== 'object' || grant === null || !Array.isArray(grant.granted)) {
    throw new TypeError('the auth handler answered no Grant: to refuse, it has to throw a Challenge or DENIED');
  }
  call.grant = grant;
}

/** @throws RegistryError `UNSUPPORTED` for a change that this registry's options rule out, with what is left as `Allow`. */
export function permit(call: Call, route: Route): void {
  const { readOnly, deleteEnabled } = call.settings;
  const may = ({ method, access }: Route) => !(readOnly && method !== 'GET') && (deleteEnabled || access !== 'delete');
  if (may(route)) return;
  const problem = readOnly ? 'this registry is read-only' : 'deletion is disabled';
  throw new RegistryError('UNSUPPORTED', { problem }, { headers: { Allow: allowedMethods(call.mount.path, may) } });
}
