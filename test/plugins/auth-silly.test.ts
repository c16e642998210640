// `auth/silly`: everything for whoever says anything, a challenge for whoever does not.
import assert from 'node:assert/strict';
import { OptionsError } from 'koa-registry';
import { silly } from 'koa-registry/plugins/auth/silly';
import { answered, empty, json, refused } from '../http/suite/answers.js';
import { wireSuite } from '../http/suite/index.js';
import { index, NOWHERE, pushBlob, pushManifest } from '../support/content.js';
import { basic, password } from '../support/credentials.js';
import { BARE } from '../support/registry.js';

const auth = silly({ realm: 'https://login.example/token', service: 'a "quoted" service' });

wireSuite('auth/silly', BARE, (test, open) => {
  test('nobody is challenged, with the scopes that the request needs', async () => {
    const at = await open({ auth });
    const challenge = 'Bearer realm="https://login.example/token",service="a \\"quoted\\" service"';
    for (const headers of [{}, { Authorization: '' }, basic('', '')]) {
      const answer = await at.send('GET', '/v2/', { headers });
      refused(answer, 401, 'UNAUTHORIZED');
      assert.equal(answer.headers['www-authenticate'], challenge);
      const push = await at.send('POST', '/v2/a/b/blobs/uploads/', { headers });
      refused(push, 401, 'UNAUTHORIZED');
      assert.equal(push.headers['www-authenticate'], `${challenge},scope="repository:a/b:pull,push"`);
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('whatever Authorization says, everything is granted to silly', async () => {
    const bare = await open();
    const digest = await pushBlob(bare, 'source', 'x');
    await pushManifest(bare, 'source', index([]));
    const at = await open({ auth, driver: bare.storage });
    for (const Authorization of [basic('alice', password('alice')).Authorization, 'Bearer x', 'gibberish']) {
      const headers = { Authorization };
      answered(await at.send('GET', '/v2/', { headers }), 200);
      assert.deepEqual(json(await at.send('GET', '/v2/_catalog', { headers })), { repositories: ['source'] });
      const mount = `/v2/target/blobs/uploads/?mount=${digest}&from=source`;
      empty(await at.send('POST', mount, { headers }), 201);
      refused(await at.send('DELETE', `/v2/a/manifests/${NOWHERE}`, { headers }), 404, 'MANIFEST_UNKNOWN');
    }
    const refusals = at.log.filter(({ message }) => message === 'request refused');
    assert.deepEqual(new Set(refusals.map(({ fields }) => fields.actor)), new Set(['silly']));
  });

  test('the log says that it protects nothing', async () => {
    const at = await open({ auth });
    await at.registry.ready();
    assert.ok(at.log.some(({ level, message }) => level === 'warn' && /protects nothing/.test(message)));
  });

  test('realm and service are needed, and must be fit for a header', async () => {
    const problems = async (options: Parameters<typeof silly>[0]) => {
      const error: unknown = await open({ auth: silly(options) }).catch((thrown: unknown) => thrown);
      return error instanceof OptionsError ? error.problems.map(({ path }) => path) : error;
    };
    assert.deepEqual(await problems({} as never), ['auth.silly.realm', 'auth.silly.service']);
    assert.deepEqual(await problems({ realm: 'a\nb', service: 'ü' }), ['auth.silly.realm', 'auth.silly.service']);
  });
});
