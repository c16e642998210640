// `auth/chain`: who is asked, who decides, and what a caller hears whom nobody knows.
import assert from 'node:assert/strict';
import {
  type AuthHandler,
  basicChallenge,
  bearerChallenge,
  Challenge,
  definePlugin,
  grantIf,
  OptionsError,
  type Plugin,
  parseCredentials,
  RegistryError,
} from 'koa-registry';
import { chain } from 'koa-registry/plugins/auth/chain';
import { z } from 'zod';
import { answered, refused } from '../http/suite/answers.js';
import { wireSuite } from '../http/suite/index.js';
import { basic, password } from '../support/credentials.js';
import { BARE } from '../support/registry.js';

/** What a handler of a test does; each call is noted under its name. */
interface Part extends Partial<AuthHandler> {
  readonly name: string;
  readonly asked?: string[];
}

const part = definePlugin({
  kind: 'auth',
  name: 'part',
  options: z.strictObject({ part: z.custom<Part>() }),
  create: ({ part: { name, asked, authorize, ...more } }): AuthHandler => ({
    authorize(request) {
      asked?.push(name);
      return authorize?.(request) ?? assert.fail('not to be asked');
    },
    ...more,
  }),
});

const of = (given: Part): Plugin<'auth'> => part({ part: given });

const throwing = (name: string, error: unknown, asked: string[] = []) =>
  of({
    name,
    asked,
    authorize: () => {
      throw error;
    },
  });

/** Knows one user, by name and password. */
const knowing = (user: string, asked: string[] = []) =>
  of({
    name: user,
    asked,
    authorize: (request) => {
      const sent = parseCredentials(request.ctx.headers.authorization);
      if (sent?.scheme !== 'basic' || sent.user !== user || sent.password !== password(user)) {
        throw basicChallenge(`for ${user}`);
      }
      return grantIf(request, { name: user }, ({ name }) => name === user);
    },
  });

const as = (user: string, pass = password(user)) => ({ headers: basic(user, pass) });

wireSuite('auth/chain', BARE, (test, open) => {
  test('handlers are asked in order, up to the first that grants', async () => {
    const asked: string[] = [];
    const auth = chain({ handlers: ['alice', 'bob', 'carol'].map((user) => knowing(user, asked)) });
    const at = await open({ auth });
    answered(await at.send('GET', '/v2/', as('bob')), 200);
    assert.deepEqual(asked.splice(0), ['alice', 'bob']);
    answered(await at.send('GET', '/v2/', as('alice')), 200);
    assert.deepEqual(asked.splice(0), ['alice']);
    refused(await at.send('GET', '/v2/carol/tags/list', as('carol')), 404, 'NAME_UNKNOWN');
    assert.deepEqual(asked, ['alice', 'bob', 'carol']);
  });

  test('one that knows the caller and denies has decided', async () => {
    const asked: string[] = [];
    const at = await open({ auth: chain({ handlers: [knowing('alice', asked), knowing('bob', asked)] }) });
    refused(await at.send('GET', '/v2/bob/tags/list', as('alice')), 403, 'DENIED');
    assert.deepEqual(asked, ['alice']);
  });

  test('a token that does not suffice is not shown to the next', async () => {
    const known = { realm: 'r', service: 's', scopes: [] };
    const handlers = [
      throwing('token', bearerChallenge(known, { error: 'insufficient_scope' })),
      of({ name: 'never' }),
    ];
    const at = await open({ auth: chain({ handlers }) });
    const answer = await at.send('GET', '/v2/');
    refused(answer, 401, 'UNAUTHORIZED');
    assert.equal(answer.headers['www-authenticate'], 'Bearer realm="r",service="s",error="insufficient_scope"');
  });

  test('whom nobody knows is offered every way once, in order', async () => {
    const handlers = [
      throwing('a', new Challenge(['Bearer realm="a"', 'Basic realm="b"'])),
      throwing('b', basicChallenge('b')),
      throwing('c', basicChallenge('c', { error: 'invalid_token', headers: { 'X-Hint': 'c' } })),
    ];
    const at = await open({ auth: chain({ handlers }) });
    for (const headers of [{}, basic('mallory', password('mallory'))]) {
      const answer = await at.send('GET', '/v2/a/tags/list', { headers });
      refused(answer, 401, 'UNAUTHORIZED');
      assert.equal(answer.headers['www-authenticate'], 'Bearer realm="a", Basic realm="b", Basic realm="c"');
      assert.equal(answer.headers['x-hint'], 'c');
    }
  });

  test('the first error and the first detail of all challenges are that of the chain', async () => {
    const handlers = [
      throwing('a', basicChallenge('a')),
      throwing('b', new Challenge('Bearer', { problem: 'expired' }, { error: 'invalid_token' })),
      throwing('c', new Challenge('Other', { problem: 'other' })),
    ];
    const seen: unknown[] = [];
    const outer = definePlugin({
      kind: 'auth',
      name: 'outer',
      options: z.strictObject({}),
      create: async (_options, host) => {
        const inner = await host.start(chain({ handlers }));
        const authorize: AuthHandler['authorize'] = async (request) => {
          try {
            return await inner.authorize(request);
          } catch (error) {
            seen.push(error);
            throw error;
          }
        };
        return { authorize };
      },
    });
    const at = await open({ auth: outer() });
    const [entry] = refused(await at.send('GET', '/v2/'), 401, 'UNAUTHORIZED');
    assert.deepEqual(entry?.detail, { problem: 'expired' });
    const [thrown] = seen;
    assert.ok(thrown instanceof Challenge);
    assert.equal(thrown.error, 'invalid_token');
  });

  test('wrong credentials do not become somebody else’s', async () => {
    const at = await open({
      auth: chain({ handlers: [knowing('alice'), knowing('bob')] }),
      failedLogins: { enabled: false },
    });
    for (const [user, pass] of [['alice', 'bob'] as const, ['bob', 'alice'] as const, ['', 'alice'] as const]) {
      refused(await at.send('GET', '/v2/', as(user, password(pass))), 401, 'UNAUTHORIZED');
    }
    refused(await at.send('GET', '/v2/', { headers: { Authorization: 'Basic ?' } }), 401, 'UNAUTHORIZED');
  });

  test('a backend that is away is 503, unless another handler knows the caller', async () => {
    const away = throwing('away', new RegistryError('UNAVAILABLE'));
    const stranger = throwing('stranger', new Challenge('Basic realm="a"'));
    const knowing: Part = { name: 'knowing', authorize: () => ({ granted: [] }) };
    const asking = (handlers: Plugin<'auth'>[]) => open({ auth: chain({ handlers }) });
    refused(await (await asking([away, stranger])).send('GET', '/v2/', as('alice')), 503, 'UNAVAILABLE');
    answered(await (await asking([away, of(knowing)])).send('GET', '/v2/', as('alice')), 200);
  });

  test('a handler that fails, or answers nothing, is a fault', async () => {
    const forgotten: Part = { name: 'forgotten', authorize: () => Promise.resolve(undefined as never) };
    for (const first of [throwing('broken', new Error('broken')), of(forgotten)]) {
      const at = await open({ auth: chain({ handlers: [first, of({ name: 'never' })] }) });
      refused(await at.send('GET', '/v2/', as('alice')), 500, 'UNKNOWN');
    }
  });

  test('health is that of every handler which can tell; all are closed', async () => {
    const closed: string[] = [];
    let well = true;
    const check = async () => {
      if (!well) throw new RegistryError('UNAVAILABLE');
    };
    const closing = (name: string) => ({ name, close: async () => void closed.push(name) });
    const handlers = [of(closing('a')), of({ ...closing('b'), check }), of({ ...closing('c'), check })];
    const at = await open({ auth: chain({ handlers }) });
    await at.registry.ready();
    assert.equal((await at.registry.health()).ok, true);
    well = false;
    assert.equal((await at.registry.health()).ok, false);
    await at.registry.close();
    assert.deepEqual(closed, ['c', 'b', 'a']);
  });

  test('where none can tell, nor can the chain', async () => {
    const at = await open({ auth: chain({ handlers: [knowing('alice')] }) });
    await at.registry.ready();
    assert.ok(!Object.keys((await at.registry.health()).checks).includes('auth'));
  });

  test('a chain has a handler; what is wrong with one is said with its place', async () => {
    const problems = async (auth: Plugin<'auth'>) => {
      const error: unknown = await open({ auth }).catch((thrown: unknown) => thrown);
      return error instanceof OptionsError ? error.problems.map(({ path }) => path) : error;
    };
    assert.deepEqual(await problems(chain({ handlers: [] })), ['auth.chain.handlers']);
    const nested = chain({ handlers: [knowing('alice'), chain({ handlers: [] })] });
    assert.deepEqual(await problems(nested), ['auth.chain.handlers[1].chain.handlers']);
  });
});
