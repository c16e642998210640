// The last step of most auth handlers: who it is, is known; what remains is whether it may.
import type { AccessRequest, Actor, Grant } from '../contracts/index.js';
import { RegistryError } from '../errors.js';
import type { Scope } from '../model/scope.js';

/** Whether the caller may do this. */
export type Allows = (scope: Scope) => boolean | Promise<boolean>;

/**
 * The grant for a caller who may do what `allows` says.
 *
 * ```ts
 * authorize: (request) => grantIf(request, { name: user.name }, (scope) => user.may(scope.action, scope.name));
 * ```
 *
 * @param actor left out for an anonymous caller.
 * @throws RegistryError `DENIED`, with the scopes that are missing, when not all that is required is allowed.
 */
export async function grantIf(
  { required, optional }: Pick<AccessRequest, 'required' | 'optional'>,
  actor: Actor | undefined,
  allows: Allows,
): Promise<Grant> {
  const missing = await filter(required, async (scope) => !(await allows(scope)));
  if (missing.length > 0) throw new RegistryError('DENIED', { missing }, { actor });
  return { actor, granted: await filter(optional, allows), allows };
}

async function filter(scopes: readonly Scope[], test: Allows): Promise<readonly Scope[]> {
  if (scopes.length === 0) return scopes;
  const answers = await Promise.all(scopes.map(test));
  return scopes.filter((_scope, index) => answers[index]);
}
