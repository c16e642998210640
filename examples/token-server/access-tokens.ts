// Access tokens as registries read them (Docker "Token Authentication Implementation"): what was asked
// for, as far as the user may do it. To get less than one asked for is no error here: the registry tells.
import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { parseScopes, type Scope } from 'koa-registry';
import type { SigningKeys } from './keys.js';
import type { User } from './users.js';

export interface AccessToken {
  readonly token: string;
  /** What it allows. */
  readonly granted: readonly Scope[];
  readonly issuedAt: Date;
}

export interface Issuer {
  /** The claim `iss`. */
  readonly name: string;
  /** The registry for which tokens are made out: the claim `aud`. */
  readonly service: string;
  /** In milliseconds. Clients count on at least a minute. */
  readonly lifetime: number;
  readonly keys: SigningKeys;
}

const ACTIONS = ['pull', 'push', 'delete'];

/** @param asked `repository:a/b:pull,push`, one or several in each element. */
export async function issueToken(issuer: Issuer, user: User, asked: readonly string[]): Promise<AccessToken> {
  const { kid, privateKey } = issuer.keys.current;
  const scopes = asked.flatMap((list) => list.split(' ')).flatMap(parseScopes);
  const granted = scopes.flatMap(spelledOut).filter(user.may);
  const issuedAt = new Date();
  const seconds = Math.floor(issuedAt.getTime() / 1000);
  const token = await new SignJWT({ access: accessOf(granted) })
    .setProtectedHeader({ typ: 'JWT', alg: 'ES256', kid })
    .setIssuer(issuer.name)
    .setSubject(user.name)
    .setAudience(issuer.service)
    .setIssuedAt(seconds)
    .setNotBefore(seconds)
    .setExpirationTime(seconds + issuer.lifetime / 1000)
    .setJti(randomUUID())
    .sign(privateKey);
  return { token, granted, issuedAt };
}

/** Clients that would delete ask for `*`: that was so before there was `delete`. */
function spelledOut(scope: Scope): readonly Scope[] {
  if (scope.type !== 'repository' || scope.action !== '*') return [scope];
  return ACTIONS.map((action) => ({ ...scope, action }));
}

/** The claim `access`: an entry for each resource. */
function accessOf(scopes: readonly Scope[]) {
  const entries = new Map<string, { type: string; name: string; actions: string[] }>();
  for (const { type, name, action } of scopes) {
    const resource = `${type}:${name}`;
    const entry = entries.get(resource) ?? { type, name, actions: [] };
    if (!entry.actions.includes(action)) entry.actions.push(action);
    entries.set(resource, entry);
  }
  return [...entries.values()];
}
