// May this caller do this? Asked once a request, with everything that the route needs.
import type { AccessRequest, AuthHandler, Grant } from '../contracts/index.js';
import { Challenge, RegistryError } from '../errors.js';
import { parseCredentials } from '../model/credentials.js';
import { isRepositoryName } from '../model/repository-name.js';
import type { Scope } from '../model/scope.js';
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
export async function authorize(call: Call, route: Route): Promise<void> {
  const { auth } = call.services;
  if (auth === undefined || route.access === 'none') {
    call.grant = OPEN;
    return;
  }
  call.grant = checked(
    await ask(auth, call, {
      required: requiredScopes(route, call),
      optional: optionalScopes(route, call),
      ctx: call.ctx,
      signal: call.signal,
    }),
  );
}

/** Only passwords are guessed: a token that is refused has expired, most of the time. */
function ask(auth: AuthHandler, call: Call, request: AccessRequest): Promise<Grant> | Grant {
  const { failedLogins } = call.services;
  const header = call.header('authorization');
  const credentials = failedLogins && parseCredentials(header);
  if (failedLogins === undefined || header === undefined || credentials?.scheme !== 'basic') {
    return auth.authorize(request);
  }
  const login = {
    actor: credentials.user,
    address: clientAddress(call.ctx),
    proof: header,
    signal: call.signal,
    log: call.log,
  };
  return failedLogins.attempt(login, () => auth.authorize(request), isFailedLogin);
}

function isFailedLogin(error: unknown): boolean {
  return error instanceof Challenge && error.error !== 'insufficient_scope';
}

/** A grant is all that opens the door: a forgotten `return` or `throw` in a handler must not. */
function checked(grant: Grant): Grant {
  if (typeof grant === 'object' && grant !== null && Array.isArray(grant.granted)) return grant;
  throw new TypeError('the auth handler answered no Grant: to refuse, it has to throw a Challenge or DENIED');
}

/** @throws RegistryError `UNSUPPORTED` for a change that this registry's options rule out, with what is left as `Allow`. */
export function permit(call: Call, route: Route): void {
  const { readOnly, deleteEnabled } = call.settings;
  const may = ({ method, access }: Route) => !(readOnly && method !== 'GET') && (deleteEnabled || access !== 'delete');
  if (may(route)) return;
  const problem = readOnly ? 'this registry is read-only' : 'deletion is disabled';
  throw new RegistryError('UNSUPPORTED', { problem }, { headers: { Allow: allowedMethods(call.mount.path, may) } });
}
