// Scopes: what a request needs to be allowed (Docker "Token Scope Documentation").

export type ScopeType = 'repository' | 'registry';

/** An action on a resource: `repository:library/alpine:pull`, `registry:catalog:*`. */
export interface Scope {
  readonly type: ScopeType;
  readonly name: string;
  readonly action: string;
}

/** `type:name:action[,action]` of the token specification; one {@link Scope} for each action. */
export function parseScopes(text: string): Scope[] {
  const first = text.indexOf(':');
  const last = text.lastIndexOf(':');
  const type = text.slice(0, first).replace(/\([a-z0-9]+\)$/, '');
  if (first < 0 || first === last || (type !== 'repository' && type !== 'registry')) return [];
  const name = text.slice(first + 1, last);
  const actions = text.slice(last + 1).split(',');
  return actions.filter((action) => action !== '').map((action) => ({ type, name, action }));
}

/** Joins the scopes of one resource: `repository:a:pull,push repository:b:pull`. */
export function formatScopes(scopes: readonly Scope[]): string {
  const actions = new Map<string, string[]>();
  for (const { type, name, action } of scopes) {
    const resource = `${type}:${name}`;
    const known = actions.get(resource);
    if (known === undefined) actions.set(resource, [action]);
    else if (!known.includes(action)) known.push(action);
  }
  return [...actions].map(([resource, list]) => `${resource}:${list.join(',')}`).join(' ');
}

export function sameScope(a: Scope, b: Scope): boolean {
  return a.type === b.type && a.name === b.name && a.action === b.action;
}
