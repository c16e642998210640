// The two challenges that registry clients understand, written as their specifications ask.
import { Challenge, type ChallengeOptions } from '../errors.js';
import { formatScopes, type Scope } from '../model/scope.js';

/** What a `Bearer` challenge says (Docker "Token Authentication Specification"; RFC 6750, section 3). */
export interface BearerParameters {
  /** Where the client gets a token. */
  readonly realm: string;
  /** For whom the token has to be made out. */
  readonly service: string;
  /** What the token has to allow; empty where it is enough that there is one. */
  readonly scopes: readonly Scope[];
}

/**
 * "Log in with a name and a password."
 *
 * @param realm what the login is for, as a person may get to see it: printable ASCII.
 * @see RFC 7617, section 2
 */
export function basicChallenge(realm: string, options: ChallengeOptions = {}): Challenge {
  return new Challenge(`Basic realm=${quoted(realm)}`, undefined, options);
}

/** "Get a token for this, and come back with it." What was wrong with the one that was sent is said by `error`. */
export function bearerChallenge(parameters: BearerParameters, options: ChallengeOptions = {}): Challenge {
  const { realm, service, scopes } = parameters;
  const said = [`realm=${quoted(realm)}`, `service=${quoted(service)}`];
  if (scopes.length > 0) said.push(`scope=${quoted(formatScopes(scopes))}`);
  if (options.error !== undefined) said.push(`error=${quoted(options.error)}`);
  return new Challenge(`Bearer ${said.join(',')}`, undefined, options);
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
