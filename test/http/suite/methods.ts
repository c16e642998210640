// Every path with every method: those that it has, those that it lacks, and HEAD wherever there is GET.
import assert from 'node:assert/strict';
import { NOWHERE, pushImage } from '../../support/content.js';
import { allowed, answered, refused } from './answers.js';
import type { Suite } from './index.js';

const SESSION = '00000000-0000-4000-8000-000000000000';

/** Each path and its methods, in order of the alphabet. */
const PATHS: Readonly<Record<string, string>> = {
  '/v2/': 'GET HEAD',
  '/v2': 'GET HEAD',
  '/v2/_catalog': 'GET HEAD',
  '/v2/some/repository/manifests/latest': 'DELETE GET HEAD PUT',
  [`/v2/some/repository/manifests/${NOWHERE}`]: 'DELETE GET HEAD PUT',
  '/v2/some/repository/blobs/uploads/': 'POST',
  [`/v2/some/repository/blobs/uploads/${SESSION}`]: 'DELETE GET HEAD PATCH PUT',
  [`/v2/some/repository/blobs/${NOWHERE}`]: 'DELETE GET HEAD',
  '/v2/some/repository/tags/list': 'GET HEAD',
  [`/v2/some/repository/referrers/${NOWHERE}`]: 'GET HEAD',
};

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'];

export const methodsSuite: Suite = (test, open, mount) => {
  test('a known path with a method that it lacks is 405 with Allow', async () => {
    const at = await open();
    for (const [path, methods] of Object.entries(PATHS)) {
      for (const method of METHODS.filter((name) => !methods.split(' ').includes(name))) {
        const answer = await at.send(method, path);
        assert.equal(answer.status, 405, `${mount.name}: ${method} ${path}`);
        assert.equal(allowed(answer), methods, `${method} ${path}`);
        if (method !== 'HEAD') refused(answer, 405, 'UNSUPPORTED');
      }
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('a method that a path has is not 405', async () => {
    const at = await open();
    for (const [path, methods] of Object.entries(PATHS)) {
      for (const method of methods.split(' ')) {
        const { status } = await at.send(method, path);
        assert.ok(status < 500 && status !== 405, `${method} ${path}: ${status}`);
      }
    }
  });

  test('uploads/ may be written without its last slash', async () => {
    answered(await (await open()).send('POST', '/v2/some/repository/blobs/uploads'), 202);
  });

  test('HEAD answers what GET does, without the body', async () => {
    const at = await open();
    const digest = await pushImage(at, 'r', 'latest');
    const config = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';
    const session = at.within((await at.send('POST', '/v2/r/blobs/uploads/')).headers.location).split('?')[0];
    const below = [`manifests/latest`, `manifests/${digest}`, `blobs/${config}`, 'tags/list', `referrers/${digest}`];
    for (const path of ['/v2/', '/v2/_catalog', ...below.map((part) => `/v2/r/${part}`), String(session)]) {
      const [got, head] = [await at.send('GET', path), await at.send('HEAD', path)];
      assert.equal(head.status, got.status, path);
      assert.equal(head.body.length, 0, path);
      const comparable = ({ date: _, 'x-request-id': __, location, ...rest }: typeof got.headers) => ({
        ...rest,
        location: location?.split('?')[0],
      });
      assert.deepEqual(comparable(head.headers), comparable(got.headers), path);
    }
  });

  test('HEAD of what is not there is 404 without a body', async () => {
    const at = await open();
    for (const path of [`/v2/r/blobs/${NOWHERE}`, '/v2/r/manifests/latest', '/v2/r/tags/list', '/v2/nothing']) {
      const answer = answered(await at.send('HEAD', path), 404);
      assert.equal(answer.body.length, 0);
      assert.equal(answer.headers['content-type'], 'application/json');
    }
  });
};
