// `GET /v2/`, what every answer carries, and what lies below `/v2/` without being an endpoint.
import assert from 'node:assert/strict';
import { NOWHERE, pushImage } from '../../support/content.js';
import { answered, json, refused } from './answers.js';
import type { Suite } from './index.js';

export const baseSuite: Suite = (test, open) => {
  test('GET /v2/ answers 200 {}', async () => {
    const answer = answered(await (await open()).send('GET', '/v2/'), 200);
    assert.equal(answer.body.toString(), '{}');
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.headers['content-length'], '2');
  });

  test('GET /v2 is the same', async () => {
    const answer = answered(await (await open()).send('GET', '/v2'), 200);
    assert.equal(answer.body.toString(), '{}');
  });

  test('a query does not matter', async () => {
    const at = await open();
    answered(await at.send('GET', '/v2/?ns=docker.io'), 200);
    answered(await at.send('GET', '/v2?'), 200);
  });

  test('any other path below /v2/ is 404 in JSON', async () => {
    const at = await open();
    for (const path of ['/v2/nothing', '/v2/a/b/c', '/v2/a/tags', '/v2/a/tags/list/', '/v2/a/manifests/', '/v2//']) {
      refused(await at.send('GET', path), 404, 'NAME_UNKNOWN');
    }
  });

  test('request ids differ, and those of strangers are not believed', async () => {
    const at = await open();
    const headers = { 'X-Request-Id': 'mine' };
    const ids = await Promise.all([1, 2].map(async () => (await at.send('GET', '/v2/', { headers })).headers));
    assert.ok(!ids.some((answer) => answer['x-request-id'] === 'mine'));
    assert.notEqual(ids[0]?.['x-request-id'], ids[1]?.['x-request-id']);
  });

  test('a request id of a trusted proxy is kept, where it is one', async () => {
    const at = await open({ proxy: true });
    const ask = async (id: string) =>
      (await at.send('GET', '/v2/', { headers: { 'X-Request-Id': id } })).headers['x-request-id'];
    assert.equal(await ask('trace:1.a-b'), 'trace:1.a-b');
    assert.notEqual(await ask('a b'), 'a b');
    assert.match(String(await ask('x'.repeat(129))), /^[\da-f-]{36}$/);
  });

  test('headers of the options are on every answer', async () => {
    const at = await open({ http: { headers: { 'X-Content-Type-Options': 'nosniff' } } });
    for (const path of ['/v2/', '/v2/none', '/v2/none/tags/list']) {
      assert.equal((await at.send('GET', path)).headers['x-content-type-options'], 'nosniff');
    }
  });

  test('the log says once that the server cuts off slow uploads', async () => {
    const at = await open();
    for (let request = 0; request < 3; request++) await at.send('GET', '/v2/');
    const said = at.log.filter(({ message }) => message.includes('server.requestTimeout'));
    assert.deepEqual(
      said.map(({ level, fields }) => [level, fields.requestTimeout]),
      [['warn', 300_000]],
    );
  });

  test('a repository or a thing that is not there has its own code', async () => {
    const at = await open();
    refused(await at.send('GET', '/v2/none/tags/list'), 404, 'NAME_UNKNOWN');
    refused(await at.send('GET', '/v2/none/manifests/latest'), 404, 'MANIFEST_UNKNOWN');
    refused(await at.send('GET', `/v2/none/manifests/${NOWHERE}`), 404, 'MANIFEST_UNKNOWN');
    refused(await at.send('GET', `/v2/none/blobs/${NOWHERE}`), 404, 'BLOB_UNKNOWN');
  });

  test('many requests at once are each answered', async () => {
    const at = await open();
    await pushImage(at, 'busy', 'latest');
    const answers = await Promise.all(Array.from({ length: 40 }, () => at.send('GET', '/v2/busy/manifests/latest')));
    for (const answer of answers) assert.deepEqual(json(answer), json(answered(answers[0] ?? answer, 200)));
  });
};
