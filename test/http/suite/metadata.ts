// `GET <prefix>/`: the endpoint document where it is on, and the host application's own where it is not.
import assert from 'node:assert/strict';
import { answered, json, refused } from './answers.js';
import type { Suite } from './index.js';

interface Metadata {
  readonly endpoints: { readonly v2: Readonly<Record<string, unknown>> };
}

export const metadataSuite: Suite = (test, open) => {
  test('the document says where the API stands', async () => {
    const at = await open({ metadata: { enabled: true } });
    const answer = answered(await at.send('GET', '/'), 200);
    assert.equal(answer.headers['content-type'], 'application/json');
    const root = `${at.origin}${at.base}/v2/`;
    assert.deepEqual(json(answer), { endpoints: { v2: { version: '2', root, push: true, mirrors: [] } } });
    answered(await at.send('GET', at.within(root)), 200);
    assert.equal(answered(await at.send('HEAD', '/'), 200).body.length, 0);
  });

  test('fallback and mirrors are those of the options', async () => {
    const mirrors = [{ root: 'https://mirror.example/v2/' }, { root: 'https://cdn.example/v2/', manifests: false }];
    const at = await open({ metadata: { enabled: true, fallback: 'v1', mirrors } });
    const { v2 } = json<Metadata>(await at.send('GET', '/')).endpoints;
    assert.equal(v2.fallback, 'v1');
    assert.deepEqual(v2.mirrors, [{ root: 'https://mirror.example/v2/', manifests: true }, mirrors[1]]);
  });

  test('push follows read-only', async () => {
    const at = await open({ metadata: { enabled: true }, readOnly: true });
    const pushes = async () => json<Metadata>(await at.send('GET', '/')).endpoints.v2.push;
    assert.equal(await pushes(), false);
    at.registry.readOnly = false;
    assert.equal(await pushes(), true);
  });

  test('only GET and HEAD', async () => {
    const at = await open({ metadata: { enabled: true } });
    const answer = await at.send('POST', '/');
    refused(answer, 405, 'UNSUPPORTED');
    assert.equal(answer.headers.allow, 'GET, HEAD');
  });

  test('off, as it is by default, the request is not the registry\u2019s', async () => {
    for (const options of [{}, { metadata: { enabled: false } }]) {
      const answer = await (await open(options)).send('GET', '/');
      assert.equal(answer.status, 404);
      assert.equal(answer.headers['docker-distribution-api-version'], undefined);
    }
  });

  test('paths beside the registry are not its own', async () => {
    const at = await open({ metadata: { enabled: true } });
    for (const path of ['/v1/', '/v22/', '/V2/', '/x/v2/', '/index.html']) {
      const answer = await at.send('GET', path);
      assert.equal(answer.status, 404, path);
      assert.equal(answer.headers['docker-distribution-api-version'], undefined, path);
    }
  });
};
