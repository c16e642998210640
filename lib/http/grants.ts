// What a grant says beyond the request that it was given for.
import type { Grant } from '../contracts/index.js';
import type { RepositoryName } from '../model/repository-name.js';
import { type Scope, sameScope } from '../model/scope.js';

/** Everybody may do everything: a registry without an auth handler. */
export const OPEN: Grant = { granted: [], allows: () => true };

export function pullScope(name: RepositoryName): Scope {
  return { type: 'repository', name, action: 'pull' };
}

/** Whether the caller may also do what the route did not require. */
export async function mayAlso(grant: Grant, scope: Scope): Promise<boolean> {
  if (grant.granted.some((granted) => sameScope(granted, scope))) return true;
  return (await grant.allows?.(scope)) ?? false;
}
