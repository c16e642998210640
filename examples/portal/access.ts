// Who may do what in the registry: a browser with a session, or a client with a personal token.
import { type Credentials, grantIf, type Plugin, parseCredentials, type Scope } from 'koa-registry';
import { host } from 'koa-registry/plugins/auth/host';
import type { PersonalTokens } from './tokens.js';

/** Everybody who is logged in may pull everything and see what there is; what is below somebody's name is theirs. */
function may(user: string, { type, name, action }: Scope): boolean {
  return type === 'registry' || action === 'pull' || name.startsWith(`${user}/`);
}

/** Clients send a token as the password of its owner's name. */
function ownerOf(tokens: PersonalTokens, credentials: Credentials): string | undefined {
  if (credentials.scheme !== 'basic') return undefined;
  const { user, password } = credentials;
  return tokens.belongs(user, password) ? user : undefined;
}

export function portalAccess(tokens: PersonalTokens): Plugin<'auth'> {
  return host({
    realm: 'Portal',
    authorize: (ctx, access) => {
      const credentials = parseCredentials(ctx.headers.authorization);
      // A wrong token is wrong, though there be a session.
      const user: string | undefined = credentials ? ownerOf(tokens, credentials) : ctx.state.user;
      if (user === undefined) return null;
      return grantIf(access, { name: user }, (scope) => may(user, scope));
    },
  });
}
