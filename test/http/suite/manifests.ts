// Reading manifests: by tag and by digest, conditions, and what a client says that it accepts.
import assert from 'node:assert/strict';
import {
  DOCKER_IMAGE,
  DOCKER_LIST,
  describe,
  digestOf,
  image,
  index,
  NOWHERE,
  OCI_IMAGE,
  pushBlob,
  pushImage,
  pushManifest,
} from '../../support/content.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, refused } from './answers.js';
import type { Suite } from './index.js';

/** Pushes a Docker list of one image for each architecture; answers the list's digest and the children's. */
async function pushDockerList(at: OpenRegistry, repository: string, architectures: readonly string[]) {
  await pushBlob(at, repository, '{}');
  const children: Record<string, string> = {};
  const manifests: object[] = [];
  for (const architecture of architectures) {
    const json = image([], { mediaType: DOCKER_IMAGE, for: architecture });
    children[architecture] = await pushManifest(at, repository, json);
    manifests.push(describe(DOCKER_IMAGE, json, { platform: { architecture, os: 'linux' } }));
  }
  const list = await pushManifest(at, repository, index(manifests, { mediaType: DOCKER_LIST }), 'list');
  return { list, children };
}

export const manifestsSuite: Suite = (test, open) => {
  test('GET and HEAD by tag and by digest', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const json = image([]);
    const digest = await pushManifest(at, 'r', json, 'latest');
    for (const reference of ['latest', digest, digest.replace(':', '%3A')]) {
      for (const method of ['GET', 'HEAD']) {
        const answer = answered(await at.send(method, `/v2/r/manifests/${reference}`), 200);
        assert.equal(answer.headers['content-type'], OCI_IMAGE);
        assert.equal(answer.headers['content-length'], String(json.length));
        assert.equal(answer.headers['docker-content-digest'], digest);
        assert.equal(answer.headers.etag, `"${digest}"`);
        assert.equal(answer.body.toString(), method === 'GET' ? json : '');
      }
    }
  });

  test('what is not there is 404', async () => {
    const at = await open();
    await pushImage(at, 'r', 'latest');
    for (const path of ['/v2/r/manifests/v1', `/v2/r/manifests/${NOWHERE}`, '/v2/q/manifests/latest']) {
      refused(await at.send('GET', path), 404, 'MANIFEST_UNKNOWN');
      assert.equal((await at.send('HEAD', path)).status, 404);
    }
  });

  test('a manifest is of its repository alone, and a blob is no manifest', async () => {
    const at = await open();
    const digest = await pushImage(at, 'r', 'latest');
    refused(await at.send('GET', `/v2/other/manifests/${digest}`), 404, 'MANIFEST_UNKNOWN');
    refused(await at.send('GET', `/v2/r/manifests/${digestOf('{}')}`), 404, 'MANIFEST_UNKNOWN');
  });

  test('a tag that is moved leads to the new manifest at once; the old one stays by digest', async () => {
    const at = await open();
    const old = await pushImage(at, 'r', 'latest', 1);
    answered(await at.send('GET', '/v2/r/manifests/latest'), 200);
    const now = await pushImage(at, 'r', 'latest', 2);
    assert.equal((await at.send('GET', '/v2/r/manifests/latest')).headers['docker-content-digest'], now);
    answered(await at.send('GET', `/v2/r/manifests/${old}`), 200);
  });

  test('If-None-Match in every form is 304', async () => {
    const at = await open();
    const digest = await pushImage(at, 'r', 'latest');
    for (const condition of [`"${digest}"`, `W/"${digest}"`, digest, `"x", "${digest}"`, '*']) {
      for (const reference of ['latest', digest]) {
        const headers = { 'If-None-Match': condition };
        const answer = answered(await at.send('GET', `/v2/r/manifests/${reference}`, { headers }), 304);
        assert.equal(answer.body.length, 0);
        assert.equal(answer.headers['docker-content-digest'], digest);
        assert.equal(answer.headers.etag, `"${digest}"`);
      }
    }
    for (const condition of ['"x"', `"${NOWHERE}"`, '"', ',']) {
      answered(await at.send('GET', '/v2/r/manifests/latest', { headers: { 'If-None-Match': condition } }), 200);
    }
  });

  test('whatever a client accepts, an OCI manifest is served as it is', async () => {
    const at = await open();
    const digest = await pushImage(at, 'r', 'latest');
    for (const accept of ['', '*/*', DOCKER_IMAGE, 'text/html', ';;;q=,', '/'.repeat(3000)]) {
      for (const reference of ['latest', digest]) {
        const answer = answered(
          await at.send('GET', `/v2/r/manifests/${reference}`, { headers: { Accept: accept } }),
          200,
        );
        assert.equal(answer.headers['content-type'], OCI_IMAGE);
      }
    }
  });

  test('a Docker list becomes its linux/amd64 image for a client that takes only images', async () => {
    const at = await open();
    const { list, children } = await pushDockerList(at, 'r', ['arm64', 'amd64']);
    const ask = async (accept: string | undefined, reference = 'list', method = 'GET') => {
      const headers = accept === undefined ? {} : { Accept: accept };
      return answered(await at.send(method, `/v2/r/manifests/${reference}`, { headers }), 200).headers;
    };
    for (const accept of [undefined, '*/*', DOCKER_LIST, `${DOCKER_IMAGE}, ${DOCKER_LIST}`, `${DOCKER_IMAGE}, */*`]) {
      const headers = await ask(accept);
      assert.equal(headers['docker-content-digest'], list);
      assert.equal(headers['content-type'], DOCKER_LIST);
    }
    for (const method of ['GET', 'HEAD']) {
      const headers = await ask(DOCKER_IMAGE, 'list', method);
      assert.equal(headers['docker-content-digest'], children.amd64);
      assert.equal(headers['content-type'], DOCKER_IMAGE);
    }
    assert.equal((await ask(DOCKER_IMAGE, list))['docker-content-digest'], list);
  });

  test('a Docker list without a linux/amd64 image is served as it is', async () => {
    const at = await open();
    const { list } = await pushDockerList(at, 'r', ['arm64']);
    const answer = await at.send('GET', '/v2/r/manifests/list', { headers: { Accept: DOCKER_IMAGE } });
    assert.equal(answered(answer, 200).headers['docker-content-digest'], list);
  });
};
