// A grant for a known caller: everything that is required, or DENIED.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { RegistryError } from '../../lib/errors.js';
import { formatScopes, parseScopes, type Scope } from '../../lib/model/index.js';
import { type Allows, grantIf } from '../../lib/plugin/index.js';

const ACTOR = { name: 'alice', groups: ['ops'] };
const PULL: Allows = ({ action }) => action === 'pull';

const asked = (required: string, optional = '') => ({
  required: required.split(' ').flatMap(parseScopes),
  optional: optional.split(' ').flatMap(parseScopes),
});

test('a grant says who it is, and which of the optional scopes are allowed', async () => {
  const grant = await grantIf(asked('repository:a:pull', 'repository:b:pull,push repository:c:pull'), ACTOR, PULL);
  assert.equal(grant.actor, ACTOR);
  assert.equal(formatScopes(grant.granted), 'repository:b:pull repository:c:pull');
  assert.equal(grant.allows, PULL);
});

test('where nothing is required it is enough to be known', async () => {
  const never: Allows = () => assert.fail('nothing to ask for');
  const grant = await grantIf(asked(''), ACTOR, never);
  assert.deepEqual(grant, { actor: ACTOR, granted: [], allows: never });
});

test('an anonymous grant has no actor', async () => {
  const grant = await grantIf(asked('repository:a:pull'), undefined, PULL);
  assert.equal(grant.actor, undefined);
});

test('whoever may not is DENIED, with all that is missing, and with the actor for the log', async () => {
  await assert.rejects(
    grantIf(asked('repository:a:pull,push,delete', 'repository:b:pull'), ACTOR, PULL),
    (error: unknown) => {
      assert.ok(error instanceof RegistryError);
      assert.equal(error.code, 'DENIED');
      assert.equal(error.status, 403);
      assert.equal(error.actor, ACTOR);
      const { missing } = error.detail as { missing: readonly Scope[] };
      assert.equal(formatScopes(missing), 'repository:a:push,delete');
      return true;
    },
  );
});

test('what is not yet known is waited for, and all of it at once', async () => {
  let waiting = 0;
  let answerAll = () => {};
  const allAsked = new Promise<void>((resolve) => {
    answerAll = resolve;
  });
  const allows: Allows = async ({ action }) => {
    waiting += 1;
    if (waiting === 2) answerAll();
    await allAsked;
    return action === 'pull';
  };
  await assert.rejects(grantIf(asked('repository:a:pull,push'), ACTOR, allows), { code: 'DENIED' });
  assert.equal(waiting, 2);
});

test('what asking throws is passed on, for an outage is no answer', async () => {
  const outage = new RegistryError('UNAVAILABLE');
  const allows: Allows = () => Promise.reject(outage);
  for (const request of [asked('repository:a:pull'), asked('', 'repository:a:pull')]) {
    await assert.rejects(grantIf(request, ACTOR, allows), (error) => error === outage);
  }
});

test.run();
