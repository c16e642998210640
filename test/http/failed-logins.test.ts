// Guessing passwords over a real socket: slower with each guess, then refused, and nobody else is the worse for it.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import {
  type AuthHandler,
  basicChallenge,
  bearerChallenge,
  definePlugin,
  grantIf,
  OptionsError,
  parseCredentials,
  registry,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { z } from 'zod';
import { basic, password } from '../support/credentials.js';
import type { Answer } from '../support/http-client.js';
import { BARE, type OpenOptions, type OpenRegistry } from '../support/registry.js';
import { answered, json, refused } from './suite/answers.js';
import { type Suite, wireSuite } from './suite/index.js';

/** Timers may be early by a fraction of a millisecond. */
const EARLY = 2;

const RIGHT = password('right');

/** Everybody has the same password. Everybody may do everything but a token, which is never enough. */
const knowing = definePlugin({
  kind: 'auth',
  name: 'knowing',
  options: z.strictObject({ asked: z.custom<() => Promise<unknown>>() }),
  create: ({ asked }): AuthHandler => ({
    authorize: async (request) => {
      await asked();
      const credentials = parseCredentials(request.ctx.headers.authorization);
      if (credentials?.scheme === 'bearer') {
        throw bearerChallenge({ realm: 'https://a.example/', service: 'r', scopes: [] }, { error: 'invalid_token' });
      }
      if (credentials?.scheme !== 'basic') throw basicChallenge('r');
      if (credentials.user === 'limited') throw basicChallenge('r', { error: 'insufficient_scope' });
      if (credentials.password !== RIGHT) throw basicChallenge('r');
      return grantIf(request, { name: credentials.user }, () => true);
    },
  }),
});

const wrong = (user = 'alice', more: string | number = '') => basic(user, password(`wrong ${more}`));

/** Runs until something is so; the runner ends a test for which it never is. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(5);
}

const failedLoginsSuite: Suite = (test, open) => {
  /** A registry, and how often its handler was asked. */
  const guarded = async (limits: OpenOptions['failedLogins'], more: OpenOptions = {}) => {
    const calls = { count: 0, take: 0 };
    const asked = () => {
      calls.count += 1;
      return delay(calls.take);
    };
    const at = await open({ auth: knowing({ asked }), failedLogins: { delay: 0, ...limits }, ...more });
    return { at, calls };
  };

  const login = (at: OpenRegistry, headers: Readonly<Record<string, string>>) => at.send('GET', '/v2/', { headers });

  /** Asserts the refusal of whoever has guessed too often. */
  const tooMany = (answer: Answer, window: number) => {
    refused(answer, 429, 'TOOMANYREQUESTS');
    const seconds = Number(answer.headers['retry-after']);
    assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= window, answer.headers['retry-after']);
    assert.equal(answer.headers['www-authenticate'], undefined);
  };

  const failures = (at: OpenRegistry) => at.log.filter(({ message }) => message === 'login failed');

  test('a wrong password is answered later each time, and with a challenge still', async () => {
    const { at } = await guarded({ delay: 25, maxDelay: 1_000 });
    for (const pause of [25, 50, 100]) {
      const started = performance.now();
      const answer = await login(at, wrong());
      assert.ok(performance.now() - started >= pause - EARLY, `${pause} ms`);
      refused(answer, 401, 'UNAUTHORIZED');
      assert.equal(answer.headers['www-authenticate'], 'Basic realm="r"');
    }
  });

  test('past the limit the answer is 429, on every route and whatever the password', async () => {
    const { at, calls } = await guarded({ limit: 3, window: '5m' });
    for (let count = 0; count < 3; count += 1) refused(await login(at, wrong()), 401, 'UNAUTHORIZED');
    tooMany(await login(at, wrong()), 300);
    tooMany(await login(at, basic('alice', RIGHT)), 300);
    tooMany(await at.send('POST', '/v2/a/blobs/uploads/', { headers: wrong() }), 300);
    assert.equal(calls.count, 3);
    assert.deepEqual(await at.keys(), []);
  });

  test('after the window whoever was refused may try again', async () => {
    const { at } = await guarded({ limit: 1, window: '1s' });
    refused(await login(at, wrong()), 401, 'UNAUTHORIZED');
    tooMany(await login(at, basic('alice', RIGHT)), 1);
    await until(async () => (await login(at, basic('alice', RIGHT))).status === 200);
  });

  test('another name is not affected', async () => {
    const { at } = await guarded({ limit: 1 });
    refused(await login(at, wrong('alice')), 401, 'UNAUTHORIZED');
    tooMany(await login(at, wrong('alice')), 900);
    answered(await login(at, basic('bob', RIGHT)), 200);
    refused(await login(at, wrong('Alice')), 401, 'UNAUTHORIZED');
  });

  test('who has logged in before is served while others with that name are refused', async () => {
    const { at } = await guarded({ limit: 2 });
    answered(await login(at, basic('alice', RIGHT)), 200);
    for (let count = 0; count < 2; count += 1) refused(await login(at, wrong()), 401, 'UNAUTHORIZED');
    tooMany(await login(at, wrong()), 900);
    answered(await login(at, basic('alice', RIGHT)), 200);
    answered(await at.send('GET', '/v2/_catalog', { headers: basic('alice', RIGHT) }), 200);
    tooMany(await login(at, wrong()), 900);
  });

  test('a success in between begins anew', async () => {
    const { at } = await guarded({ limit: 2 });
    refused(await login(at, wrong()), 401, 'UNAUTHORIZED');
    answered(await login(at, basic('alice', RIGHT)), 200);
    for (let count = 0; count < 2; count += 1) refused(await login(at, wrong()), 401, 'UNAUTHORIZED');
    tooMany(await login(at, wrong()), 900);
  });

  test('of a hundred guesses at once no more than the limit allows reach the handler', async () => {
    const { at, calls } = await guarded({ limit: 10 });
    // Long enough for all of them to arrive meanwhile.
    calls.take = 50;
    const guesses = Array.from({ length: 100 }, (_, index) => login(at, wrong('alice', index)));
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 401).length, 10);
    assert.equal(statuses.filter((status) => status === 429).length, 90);
    assert.equal(calls.count, 10);
  });

  test('fifty clients that log in at once with the right password are all served', async () => {
    const { at } = await guarded({ limit: 2 });
    const answers = await Promise.all(Array.from({ length: 50 }, () => login(at, basic('alice', RIGHT))));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  });

  test('by option nobody counts', async () => {
    const { at, calls } = await guarded({ enabled: false, limit: 1 });
    for (let count = 0; count < 5; count += 1) refused(await login(at, wrong()), 401, 'UNAUTHORIZED');
    assert.equal(calls.count, 5);
    assert.deepEqual(failures(at), []);
  });

  test('tokens, anonymous and malformed requests, and rights that do not suffice are not counted', async () => {
    const { at, calls } = await guarded({ limit: 1 });
    const uncounted: readonly Readonly<Record<string, string>>[] = [
      { Authorization: 'Bearer canary.of.nobody' },
      {},
      { Authorization: 'Basic Og==' },
      { Authorization: 'Basic !' },
      { Authorization: 'Digest canary' },
      basic('limited', RIGHT),
    ];
    for (const headers of uncounted) {
      for (let count = 0; count < 3; count += 1) refused(await login(at, headers), 401, 'UNAUTHORIZED');
    }
    assert.equal(calls.count, uncounted.length * 3);
    assert.deepEqual(failures(at), []);
  });

  test('who is known and asks for what is not there has not failed to log in', async () => {
    const { at } = await guarded({ limit: 1 });
    for (let count = 0; count < 3; count += 1) {
      refused(await at.send('GET', '/v2/a/tags/list', { headers: basic('alice', RIGHT) }), 404, 'NAME_UNKNOWN');
    }
    assert.deepEqual(failures(at), []);
  });

  test('a client that goes away while it is held back leaves nothing', async () => {
    const { at } = await guarded({ delay: '10s', maxDelay: '10s', limit: 2 });
    const held = at.begin('GET', '/v2/', { headers: wrong() });
    held.request.end();
    await until(() => failures(at).length === 1);
    await held.abort();
    await until(() => at.log.some(({ message }) => message === 'request abandoned'));
    await at.registry.close();
    assert.deepEqual(at.errors, []);
  });

  test('its failure counts all the same', async () => {
    const { at } = await guarded({ delay: '10s', maxDelay: '10s', limit: 2 });
    for (let count = 1; count <= 2; count += 1) {
      const held = at.begin('GET', '/v2/', { headers: wrong() });
      held.request.end();
      await until(() => failures(at).length === count);
      await held.abort();
    }
    tooMany(await login(at, basic('alice', RIGHT)), 900);
  });

  test('closing lets an answer that is held back be sent', async () => {
    const { at } = await guarded({ delay: 300, maxDelay: 300 });
    const held = login(at, wrong());
    await until(() => failures(at).length === 1);
    const closing = at.registry.close();
    refused(await held, 401, 'UNAUTHORIZED');
    await closing;
  });

  test('no answer is held back for longer than closing waits', () => {
    const tooLong = () => registry({ storage: memory(), failedLogins: { maxDelay: '10001ms' } });
    assert.throws(
      tooLong,
      (error) => error instanceof OptionsError && error.problems[0]?.path === 'failedLogins.maxDelay',
    );
  });

  test('the log has the address and the number, and neither name nor password', async () => {
    const { at } = await guarded({ limit: 2 });
    const answers: Answer[] = [];
    for (let count = 0; count < 3; count += 1)
      answers.push(await login(at, wrong('canary-typed-into-the-wrong-field')));
    assert.deepEqual(
      failures(at).map(({ level, fields }) => [level, fields.address, fields.failures]),
      [
        ['info', '127.0.0.1', 1],
        ['info', '127.0.0.1', 2],
      ],
    );
    const [warning, ...others] = at.log.filter(({ message }) => message.startsWith('too many failed logins'));
    assert.deepEqual(others, []);
    assert.equal(warning?.level, 'warn');
    assert.deepEqual(
      [warning?.fields.address, warning?.fields.failures, warning?.fields.window],
      ['127.0.0.1', 2, 900_000],
    );
    for (const { fields } of failures(at)) assert.equal(typeof fields.requestId, 'string');
    const all = inspect([at.log, answers.map(({ body, headers }) => [body.toString(), headers])], {
      depth: 10,
      maxArrayLength: null,
      maxStringLength: null,
    });
    assert.ok(!all.includes('canary'));
    assert.ok(!all.includes(Buffer.from('canary').toString('base64').slice(0, 8)));
  });

  test('a proxy is believed where the application trusts it', async () => {
    const from = (address: string) => ({ 'X-Forwarded-For': address, ...wrong() });
    const { at } = await guarded({ limit: 1 }, { proxy: true });
    refused(await login(at, from('203.0.113.1')), 401, 'UNAUTHORIZED');
    tooMany(await login(at, from('203.0.113.1')), 900);
    tooMany(await login(at, from('::ffff:203.0.113.1')), 900);
    refused(await login(at, from('203.0.113.2')), 401, 'UNAUTHORIZED');
    refused(await login(at, from('2001:db8:0:1::1')), 401, 'UNAUTHORIZED');
    tooMany(await login(at, from('2001:db8:0:1:2:3:4:5')), 900);
    refused(await login(at, from('2001:db8:0:2::1')), 401, 'UNAUTHORIZED');
    refused(await login(at, wrong()), 401, 'UNAUTHORIZED');
    assert.deepEqual(
      failures(at).map(({ fields }) => fields.address),
      ['203.0.113.1', '203.0.113.2', '2001:db8:0:1::/64', '2001:db8:0:2::/64', '127.0.0.1'],
    );
  });

  test('what anybody may forge does not make it another address', async () => {
    const { at } = await guarded({ limit: 1 });
    const forged = (address: string) => ({ 'X-Forwarded-For': address, Forwarded: `for=${address}`, ...wrong() });
    refused(await login(at, forged('203.0.113.1')), 401, 'UNAUTHORIZED');
    tooMany(await login(at, forged('203.0.113.2')), 900);
    assert.equal(failures(at)[0]?.fields.address, '127.0.0.1');
  });

  test('two registries of one application count for themselves', async () => {
    const [one, other] = [await guarded({ limit: 1 }), await guarded({ limit: 1 })];
    refused(await login(one.at, wrong()), 401, 'UNAUTHORIZED');
    tooMany(await login(one.at, wrong()), 900);
    answered(await login(other.at, basic('alice', RIGHT)), 200);
  });

  test('the 429 says in its envelope what there were too many of', async () => {
    const { at } = await guarded({ limit: 1 });
    await login(at, wrong());
    assert.deepEqual(json(await login(at, wrong())), {
      errors: [
        { code: 'TOOMANYREQUESTS', message: 'too many requests', detail: { problem: 'too many failed logins' } },
      ],
    });
  });
};

wireSuite('failed logins', BARE, failedLoginsSuite);
