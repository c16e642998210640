// The auth step: what a handler is asked, and what becomes of its answers.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import {
  type AccessRequest,
  type AuthHandler,
  bearerChallenge,
  Challenge,
  DriverError,
  definePlugin,
  formatScopes,
  grantIf,
  parseScopes,
  RegistryError,
  type StorageDriver,
  sameScope,
} from 'koa-registry';
import { z } from 'zod';
import { digestOf, index, NOWHERE, pushBlob, pushManifest } from '../../support/content.js';
import { basic, password } from '../../support/credentials.js';
import type { Answer } from '../../support/http-client.js';
import { type LogLine, type OpenRegistry, startStorage } from '../../support/registry.js';
import { answered, empty, json, refused } from './answers.js';
import type { Suite } from './index.js';

/** Asks a function of the test. */
const asking = definePlugin({
  kind: 'auth',
  name: 'asking',
  options: z.strictObject({ authorize: z.custom<AuthHandler['authorize']>() }),
  create: ({ authorize }): AuthHandler => ({ authorize }),
});

/** Grants a caller what the header `X-Scopes` says, and challenges one that has none. */
const byHeader = asking({
  authorize({ required, optional, ctx }) {
    if (ctx.headers['x-scopes'] === undefined) throw new Challenge(['Bearer realm="a"', 'Basic realm="b"']);
    const held = parseScopes(ctx.get('X-Scopes')).concat(ctx.get('X-Scopes').split(' ').flatMap(parseScopes));
    const holds = (scope: AccessRequest['required'][number]) => held.some((other) => sameScope(other, scope));
    if (!required.every(holds)) throw new RegistryError('DENIED');
    return { granted: optional.filter(holds), allows: holds };
  },
});

const scopes = (text: string) => ({ headers: { 'X-Scopes': text } });

const SESSION = '/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000';

/** What each request must be granted, and what would be used beside. */
const NEEDS: readonly (readonly [request: string, required: string, optional?: string])[] = [
  ['GET /v2/', ''],
  ['GET /v2/_catalog', 'registry:catalog:*'],
  ['GET /v2/a/b/manifests/latest', 'repository:a/b:pull'],
  ['HEAD /v2/a/b/manifests/latest', 'repository:a/b:pull'],
  ['PUT /v2/a/b/manifests/latest', 'repository:a/b:pull,push'],
  ['DELETE /v2/a/b/manifests/latest', 'repository:a/b:delete'],
  [`GET /v2/a/b/blobs/${NOWHERE}`, 'repository:a/b:pull'],
  [`DELETE /v2/a/b/blobs/${NOWHERE}`, 'repository:a/b:delete'],
  ['POST /v2/a/b/blobs/uploads/', 'repository:a/b:pull,push'],
  [`POST /v2/a/b/blobs/uploads/?mount=${NOWHERE}&from=c`, 'repository:a/b:pull,push', 'repository:c:pull'],
  [`POST /v2/a/b/blobs/uploads/?mount=${NOWHERE}&from=..`, 'repository:a/b:pull,push'],
  [`GET ${SESSION}`, 'repository:a/b:pull,push'],
  [`PATCH ${SESSION}`, 'repository:a/b:pull,push'],
  [`PUT ${SESSION}`, 'repository:a/b:pull,push'],
  [`DELETE ${SESSION}`, 'repository:a/b:pull,push'],
  ['GET /v2/a/b/tags/list', 'repository:a/b:pull'],
  [`GET /v2/a/b/referrers/${NOWHERE}`, 'repository:a/b:pull'],
];

/** The one line of the log with this message. */
function lineOf(at: OpenRegistry, message: string): LogLine {
  const [line, ...others] = at.log.filter((each) => each.message === message);
  assert.deepEqual(others, []);
  return line ?? assert.fail(`nothing was logged of "${message}"`);
}

/** All that a client gets to see. */
function told({ headers, body }: Answer): string {
  return JSON.stringify(headers) + body.toString('utf8');
}

export const authSuite: Suite = (test, open) => {
  test('a handler is asked once a request, for what the route needs', async () => {
    const asked: AccessRequest[] = [];
    const authorize = (request: AccessRequest) => {
      asked.push(request);
      return { granted: [] };
    };
    const at = await open({ auth: asking({ authorize }) });
    for (const [request, required, optional = ''] of NEEDS) {
      const [method = '', path = ''] = request.split(' ');
      await at.send(method, path);
      const [only, ...more] = asked.splice(0);
      assert.equal(more.length, 0, request);
      assert.equal(formatScopes(only?.required ?? []), required, request);
      assert.equal(formatScopes(only?.optional ?? []), optional, request);
      assert.equal(only?.ctx.method, method);
      assert.equal(typeof only?.signal.aborted, 'boolean');
    }
  });

  test('a path that is none, or a bad name, is not asked for', async () => {
    const authorize = () => assert.fail('asked');
    const at = await open({ auth: asking({ authorize }) });
    refused(await at.send('GET', '/v2/nothing'), 404, 'NAME_UNKNOWN');
    refused(await at.send('GET', '/v2/A/tags/list'), 400, 'NAME_INVALID');
  });

  test('a challenge is 401 with every WWW-Authenticate, on every route', async () => {
    const at = await open({ auth: byHeader });
    for (const [request] of NEEDS) {
      const [method = '', path = ''] = request.split(' ');
      const answer = await at.send(method, path);
      assert.equal(answer.headers['www-authenticate'], 'Bearer realm="a", Basic realm="b"', request);
      if (method === 'HEAD') assert.equal(answered(answer, 401).body.length, 0);
      else refused(answer, 401, 'UNAUTHORIZED');
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('a caller who is known and may not is 403', async () => {
    const at = await open({ auth: byHeader });
    refused(await at.send('GET', '/v2/a/tags/list', scopes('repository:b:pull')), 403, 'DENIED');
    refused(await at.send('POST', '/v2/a/blobs/uploads/', scopes('repository:a:pull')), 403, 'DENIED');
    refused(await at.send('GET', '/v2/_catalog', scopes('repository:a:pull')), 403, 'DENIED');
    answered(await at.send('GET', '/v2/', scopes('')), 200);
    empty(await at.send('POST', '/v2/a/blobs/uploads/', scopes('repository:a:pull,push')), 202);
  });

  test('who may not push is told before the body is read', async () => {
    const at = await open({ auth: byHeader });
    const { answer, abort } = at.begin('PUT', '/v2/a/manifests/v1', { headers: { 'Content-Length': '1000' } });
    const outgoing = at.begin('PATCH', SESSION, { headers: { 'Content-Length': '1000' } });
    outgoing.request.flushHeaders();
    refused(await outgoing.answer, 401, 'UNAUTHORIZED');
    await outgoing.abort();
    await abort();
    await answer.catch(() => undefined);
  });

  test('whether deletion is on is told only to whoever may delete', async () => {
    const at = await open({ auth: byHeader, delete: { enabled: false } });
    refused(await at.send('DELETE', '/v2/a/manifests/v1'), 401, 'UNAUTHORIZED');
    refused(await at.send('DELETE', '/v2/a/manifests/v1', scopes('repository:a:delete')), 405, 'UNSUPPORTED');
  });

  test('a mount needs the right to pull its source; without it there is no difference to a blob that is not there', async () => {
    const open_ = await open();
    const digest = await pushBlob(open_, 'source', 'secret');
    const at = await open({ auth: byHeader, driver: open_.storage });
    const target = 'repository:target:pull,push';
    const mount = `/v2/target/blobs/uploads/?mount=${digest}`;
    empty(await at.send('POST', `${mount}&from=source`, scopes(target)), 202);
    // The registry has seen the blob there, and still does not give it away.
    answered(await at.send('GET', `/v2/source/blobs/${digest}`, scopes('repository:source:pull')), 200);
    empty(await at.send('POST', mount, scopes(target)), 202);
    refused(await at.send('GET', `/v2/target/blobs/${digest}`, scopes(target)), 404, 'BLOB_UNKNOWN');
    empty(await at.send('POST', mount, scopes(`${target} repository:source:pull`)), 201);
    answered(await at.send('GET', `/v2/target/blobs/${digest}`, scopes(target)), 200);
  });

  test('a mount whose source was granted as optional is done', async () => {
    const open_ = await open();
    const digest = await pushBlob(open_, 'source', 'shared');
    const authorize = ({ optional }: AccessRequest) => ({ granted: optional });
    const at = await open({ auth: asking({ authorize }), driver: open_.storage });
    empty(await at.send('POST', `/v2/target/blobs/uploads/?mount=${digest}&from=source`), 201);
  });

  test('the catalogue shows what the caller may pull, in whole pages', async () => {
    const open_ = await open();
    for (const name of ['a', 'b', 'c', 'd', 'e']) await pushManifest(open_, name, index([]));
    const at = await open({ auth: byHeader, driver: open_.storage });
    const mine = scopes('registry:catalog:* repository:b:pull repository:d:pull repository:e:pull repository:a:push');
    const first = answered(await at.send('GET', '/v2/_catalog?n=2', mine), 200);
    assert.deepEqual(json(first), { repositories: ['b', 'd'] });
    const second = await at.send('GET', '/v2/_catalog?n=2&last=d', mine);
    assert.deepEqual(json(second), { repositories: ['e'] });
    assert.equal(second.headers.link, undefined);
  });

  test('a handler that cannot say who may pull what shows all of it', async () => {
    const open_ = await open();
    for (const name of ['a', 'b']) await pushManifest(open_, name, index([]));
    const authorize = () => ({ granted: [] });
    const at = await open({ auth: asking({ authorize }), driver: open_.storage });
    assert.deepEqual(json(await at.send('GET', '/v2/_catalog')), { repositories: ['a', 'b'] });
  });

  test('codes and headers of a handler reach the client', async () => {
    const authorize = () => {
      throw new RegistryError('TOOMANYREQUESTS', undefined, { headers: { 'Retry-After': '7' } });
    };
    const at = await open({ auth: asking({ authorize }) });
    const answer = await at.send('GET', '/v2/');
    refused(answer, 429, 'TOOMANYREQUESTS');
    assert.equal(answer.headers['retry-after'], '7');
  });

  test('a handler that fails is 500, says nothing to the client, and everything to the application', async () => {
    const failure = new Error(`the password is ${digestOf('secret')}`);
    const authorize = () => Promise.reject(failure);
    const at = await open({ auth: asking({ authorize }) });
    const answer = await at.send('GET', '/v2/');
    refused(answer, 500, 'UNKNOWN');
    assert.ok(!answer.body.includes('password'));
    assert.deepEqual(at.errors, [failure]);
    assert.ok(at.log.some(({ level, fields }) => level === 'error' && fields.err === failure));
  });

  test('the log of a request says who made it, also where it is refused or fails', async () => {
    const away = () => Promise.reject<never>(new DriverError('unavailable', '', { cause: new Error('away') }));
    const driver: StorageDriver = { ...(await startStorage()), stat: away, get: away };
    const authorize = () => ({ actor: { name: 'alice', groups: ['ops'] }, granted: [] });
    const answers: Answer[] = [];
    const well = await open({ auth: asking({ authorize }) });
    answers.push(await well.send('GET', '/v2/a/tags/list'));
    refused(answers[0] as Answer, 404, 'NAME_UNKNOWN');
    const ill = await open({ auth: asking({ authorize }), driver });
    answers.push(await ill.send('GET', `/v2/a/blobs/${NOWHERE}`));
    refused(answers[1] as Answer, 503, 'UNAVAILABLE');
    const [refusal, failure] = [lineOf(well, 'request refused'), lineOf(ill, 'backend unavailable')];
    assert.deepEqual([refusal.level, refusal.fields.actor], ['debug', 'alice']);
    assert.deepEqual([failure.level, failure.fields.actor], ['error', 'alice']);
    for (const answer of answers) assert.ok(!told(answer).includes('alice'));
  });

  test('the log says who is DENIED, and the answer does not', async () => {
    const authorize = (request: AccessRequest) =>
      grantIf(request, { name: 'mallory' }, ({ action }) => action === 'pull');
    const at = await open({ auth: asking({ authorize }) });
    const answer = await at.send('POST', '/v2/a/blobs/uploads/');
    const [only] = refused(answer, 403, 'DENIED');
    assert.deepEqual(only?.detail, { missing: [{ type: 'repository', name: 'a', action: 'push' }] });
    assert.ok(!told(answer).includes('mallory'));
    const { level, fields } = lineOf(at, 'request refused');
    assert.deepEqual([level, fields.actor, fields.code, fields.status], ['debug', 'mallory', 'DENIED', 403]);
    assert.deepEqual(await at.keys(), []);
  });

  test('a caller whom nobody knows has no name in the log', async () => {
    const at = await open({ auth: byHeader });
    refused(await at.send('GET', '/v2/'), 401, 'UNAUTHORIZED');
    refused(await at.send('GET', '/v2/a/tags/list', scopes('')), 403, 'DENIED');
    refused(await at.send('GET', '/v2/a/tags/list', scopes('repository:a:pull')), 404, 'NAME_UNKNOWN');
    const refusals = at.log.filter(({ message }) => message === 'request refused');
    assert.equal(refusals.length, 3);
    for (const { fields } of refusals) assert.ok(!('actor' in fields));
  });

  test('what was wrong with a token is told in the challenge, and its actor in the log alone', async () => {
    for (const error of ['invalid_token', 'insufficient_scope'] as const) {
      const authorize = ({ required }: AccessRequest) => {
        throw bearerChallenge(
          { realm: 'https://auth.example/token', service: 'r', scopes: required },
          { error, actor: { name: 'alice' }, cause: new Error('the reason') },
        );
      };
      const at = await open({ auth: asking({ authorize }) });
      const answer = await at.send('POST', '/v2/a/blobs/uploads/', { headers: { Authorization: 'Bearer canary' } });
      refused(answer, 401, 'UNAUTHORIZED');
      assert.equal(
        answer.headers['www-authenticate'],
        `Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull,push",error="${error}"`,
      );
      assert.ok(!/alice|reason/.test(told(answer)));
      assert.equal(lineOf(at, 'request refused').fields.actor, 'alice');
      assert.ok(!inspect(at.log, { depth: 10 }).includes('canary'));
    }
  });

  test('an outage of what the handler asks is 503, and no challenge', async () => {
    const authorize = () =>
      Promise.reject(new RegistryError('UNAVAILABLE', undefined, { cause: new Error('ldap is away') }));
    const at = await open({ auth: asking({ authorize }) });
    const answer = await at.send('GET', '/v2/', { headers: basic('alice', password('of an outage')) });
    refused(answer, 503, 'UNAVAILABLE');
    assert.equal(answer.headers['www-authenticate'], undefined);
    assert.match(String(answer.headers['retry-after']), /^\d+$/);
    assert.ok(!told(answer).includes('ldap'));
    assert.equal(lineOf(at, 'backend unavailable').level, 'error');
  });

  test('a registry without a handler says in the log that it is open to all', async () => {
    const [bare, guarded] = [await open(), await open({ auth: byHeader })];
    const says = (at: typeof bare) => at.log.some(({ level, message }) => level === 'warn' && /auth/.test(message));
    assert.ok(says(bare));
    assert.ok(!says(guarded));
  });
};
