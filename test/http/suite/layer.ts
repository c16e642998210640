// A layer handler: blobs that reach the client without passing through the registry.
import assert from 'node:assert/strict';
import { type AuthHandler, Challenge, definePlugin, type LayerHandler } from 'koa-registry';
import { z } from 'zod';
import { digestOf, NOWHERE, pushBlob, pushImage } from '../../support/content.js';
import { answered, empty, refused } from './answers.js';
import type { Suite } from './index.js';

/** Asks a function of the test. */
const asking = definePlugin({
  kind: 'layer',
  name: 'asking',
  options: z.strictObject({ resolve: z.custom<LayerHandler['resolve']>() }),
  create: ({ resolve }): LayerHandler => ({ resolve }),
});

const nobody = definePlugin({
  kind: 'auth',
  name: 'nobody',
  options: z.strictObject({}),
  create: (): AuthHandler => ({
    authorize: () => {
      throw new Challenge('Basic realm="x"');
    },
  }),
});

const ELSEWHERE = 'https://cdn.example/blob?signature=a%2Fb';

export const layerSuite: Suite = (test, open) => {
  test('a redirect is 307 for GET and HEAD, without a body', async () => {
    const at = await open({ layer: asking({ resolve: () => ({ redirect: ELSEWHERE }) }) });
    const digest = await pushBlob(at, 'r', 'abc');
    for (const method of ['GET', 'HEAD']) {
      const answer = empty(await at.send(method, `/v2/r/blobs/${digest}`), 307);
      assert.equal(answer.headers.location, ELSEWHERE);
      assert.equal(answer.headers['docker-content-digest'], digest);
    }
  });

  test('headers for a front server go with an empty body', async () => {
    const headers = { 'X-Accel-Redirect': '/internal/blob', 'Content-Type': 'application/x-layer' };
    const at = await open({ layer: asking({ resolve: () => ({ headers }) }) });
    const digest = await pushBlob(at, 'r', 'abc');
    const answer = answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200);
    assert.equal(answer.body.length, 0);
    assert.equal(answer.headers['x-accel-redirect'], '/internal/blob');
    assert.equal(answer.headers['content-type'], 'application/x-layer');
    assert.equal(answer.headers['docker-content-digest'], digest);
    assert.equal(answer.headers.etag, `"${digest}"`);
  });

  test('a handler that leaves it to the registry, which then knows ranges', async () => {
    const at = await open({ layer: asking({ resolve: async () => undefined }) });
    const digest = await pushBlob(at, 'r', 'abcdef');
    assert.equal(answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200).body.toString(), 'abcdef');
    const part = await at.send('GET', `/v2/r/blobs/${digest}`, { headers: { Range: 'bytes=1-2' } });
    assert.equal(answered(part, 206).body.toString(), 'bc');
  });

  test('a handler is told the blob, its key and who asks', async () => {
    const asked: Parameters<LayerHandler['resolve']>[] = [];
    const resolve: LayerHandler['resolve'] = (...given) => {
      asked.push(given);
      return undefined;
    };
    const at = await open({ layer: asking({ resolve }) });
    const digest = await pushBlob(at, 'a/b', 'abc');
    await at.send('HEAD', `/v2/a/b/blobs/${digest}`, { headers: { 'User-Agent': 'test' } });
    const [layer, request] = asked[0] ?? assert.fail('not asked');
    assert.equal(layer.repository, 'a/b');
    assert.deepEqual(layer.descriptor, { mediaType: 'application/octet-stream', digest, size: 3 });
    assert.equal((await at.storage.get(layer.key)).toString(), 'abc');
    assert.equal(layer.url, undefined);
    assert.equal(request.method, 'HEAD');
    assert.match(request.client, /127\.0\.0\.1$/);
    assert.equal(request.headers['user-agent'], 'test');
    assert.equal(request.signal.aborted, false);
  });

  test('a handler is asked for blobs that are there, and for nothing else', async () => {
    const resolve = () => assert.fail('asked');
    const at = await open({ layer: asking({ resolve }) });
    const digest = await pushImage(at, 'r', 'latest');
    answered(await at.send('GET', `/v2/r/manifests/${digest}`), 200);
    refused(await at.send('GET', `/v2/r/blobs/${NOWHERE}`), 404, 'BLOB_UNKNOWN');
    const headers = { 'If-None-Match': `"${digestOf('{}')}"` };
    answered(await at.send('GET', `/v2/r/blobs/${digestOf('{}')}`, { headers }), 304);
    empty(await at.send('DELETE', `/v2/r/blobs/${digestOf('{}')}`), 202);
  });

  test('a handler is asked after the caller is known', async () => {
    const open_ = await open();
    const digest = await pushBlob(open_, 'r', 'abc');
    const resolve = () => assert.fail('asked');
    const at = await open({ driver: open_.storage, auth: nobody(), layer: asking({ resolve }) });
    refused(await at.send('GET', `/v2/r/blobs/${digest}`), 401, 'UNAUTHORIZED');
  });

  test('a redirect is not to be kept: what it is signed for ends', async () => {
    const at = await open({ layer: asking({ resolve: () => ({ redirect: ELSEWHERE }) }) });
    const answer = await at.send('GET', `/v2/r/blobs/${await pushBlob(at, 'r', 'abc')}`);
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.headers.etag, undefined);
  });

  test('where a handler fails the registry serves the blob, or answers 503', async () => {
    const resolve = () => Promise.reject(new Error('the key is 12345'));
    const at = await open({ layer: asking({ resolve }) });
    const digest = await pushBlob(at, 'r', 'abc');
    for (let time = 0; time < 3; time++) {
      const answer = answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200);
      assert.equal(answer.body.toString(), 'abc');
      assert.equal(answer.headers['cache-control'], 'max-age=31536000');
    }
    assert.equal(at.log.filter(({ message }) => message.startsWith('the layer handler fails')).length, 1);
    assert.deepEqual(at.errors, []);

    const strict = await open({
      driver: at.storage,
      layer: asking({ resolve }),
      offload: { onFailure: 'unavailable' },
    });
    const answer = await strict.send('GET', `/v2/r/blobs/${digest}`);
    refused(answer, 503, 'UNAVAILABLE');
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
    assert.ok(!answer.body.includes('12345'));
  });

  test('offload: small blobs, HEAD, and clients that are spared, get the bytes from the registry', async () => {
    const layer = asking({ resolve: () => ({ redirect: ELSEWHERE }) });
    const spare = { userAgents: ['docker/1.5'], addresses: ['192.0.2.0/24'] };
    const at = await open({ layer, offload: { minSize: 3, head: false, spare }, proxy: true });
    const small = `/v2/r/blobs/${await pushBlob(at, 'r', 'ab')}`;
    const large = `/v2/r/blobs/${await pushBlob(at, 'r', 'abc')}`;
    const headers = (given: Record<string, string>) => ({ headers: given });
    answered(await at.send('GET', small), 200);
    answered(await at.send('GET', large), 307);
    answered(await at.send('HEAD', large), 200);
    answered(await at.send('GET', large, headers({ 'User-Agent': 'Docker/1.5.0' })), 200);
    answered(await at.send('GET', large, headers({ 'X-Forwarded-For': '192.0.2.9' })), 200);
    answered(await at.send('GET', large, headers({ 'X-Forwarded-For': '198.51.100.9' })), 307);
  });
};
