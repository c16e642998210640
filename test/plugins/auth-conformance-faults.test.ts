// The suite for auth handlers, tested itself: over the shortest handler that keeps every promise, and
// over handlers that break one promise each, which have to fail at that promise.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type AccessRequest,
  type AuthHandler,
  basicChallenge,
  bearerChallenge,
  definePlugin,
  type Grant,
  grantIf,
  type PluginHost,
  parseCredentials,
  RegistryError,
} from 'koa-registry';
import { type AuthSetup, authHandlerSuite } from 'koa-registry/conformance';
import { suite } from 'uvu';
import { z } from 'zod';
import { may, userOf, WITH_PASSWORDS } from './auth-conformance-callers.js';

type Authorize = (request: AccessRequest, host: PluginHost) => Promise<Grant> | Grant;

const challenge = () => basicChallenge('conformance');
const credentialsOf = ({ ctx }: AccessRequest) => parseCredentials(ctx.headers.authorization);
const isFor = ({ required }: AccessRequest, action: string) => required.some((scope) => scope.action === action);

/** Keeps every promise. */
const soundly: Authorize = (request) => {
  const user = userOf(credentialsOf(request));
  if (user === undefined) throw challenge();
  return grantIf(request, { name: user }, (scope) => may(user, scope));
};

function setupOf(create: (host: PluginHost) => AuthHandler, more: Partial<AuthSetup> = {}): AuthSetup {
  const options = z.strictObject({});
  const ledger = definePlugin({ kind: 'auth', name: 'ledger', options, create: (_, host) => create(host) });
  return { auth: ledger(), callers: WITH_PASSWORDS, ...more };
}

function deciding(authorize: Authorize, more: Partial<AuthSetup> = {}): () => AuthSetup {
  return () => setupOf((host) => ({ authorize: (request) => authorize(request, host) }), more);
}

const sound = suite('the auth suite over a sound handler');
authHandlerSuite(sound, deciding(soundly));
sound.run();

/** The suite's tests, each to be run when it is wanted. */
function casesOver(open: () => AuthSetup): ReadonlyMap<string, () => Promise<void>> {
  const cases = new Map<string, () => Promise<void>>();
  authHandlerSuite((name, body) => cases.set(name, body), open);
  return cases;
}

/** A handler that everybody shares who has ever been sent the same. */
const shared: AuthHandler = { authorize: (request) => soundly(request, {} as PluginHost) };

let lastUser: string | undefined;
const lockedOut = new WeakSet<PluginHost>();

/** A promise, and a handler that breaks it. */
const FAULTS: readonly (readonly [promise: string, open: () => AuthSetup])[] = [
  [
    'anonymous: GET /v2/ is challenged, so that clients find out how to log in',
    deciding((request, host) => {
      if (request.required.length === 0) return { granted: [] };
      return soundly(request, host);
    }),
  ],
  [
    'anonymous: every kind of request is challenged but those that anybody may make, and none changes anything',
    deciding((request, host) => {
      if (credentialsOf(request) === undefined && isFor(request, 'delete')) return { granted: [] };
      return soundly(request, host);
    }),
  ],
  [
    'anonymous: a Bearer challenge names every scope that the request needs',
    deciding(({ required }) => {
      const scopes = required.slice(0, 1);
      throw bearerChallenge({ realm: 'http://127.0.0.1/token', service: 'conformance', scopes });
    }),
  ],
  [
    'anonymous: empty Basic credentials are those of nobody',
    deciding((request, host) => {
      if (request.ctx.headers.authorization === 'Basic Og==') throw basicChallenge('somebody else');
      return soundly(request, host);
    }),
  ],
  [
    'wrong credentials: 401 with a challenge on every kind of request, also where anybody may pull',
    deciding(
      (request, host) => {
        // Whoever has not proved who it is counts as nobody.
        const [scope] = request.required;
        if (isFor(request, 'pull') && request.required.length === 1 && scope !== undefined && may('reader', scope)) {
          return { granted: [] };
        }
        return soundly(request, host);
      },
      { anonymous: 'pull' },
    ),
  ],
  [
    'wrong credentials: whoever has the right ones is not shut out by them',
    deciding((request, host) => {
      if (lockedOut.has(host)) throw challenge();
      if (userOf(credentialsOf(request)) === undefined) lockedOut.add(host);
      return soundly(request, host);
    }),
  ],
  [
    'malformed credentials: 401 with a challenge, never a fault and never a grant',
    deciding((request, host) => {
      const [, value = ''] = request.ctx.get('Authorization').split('Bearer ');
      if (value.split('.').length === 3) JSON.parse(Buffer.from(value.split('.')[0] ?? '', 'base64url').toString());
      return soundly(request, host);
    }),
  ],
  [
    'writer: pushes, pulls, lists and deletes',
    deciding((request, host) => {
      if (isFor(request, 'delete')) throw new RegistryError('DENIED');
      return soundly(request, host);
    }),
  ],
  [
    'writer: finds its repositories in the catalogue',
    deciding((request, host) => {
      if (isFor(request, '*')) throw new RegistryError('DENIED');
      return soundly(request, host);
    }),
  ],
  [
    'writer: mounts a blob from the other repository',
    deciding(async (request, host) => ({ ...(await soundly(request, host)), granted: [], allows: () => false })),
  ],
  [
    'writer: is refused where it has no right',
    deciding((request) => {
      const user = userOf(credentialsOf(request));
      if (user === undefined) throw challenge();
      return { actor: { name: user }, granted: request.optional };
    }),
  ],
  [
    'writer: a mount from where it may not pull is answered as one of a blob that is not there',
    deciding(async (request, host) => ({ ...(await soundly(request, host)), granted: request.optional })),
  ],
  [
    'reader: pulls',
    deciding((request, host) => {
      if (request.ctx.method === 'HEAD' && userOf(credentialsOf(request)) === 'reader') throw challenge();
      return soundly(request, host);
    }),
  ],
  [
    'reader: may neither push nor delete, and nothing of it stays',
    deciding((request, host) => {
      const user = userOf(credentialsOf(request));
      if (user === 'reader' && isFor(request, 'push')) return { actor: { name: user }, granted: [] };
      return soundly(request, host);
    }),
  ],
  [
    'stranger: is known, and may do nothing that not everybody may',
    deciding(async (request, host) => {
      try {
        return await soundly(request, host);
      } catch {
        // A client would ask its user for a password again and again.
        throw challenge();
      }
    }),
  ],
  [
    'catalogue: shows nobody what it may not pull, where the handler can say so',
    deciding(async (request, host) => ({ ...(await soundly(request, host)), allows: () => true })),
  ],
  ['log: names the actor of a request', deciding(async (request) => ({ granted: request.required }))],
  [
    'log: holds nothing of a credential, nor do answers',
    deciding((request, host) => {
      const credentials = credentialsOf(request);
      if (credentials?.scheme === 'basic' && userOf(credentials) === undefined) {
        host.logger.info({ user: credentials.user }, 'login failed');
      }
      return soundly(request, host);
    }),
  ],
  [
    'at once: each of many requests is its own caller’s',
    deciding(async (request, host) => {
      lastUser = userOf(credentialsOf(request));
      for (let turns = 0; turns < 10; turns++) await turn();
      const grant = await soundly(request, host);
      return lastUser === undefined ? grant : { ...grant, actor: { name: lastUser } };
    }),
  ],
  [
    'at once: callers who go away before they are answered harm nobody',
    deciding(async (request, host) => {
      for (let turns = 0; turns < 30; turns++) await turn();
      if (request.signal.aborted) throw new Error('too slow');
      return soundly(request, host);
    }),
  ],
  [
    'health: is well while what it depends on is',
    () =>
      setupOf((host) => ({
        authorize: (request) => soundly(request, host),
        check: () => Promise.reject(new Error('not well')),
      })),
  ],
  [
    'close: a closed registry has closed its handler, once, without complaint, and answers nobody',
    () =>
      setupOf((host) => ({
        authorize: (request) => soundly(request, host),
        close: () => Promise.reject(new Error('cannot close')),
      })),
  ],
  [
    'close: two registries with the same plugin have a handler each, and one outlives the other',
    () => setupOf(() => shared),
  ],
];

const faults = suite('the auth suite over handlers that break a promise');

for (const [promise, open] of FAULTS) {
  faults(promise, async () => {
    const body = casesOver(open).get(promise) ?? assert.fail('no such test');
    await assert.rejects(body(), (error) => error instanceof assert.AssertionError);
  });
}

faults('there is a fault for each test of the suite', () => {
  assert.deepEqual(
    FAULTS.map(([promise]) => promise),
    [...casesOver(deciding(soundly)).keys()],
  );
});

faults('a skip that names no test is an error, so that none outlives its test', () => {
  assert.throws(() => authHandlerSuite(faults, deciding(soundly), { 'no such promise': 'why not' }), /no such promise/);
});

faults('a skip keeps its test from running, and says why', () => {
  const [[promise] = ['']] = FAULTS;
  const skipped: string[] = [];
  const registered: string[] = [];
  const register = Object.assign((name: string) => registered.push(name), {
    skip: (name: string) => skipped.push(name),
  });
  authHandlerSuite(register, deciding(soundly), { [promise]: 'for a reason' });
  assert.deepEqual(skipped, [`${promise} (for a reason)`]);
  assert.equal(registered.length, FAULTS.length - 1);
});

faults('what the setup has started is ended after each test, also where it fails', async () => {
  let ended = 0;
  const close = async () => void ended++;
  const cases = casesOver(deciding(() => ({ granted: [] }), { close }));
  for (const body of cases.values()) await body().catch(() => undefined);
  assert.equal(ended, cases.size);
});

faults.run();
