// The challenges that clients parse: written as RFC 9110, 7617, 6750 and the token specification ask.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { Challenge, type ChallengeError } from '../../lib/errors.js';
import { parseScopes } from '../../lib/model/index.js';
import { basicChallenge, bearerChallenge } from '../../lib/plugin/index.js';

const bearer = (scopes: string, error?: ChallengeError) =>
  bearerChallenge(
    {
      realm: 'https://auth.example/token',
      service: 'registry.example',
      scopes: scopes.split(' ').flatMap(parseScopes),
    },
    { error },
  );

test('a Basic challenge names its realm', () => {
  const challenge = basicChallenge('Registry');
  assert.ok(challenge instanceof Challenge);
  assert.deepEqual(challenge.challenges, ['Basic realm="Registry"']);
  assert.equal(challenge.status, 401);
  assert.equal(challenge.code, 'UNAUTHORIZED');
  assert.equal(challenge.error, undefined);
  assert.equal(challenge.detail, undefined);
});

test('a Bearer challenge says where to go, for whom and for what', () => {
  assert.deepEqual(bearer('').challenges, ['Bearer realm="https://auth.example/token",service="registry.example"']);
  assert.deepEqual(bearer('repository:a/b:pull,push registry:catalog:*').challenges, [
    'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push registry:catalog:*"',
  ]);
});

test('what was wrong with a token is said at the end, and on the challenge', () => {
  for (const error of ['invalid_token', 'insufficient_scope'] as const) {
    const challenge = bearer('repository:a:pull', error);
    assert.equal(challenge.error, error);
    assert.ok(challenge.challenges[0]?.endsWith(`,scope="repository:a:pull",error="${error}"`));
  }
  assert.ok(!bearer('repository:a:pull').challenges[0]?.includes('error'));
});

test('a Basic challenge carries its error, though Basic has no word for it', () => {
  const challenge = basicChallenge('Registry', { error: 'invalid_token' });
  assert.equal(challenge.error, 'invalid_token');
  assert.deepEqual(challenge.challenges, ['Basic realm="Registry"']);
});

test('quotes and backslashes are escaped, so that a value ends where it should', () => {
  assert.deepEqual(basicChallenge('the "best" \\ registry').challenges, ['Basic realm="the \\"best\\" \\\\ registry"']);
  const odd = bearerChallenge({ realm: 'https://a/",error="x', service: '\\"', scopes: [] });
  assert.deepEqual(odd.challenges, ['Bearer realm="https://a/\\",error=\\"x",service="\\\\\\""']);
});

test('what else an error may carry stays with the challenge', () => {
  const cause = new Error('expired');
  for (const challenge of [
    basicChallenge('a', { cause, actor: { name: 'alice' }, headers: { 'X-A': 'b' } }),
    bearerChallenge(
      { realm: 'a', service: 'b', scopes: [] },
      { cause, actor: { name: 'alice' }, headers: { 'X-A': 'b' } },
    ),
  ]) {
    assert.equal(challenge.cause, cause);
    assert.deepEqual(challenge.actor, { name: 'alice' });
    assert.deepEqual(challenge.headers, { 'X-A': 'b' });
  }
});

test.run();
