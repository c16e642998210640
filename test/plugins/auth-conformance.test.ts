// The published suite for auth handlers over every built-in one, with the handlers that they work with.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import bcrypt from 'bcrypt';
import { formatScopes, grantIf, type Plugin, parseCredentials, parseScopes } from 'koa-registry';
import { type AuthSetup, authHandlerSuite } from 'koa-registry/conformance';
import { chain } from 'koa-registry/plugins/auth/chain';
import { host } from 'koa-registry/plugins/auth/host';
import { htpasswd } from 'koa-registry/plugins/auth/htpasswd';
import { rules } from 'koa-registry/plugins/auth/rules';
import { silly } from 'koa-registry/plugins/auth/silly';
import { token } from 'koa-registry/plugins/auth/token';
import { suite } from 'uvu';
import { basic, password } from '../support/credentials.js';
import { announcing } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { bearer, ISSUER, SERVICE, TokenIssuer, tampered, unsigned } from '../support/tokens.js';
import {
  may,
  NAMES,
  REPOSITORIES,
  userOf,
  WITH_PASSWORDS,
  WRONG_PASSWORDS,
  withPassword,
} from './auth-conformance-callers.js';

const covered = new Set<string>();

/** Runs the suite over a setup of a built-in handler. */
function cover(
  name: string,
  what: string,
  open: () => AuthSetup | Promise<AuthSetup>,
  skips: Readonly<Record<string, string>> = {},
): void {
  covered.add(name);
  const title = `auth/${name}: conformance, ${what}`;
  const test = suite(title);
  authHandlerSuite(announcing(test, title), open, skips);
  test.run();
}

/** A file with the passwords of all callers, hashed as cheaply as bcrypt can. */
async function passwordFile(): Promise<Plugin<'auth'>> {
  const path = join(tempFolder(), 'users');
  const lines = NAMES.map((name) => `${name}:${bcrypt.hashSync(password(name), 4)}\n`);
  await writeFile(path, lines.join(''));
  return htpasswd({ realm: 'conformance', path });
}

const issuer = await TokenIssuer.create();
const stranger = await TokenIssuer.create();

/** A handler that trusts the issuer, by a file with its public key. */
async function tokens(): Promise<Plugin<'auth'>> {
  const jwks = join(tempFolder(), 'jwks.json');
  await writeFile(jwks, JSON.stringify(issuer.jwks));
  return token({ realm: 'http://127.0.0.1/token', service: SERVICE, issuer: ISSUER, jwks });
}

/** Asks for tokens as a client does, of an issuer that grants what the caller may do. */
function withToken(name: string) {
  const headers = async (scopes: string) => {
    const asked = scopes.split(' ').flatMap(parseScopes);
    const allowed = formatScopes(asked.filter((scope) => may(name, scope)));
    return bearer(await issuer.sign(allowed, { sub: name }));
  };
  return { actor: name, headers };
}

const EVERYTHING = [...REPOSITORIES.map((name) => `repository:${name}:pull,push,delete`), 'registry:catalog:*'].join(
  ' ',
);
const valid = await issuer.sign(EVERYTHING);
const now = Math.floor(Date.now() / 1000);

const WRONG_TOKENS = {
  'an expired token': bearer(await issuer.sign(EVERYTHING, { exp: now - 3600, iat: now - 7200, nbf: now - 7200 })),
  'a token of tomorrow': bearer(await issuer.sign(EVERYTHING, { nbf: now + 86_400, exp: now + 90_000 })),
  'a token for another service': bearer(await issuer.sign(EVERYTHING, { aud: 'another' })),
  'a token of another issuer': bearer(await issuer.sign(EVERYTHING, { iss: 'another' })),
  'a token of an unknown key': bearer(await stranger.sign(EVERYTHING)),
  'a token of another key of the same name': bearer(await stranger.sign(EVERYTHING, {}, { kid: issuer.kid })),
  'a tampered token': bearer(tampered(valid)),
  'an unsigned token': bearer(unsigned(valid)),
};

const WHOEVER_IS_KNOWN_MAY_DO_EVERYTHING = Object.fromEntries(
  [
    'writer: is refused where it has no right',
    'writer: a mount from where it may not pull is answered as one of a blob that is not there',
    'catalogue: shows nobody what it may not pull, where the handler can say so',
  ].map((promise) => [promise, 'whoever is known may do everything']),
);

cover(
  'htpasswd',
  'a file of users',
  async () => {
    const { writer, wrong } = WITH_PASSWORDS;
    return { auth: await passwordFile(), callers: { writer, wrong } };
  },
  WHOEVER_IS_KNOWN_MAY_DO_EVERYTHING,
);

cover('token', 'keys from a file', async () => ({
  auth: await tokens(),
  callers: {
    writer: withToken('writer'),
    reader: withToken('reader'),
    stranger: withToken('stranger'),
    wrong: { ...WRONG_TOKENS, 'a password': basic('writer', password('writer')) },
  },
}));

const SESSIONS: Readonly<Record<string, string>> = { 'canary-session-1': 'writer', 'canary-session-2': 'reader' };

cover('host', 'a session and personal passwords', () => ({
  auth: host({
    realm: 'conformance',
    authorize: (ctx, access) => {
      const user: string | undefined = ctx.state.user ?? userOf(parseCredentials(ctx.headers.authorization));
      return user === undefined ? null : grantIf(access, { name: user }, (scope) => may(user, scope));
    },
  }),
  before: [
    (ctx, next) => {
      const session = SESSIONS[ctx.cookies.get('session') ?? ''];
      // A session and another's credentials are no way to become the other.
      if (session !== undefined && ctx.headers.authorization === undefined) ctx.state.user = session;
      return next();
    },
  ],
  callers: {
    writer: { actor: 'writer', headers: { Cookie: 'session=canary-session-1' } },
    reader: { actor: 'reader', headers: { Cookie: 'session=canary-session-2' } },
    stranger: withPassword('stranger'),
    wrong: { ...WRONG_PASSWORDS, 'an unknown session': { Cookie: 'session=canary-session-3' } },
  },
  secrets: Object.keys(SESSIONS),
}));

const RULES = [
  { users: ['writer'], repositories: REPOSITORIES, actions: ['*' as const], catalog: true },
  { groups: ['readers'], repositories: REPOSITORIES, actions: ['pull' as const] },
  { authenticated: true, catalog: true },
];

cover('rules', 'over htpasswd', async () => ({
  auth: rules({ handler: await passwordFile(), rules: RULES, groups: { readers: ['reader'] } }),
  callers: WITH_PASSWORDS,
}));

cover('rules', 'where anybody may pull', async () => {
  const everybody = { anonymous: true, repositories: REPOSITORIES, actions: ['pull' as const] };
  return {
    auth: rules({ handler: await passwordFile(), rules: [everybody, ...RULES] }),
    callers: WITH_PASSWORDS,
    anonymous: 'pull',
  };
});

cover('rules', 'over tokens', async () => ({
  auth: rules({ handler: await tokens(), rules: RULES, groups: { readers: ['reader'] } }),
  callers: { writer: withToken('writer'), reader: withToken('reader'), wrong: WRONG_TOKENS },
}));

cover('chain', 'tokens, and then passwords', async () => ({
  auth: chain({
    handlers: [await tokens(), rules({ handler: await passwordFile(), rules: RULES, groups: { readers: ['reader'] } })],
  }),
  callers: {
    writer: withToken('writer'),
    reader: withPassword('reader'),
    stranger: withPassword('stranger'),
    wrong: { ...WRONG_TOKENS, ...WRONG_PASSWORDS },
  },
}));

cover(
  'silly',
  'whoever says anything',
  () => ({
    auth: silly({ realm: 'http://127.0.0.1/token', service: SERVICE }),
    callers: { writer: { actor: 'silly', headers: bearer('canary-whatever-it-is') }, wrong: {} },
  }),
  {
    'malformed credentials: 401 with a challenge, never a fault and never a grant':
      'it grants everything for any header',
    ...WHOEVER_IS_KNOWN_MAY_DO_EVERYTHING,
  },
);

const test = suite('auth: conformance');

test('every built-in handler passes the suite', () => {
  const folder = fileURLToPath(new URL('../../plugins/auth/', import.meta.url));
  const files = readdirSync(folder).filter((name) => name.endsWith('.js'));
  assert.deepEqual(files.map((name) => name.replace(/\.js$/, '')).sort(), [...covered].sort());
});

test.run();
