// `/token`, both ways in which clients ask: GET with a name and a password (Docker "Token Authentication
// Specification"), and POST as OAuth 2 has it (Docker "OAuth2 Token Authentication"; RFC 6749).
import type { Context, Middleware } from 'koa';
import { formatScopes, parseCredentials } from 'koa-registry';
import getRawBody from 'raw-body';
import { type AccessToken, type Issuer, issueToken } from './access-tokens.js';
import type { RefreshTokens } from './refresh-tokens.js';
import type { User, Users } from './users.js';

export interface TokenEndpoint {
  readonly issuer: Issuer;
  readonly users: Users;
  readonly refreshTokens: RefreshTokens;
}

/** `GET /token?service=&scope=&scope=&account=&client_id=&offline_token=`: the password is in the header. */
export function getToken({ issuer, users, refreshTokens }: TokenEndpoint): Middleware {
  return async (ctx) => {
    const query = new URLSearchParams(ctx.querystring);
    if (query.get('service') !== issuer.service) return refuse(ctx, 400, 'invalid_request');
    const user = await whoAsks(ctx, users);
    if (user === undefined) {
      ctx.set('WWW-Authenticate', 'Basic realm="token server"');
      return refuse(ctx, 401, 'invalid_client');
    }
    const token = await issueToken(issuer, user, query.getAll('scope'));
    const offline = query.get('offline_token') === 'true' && user !== users.anonymous;
    answer(ctx, issuer, token, {
      token: token.token,
      ...(offline && { refresh_token: refreshTokens.issue(user.name) }),
    });
  };
}

/** `POST /token`: everything is in the form, the password or a refresh token. */
export function postToken({ issuer, users, refreshTokens }: TokenEndpoint): Middleware {
  return async (ctx) => {
    const form = new URLSearchParams(await getRawBody(ctx.req, { limit: '16kb', encoding: 'utf8' }));
    const said = (name: string) => form.get(name) ?? '';
    if (said('service') !== issuer.service) return refuse(ctx, 400, 'invalid_request');
    const refreshToken = said('refresh_token');
    let user: User | undefined;
    if (said('grant_type') === 'password') user = await users.login(said('username'), said('password'));
    else if (said('grant_type') === 'refresh_token') user = users.named(refreshTokens.nameOf(refreshToken) ?? '');
    else return refuse(ctx, 400, 'unsupported_grant_type');
    if (user === undefined) return refuse(ctx, 401, 'invalid_grant');

    const token = await issueToken(issuer, user, form.getAll('scope'));
    // Whoever came with one keeps it.
    const offline = said('access_type') === 'offline' ? refreshTokens.issue(user.name) : undefined;
    const kept = said('grant_type') === 'refresh_token' ? refreshToken : offline;
    answer(ctx, issuer, token, {
      scope: formatScopes(token.granted),
      ...(kept !== undefined && { refresh_token: kept }),
    });
  };
}

/** `undefined` for credentials that are wrong or cannot be read: those are not nobody's. */
async function whoAsks(ctx: Context, users: Users): Promise<User | undefined> {
  const credentials = parseCredentials(ctx.headers.authorization);
  if (credentials === undefined) return users.anonymous;
  return credentials.scheme === 'basic' ? users.login(credentials.user, credentials.password) : undefined;
}

function answer(ctx: Context, { lifetime }: Issuer, { token, issuedAt }: AccessToken, more: object): void {
  ctx.set('Cache-Control', 'no-store');
  ctx.body = { access_token: token, expires_in: lifetime / 1000, issued_at: issuedAt.toISOString(), ...more };
}

/** RFC 6749, section 5.2. */
function refuse(ctx: Context, status: 400 | 401, error: string): void {
  ctx.status = status;
  ctx.body = { error };
}
