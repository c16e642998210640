// Who may do what: every route against every kind of caller, in one table. What is refused changes
// nothing in the store; what is allowed gets the answer that it gets without access control.
import assert from 'node:assert/strict';
import { createHmac, createPublicKey } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import bcrypt from 'bcrypt';
import type { Plugin, StorageDriver } from 'koa-registry';
import { chain } from 'koa-registry/plugins/auth/chain';
import { htpasswd } from 'koa-registry/plugins/auth/htpasswd';
import { rules } from 'koa-registry/plugins/auth/rules';
import { token } from 'koa-registry/plugins/auth/token';
import { test } from 'uvu';
import { type Access, routes } from '../../lib/http/routes.js';
import { content, digestOf, index, NOWHERE, OCI_INDEX, pushBlob, pushImage } from '../support/content.js';
import { basic, password } from '../support/credentials.js';
import type { Answer, RequestOptions } from '../support/http-client.js';
import { keysBelow, type OpenRegistry, openRegistry, startStorage } from '../support/registry.js';
import { tempFolder } from '../support/temp-folder.js';
import { bearer, ISSUER, SERVICE, TokenIssuer, tampered, unsigned } from '../support/tokens.js';
import { answered, json } from './suite/answers.js';
import { beginUpload } from './suite/uploads.js';

const REPOSITORY = 'team/app';
const REALM = 'https://auth.example/token';
const TITLE = 'Team';

/** What is answered in place of the handler's own answer. */
interface Refusal {
  readonly status: 401 | 403;
  readonly code: 'UNAUTHORIZED' | 'DENIED';
  /** What the challenge says of the credentials. */
  readonly error?: 'invalid_token' | 'insufficient_scope';
}

/** The handler answers. */
const ok = undefined;
/** Say who you are: both ways to do so. */
const who: Refusal = { status: 401, code: 'UNAUTHORIZED' };
/** That is no valid token. */
const bad: Refusal = { status: 401, code: 'UNAUTHORIZED', error: 'invalid_token' };
/** It is, and not for this: get another. */
const few: Refusal = { status: 401, code: 'UNAUTHORIZED', error: 'insufficient_scope' };
/** I know you, and not you. */
const no: Refusal = { status: 403, code: 'DENIED' };

const CALLERS = [
  'anonymous',
  'malformed',
  'wrong password',
  'unknown user',
  'reader',
  'reader of another',
  'read-only token',
  'token for another',
  'expired',
  'future',
  'tampered',
  'wrong audience',
  'wrong issuer',
  'unknown key',
  'stolen kid',
  'alg none',
  'public key as secret',
  'valid token',
  'valid password',
] as const;

type Caller = (typeof CALLERS)[number];
type Row = readonly [request: string, allowed: number, ...cells: (Refusal | undefined)[]];

// biome-ignore format: a table
const TABLE: readonly Row[] = [
  //                                                       nobody              | somebody          | with a token that is none                    | all rights
  //                                                       ano  mal  wrg  unk  | rea  oth  r-o  oth| exp  fut  tam  aud  iss  key  kid  non  pub  | tok pwd
  ['GET    /',                                        200, ok,  ok,  ok,  ok,   ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,   ok, ok],
  ['HEAD   /',                                        200, ok,  ok,  ok,  ok,   ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,  ok,   ok, ok],
  ['GET    /v2/',                                     200, who, who, who, who,  ok,  ok,  ok,  ok,  bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['HEAD   /v2/',                                     200, who, who, who, who,  ok,  ok,  ok,  ok,  bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['GET    /v2/_catalog',                             200, who, who, who, who,  ok,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['HEAD   /v2/_catalog',                             200, who, who, who, who,  ok,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['GET    /v2/:name/manifests/:reference',           200, who, who, who, who,  ok,  no,  ok,  few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['HEAD   /v2/:name/manifests/:reference',           200, who, who, who, who,  ok,  no,  ok,  few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['PUT    /v2/:name/manifests/:reference',           201, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['DELETE /v2/:name/manifests/:reference',           202, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['POST   /v2/:name/blobs/uploads/',                 202, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['GET    /v2/:name/blobs/uploads/:session',         204, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['HEAD   /v2/:name/blobs/uploads/:session',         204, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['PATCH  /v2/:name/blobs/uploads/:session',         202, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['PUT    /v2/:name/blobs/uploads/:session',         201, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['DELETE /v2/:name/blobs/uploads/:session',         204, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['GET    /v2/:name/blobs/:digest',                  200, who, who, who, who,  ok,  no,  ok,  few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['HEAD   /v2/:name/blobs/:digest',                  200, who, who, who, who,  ok,  no,  ok,  few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['DELETE /v2/:name/blobs/:digest',                  202, who, who, who, who,  no,  no,  few, few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['GET    /v2/:name/tags/list',                      200, who, who, who, who,  ok,  no,  ok,  few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['HEAD   /v2/:name/tags/list',                      200, who, who, who, who,  ok,  no,  ok,  few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['GET    /v2/:name/referrers/:digest',              200, who, who, who, who,  ok,  no,  ok,  few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
  ['HEAD   /v2/:name/referrers/:digest',              200, who, who, who, who,  ok,  no,  ok,  few, bad, bad, bad, bad, bad, bad, bad, bad, bad,  ok, ok],
];

/** What a challenge has to ask for, by what a route needs. */
const SCOPES: Readonly<Record<Access, string>> = {
  none: '',
  base: '',
  catalog: 'registry:catalog:*',
  pull: `repository:${REPOSITORY}:pull`,
  push: `repository:${REPOSITORY}:pull,push`,
  delete: `repository:${REPOSITORY}:delete`,
};

const BLOB = content(100, 7);

/** Another one each time, so that there is something to change. */
let indexes = 0;
const nextIndex = () => index([], { annotations: { number: String(indexes++) } });

interface Prepared extends RequestOptions {
  readonly path: string;
}

/** Makes there be what a request is about, and says how it is asked for. `open` is open to everybody. */
const PREPARE: Readonly<Record<string, (open: OpenRegistry) => Promise<Prepared>>> = {
  '/': async () => ({ path: '/' }),
  '/v2/': async () => ({ path: '/v2/' }),
  '/v2/_catalog': async () => ({ path: '/v2/_catalog' }),
  '/v2/:name/manifests/:reference': async (open) => {
    await pushImage(open, REPOSITORY, 'latest');
    return { path: `/v2/${REPOSITORY}/manifests/latest` };
  },
  'PUT /v2/:name/manifests/:reference': async () => {
    const body = nextIndex();
    return { path: `/v2/${REPOSITORY}/manifests/${digestOf(body)}`, headers: { 'Content-Type': OCI_INDEX }, body };
  },
  '/v2/:name/blobs/uploads/': async () => ({ path: `/v2/${REPOSITORY}/blobs/uploads/` }),
  '/v2/:name/blobs/uploads/:session': async (open) => ({ path: await beginUpload(open, REPOSITORY) }),
  'PATCH /v2/:name/blobs/uploads/:session': async (open) => ({ path: await beginUpload(open, REPOSITORY), body: BLOB }),
  'PUT /v2/:name/blobs/uploads/:session': async (open) => ({
    path: `${await beginUpload(open, REPOSITORY)}&digest=${digestOf(BLOB)}`,
    body: BLOB,
  }),
  '/v2/:name/blobs/:digest': async (open) => ({
    path: `/v2/${REPOSITORY}/blobs/${await pushBlob(open, REPOSITORY, 'a blob')}`,
  }),
  '/v2/:name/tags/list': async (open) => {
    await pushImage(open, REPOSITORY, 'latest');
    return { path: `/v2/${REPOSITORY}/tags/list` };
  },
  '/v2/:name/referrers/:digest': async () => ({ path: `/v2/${REPOSITORY}/referrers/${NOWHERE}` }),
};

type Headers = Readonly<Record<string, string>>;

/** The claims of a valid token, signed as though the public key were a shared secret. */
function signedByPublicKey(valid: string, { jwks, kid }: TokenIssuer): string {
  const [, payload = ''] = valid.split('.');
  const [jwk = {}] = jwks.keys;
  const pem = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const header = Buffer.from(JSON.stringify({ typ: 'JWT', alg: 'HS256', kid })).toString('base64url');
  const signature = createHmac('sha256', pem).update(`${header}.${payload}`).digest('base64url');
  return `${header}.${payload}.${signature}`;
}

/** What each caller sends. */
async function credentialsOf(issuer: TokenIssuer): Promise<Readonly<Record<Caller, Headers>>> {
  const all = `repository:${REPOSITORY}:pull,push,delete registry:catalog:*`;
  const now = Math.floor(Date.now() / 1000);
  const valid = await issuer.sign(all);
  const stranger = await TokenIssuer.create();
  const thief = await TokenIssuer.create({ kid: issuer.kid });
  const signed = async (scopes: string, claims: object = {}) => bearer(await issuer.sign(scopes, { ...claims }));
  return {
    anonymous: {},
    malformed: { Authorization: 'Basic canary!' },
    'wrong password': basic('alice', password('wrong')),
    'unknown user': basic('mallory', password('alice')),
    reader: basic('reader', password('reader')),
    'reader of another': basic('other', password('other')),
    'read-only token': await signed(`repository:${REPOSITORY}:pull`),
    'token for another': await signed('repository:team/other:pull,push,delete repository:team:pull'),
    expired: await signed(all, { iat: now - 900, nbf: now - 900, exp: now - 600 }),
    future: await signed(all, { nbf: now + 600, exp: now + 900 }),
    tampered: bearer(tampered(await issuer.sign(`repository:${REPOSITORY}:pull`))),
    'wrong audience': await signed(all, { aud: 'another-service' }),
    'wrong issuer': await signed(all, { iss: 'another-issuer' }),
    'unknown key': bearer(await stranger.sign(all)),
    'stolen kid': bearer(await thief.sign(all)),
    'alg none': bearer(unsigned(valid)),
    'public key as secret': bearer(signedByPublicKey(valid, issuer)),
    'valid token': bearer(valid),
    'valid password': basic('alice', password('alice')),
  };
}

/** Tokens, or passwords of a file: alice may everything, the others may read. */
async function handlerFor(issuer: TokenIssuer): Promise<Plugin<'auth'>> {
  const folder = tempFolder();
  const [jwks, users] = [join(folder, 'jwks.json'), join(folder, 'users')];
  await writeFile(jwks, JSON.stringify(issuer.jwks));
  const entries = ['alice', 'reader', 'other'].map((name) => `${name}:${bcrypt.hashSync(password(name), 4)}\n`);
  await writeFile(users, entries.join(''));
  return chain({
    handlers: [
      token({ realm: REALM, service: SERVICE, issuer: ISSUER, jwks }),
      rules({
        handler: htpasswd({ realm: TITLE, path: users }),
        rules: [
          { users: ['alice'], actions: ['*'], catalog: true },
          { users: ['reader'], repositories: [REPOSITORY], actions: ['pull'], catalog: true },
          { users: ['other'], repositories: ['team/other/**'], actions: ['*'] },
        ],
      }),
    ],
  });
}

/** All that is stored. */
async function snapshot(storage: StorageDriver): Promise<Readonly<Record<string, string>>> {
  const keys = await keysBelow(storage);
  const contents = await Promise.all(keys.map(async (key) => (await storage.get(key)).toString('base64')));
  return Object.fromEntries(keys.map((key, at) => [key, contents[at] ?? '']));
}

/** Two registries over one store: one that asks who is there, and one that lets tests prepare what they need. */
interface Scene {
  readonly open: OpenRegistry;
  readonly guarded: OpenRegistry;
  readonly credentials: Readonly<Record<Caller, Headers>>;
}

async function setScene(): Promise<Scene> {
  const issuer = await TokenIssuer.create();
  const driver = await startStorage();
  const shared = { driver, http: { secret: 'of both' }, metadata: { enabled: true } };
  const open = await openRegistry(undefined, shared);
  const auth = await handlerFor(issuer);
  const guarded = await openRegistry(undefined, { ...shared, auth, failedLogins: { enabled: false } });
  return { open, guarded, credentials: await credentialsOf(issuer) };
}

function assertRefused(answer: Answer, { status, code, error }: Refusal, scope: string, isHead: boolean): void {
  answered(answer, status);
  if (isHead) assert.equal(answer.body.length, 0);
  else assert.equal(json<{ errors: { code: string }[] }>(answer).errors[0]?.code, code);
  const challenge = answer.headers['www-authenticate'];
  const parts = [`realm="${REALM}"`, `service="${SERVICE}"`];
  if (scope !== '') parts.push(`scope="${scope}"`);
  if (error !== undefined) parts.push(`error="${error}"`);
  // Whoever has a token that does not suffice is known already, and needs no password.
  const ways = error === 'insufficient_scope' ? [] : [`Basic realm="${TITLE}"`];
  assert.equal(challenge, status === 403 ? undefined : [`Bearer ${parts.join(',')}`, ...ways].join(', '));
}

let scene: Scene;
test.before(async () => {
  scene = await setScene();
});
test.after(async () => {
  await scene.guarded.close();
  await scene.open.close();
});

for (const [request, allowed, ...cells] of TABLE) {
  const [method = '', pattern = ''] = request.split(/ +/);
  const access = routes.find(
    (route) => route.path === pattern && route.method === method.replace('HEAD', 'GET'),
  )?.access;

  test(`${method} ${pattern}`, async () => {
    const { open, guarded, credentials } = scene;
    const prepare = PREPARE[`${method} ${pattern}`] ?? PREPARE[pattern];
    assert.ok(prepare !== undefined && access !== undefined, 'a row without a route');
    assert.equal(cells.length, CALLERS.length);
    for (const [at, caller] of CALLERS.entries()) {
      const { path, headers, ...prepared } = await prepare(open);
      const before = await snapshot(guarded.storage);
      const answer = await guarded.send(method, path, { ...prepared, headers: { ...headers, ...credentials[caller] } });
      const refusal = cells[at];
      try {
        if (refusal === undefined) answered(answer, allowed);
        else assertRefused(answer, refusal, SCOPES[access], method === 'HEAD');
        const after = await snapshot(guarded.storage);
        if (refusal !== undefined || /GET|HEAD/.test(method)) assert.deepEqual(after, before);
        else assert.notDeepEqual(after, before);
      } catch (error) {
        throw Object.assign(error as Error, { message: `${caller}: ${(error as Error).message}` });
      }
    }
  });
}

test('every route has a row, and every row a route', () => {
  const asked = routes.flatMap(({ method, path }) =>
    (method === 'GET' ? ['GET', 'HEAD'] : [method]).map((each) => `${each} ${path}`),
  );
  assert.deepEqual(TABLE.map(([request]) => request.replace(/ +/, ' ')).sort(), asked.sort());
});

test('nothing that was sent as a credential is in the log', () => {
  const { guarded, credentials } = scene;
  const text = JSON.stringify(guarded.log, (_key, value) =>
    value instanceof Error ? { ...value, message: value.message, stack: value.stack, cause: value.cause } : value,
  );
  assert.ok(guarded.log.length > TABLE.length);
  assert.ok(!text.includes('canary'));
  for (const { Authorization = 'Basic canary' } of Object.values(credentials)) {
    const [, value = ''] = Authorization.split(' ');
    for (const part of value.split('.').filter((each) => each !== '')) assert.ok(!text.includes(part), part);
  }
  assert.deepEqual(guarded.errors, []);
});

test.run();
