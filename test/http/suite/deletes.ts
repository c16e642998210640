// Deleting blobs, manifests and tags.
import assert from 'node:assert/strict';
import {
  describe,
  digestOf,
  image,
  index,
  NOWHERE,
  OCI_IMAGE,
  pushBlob,
  pushImage,
  pushManifest,
  putManifest,
} from '../../support/content.js';
import { allowed, answered, empty, json, refused } from './answers.js';
import type { Suite } from './index.js';

export const deletesSuite: Suite = (test, open) => {
  test('a deleted blob is gone at once, also where it was just read', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', 'abc');
    answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200);
    empty(await at.send('DELETE', `/v2/r/blobs/${digest}`), 202);
    assert.equal((await at.send('HEAD', `/v2/r/blobs/${digest}`)).status, 404);
    refused(await at.send('GET', `/v2/r/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
    refused(await at.send('DELETE', `/v2/r/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
  });

  test('a deleted blob can be pushed again', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', 'abc');
    empty(await at.send('DELETE', `/v2/r/blobs/${digest}`), 202);
    await pushBlob(at, 'r', 'abc');
    assert.equal(answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200).body.toString(), 'abc');
  });

  test('a manifest cannot be pushed over a blob that was deleted', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', '{}');
    await pushManifest(at, 'r', image([]));
    empty(await at.send('DELETE', `/v2/r/blobs/${digest}`), 202);
    refused(await putManifest(at, 'r', 'v1', image([], { x: 1 })), 400, 'MANIFEST_BLOB_UNKNOWN');
  });

  test('a blob that another repository has stays there', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'a', 'abc');
    await pushBlob(at, 'b', 'abc');
    answered(await at.send('GET', `/v2/a/blobs/${digest}`), 200);
    answered(await at.send('GET', `/v2/b/blobs/${digest}`), 200);
    empty(await at.send('DELETE', `/v2/a/blobs/${digest}`), 202);
    refused(await at.send('GET', `/v2/a/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
    answered(await at.send('GET', `/v2/b/blobs/${digest}`), 200);
  });

  test('a deleted manifest takes its tags along, and no others', async () => {
    const at = await open();
    const doomed = await pushImage(at, 'r', 'one', 1);
    await pushImage(at, 'r', 'two', 1);
    await pushImage(at, 'r', 'other', 2);
    answered(await at.send('GET', `/v2/r/manifests/${doomed}`), 200);
    empty(await at.send('DELETE', `/v2/r/manifests/${doomed}`), 202);
    for (const reference of [doomed, 'one', 'two']) {
      refused(await at.send('GET', `/v2/r/manifests/${reference}`), 404, 'MANIFEST_UNKNOWN');
      assert.equal((await at.send('HEAD', `/v2/r/manifests/${reference}`)).status, 404);
      refused(await at.send('DELETE', `/v2/r/manifests/${reference}`), 404, 'MANIFEST_UNKNOWN');
    }
    assert.deepEqual(json(await at.send('GET', '/v2/r/tags/list')), { name: 'r', tags: ['other'] });
  });

  test('a tag that once led to a deleted manifest, and leads elsewhere now, stays', async () => {
    const at = await open();
    const old = await pushImage(at, 'r', 'latest', 1);
    const now = await pushImage(at, 'r', 'latest', 2);
    empty(await at.send('DELETE', `/v2/r/manifests/${old}`), 202);
    assert.equal((await at.send('GET', '/v2/r/manifests/latest')).headers['docker-content-digest'], now);
  });

  test('deleting a tag deletes only the tag', async () => {
    const at = await open();
    const digest = await pushImage(at, 'r', 'v1');
    await pushImage(at, 'r', 'v1.0');
    empty(await at.send('DELETE', '/v2/r/manifests/v1'), 202);
    refused(await at.send('GET', '/v2/r/manifests/v1'), 404, 'MANIFEST_UNKNOWN');
    refused(await at.send('DELETE', '/v2/r/manifests/v1'), 404, 'MANIFEST_UNKNOWN');
    for (const reference of [digest, 'v1.0']) answered(await at.send('GET', `/v2/r/manifests/${reference}`), 200);
  });

  test('what was never there is 404', async () => {
    const at = await open();
    refused(await at.send('DELETE', '/v2/none/manifests/latest'), 404, 'MANIFEST_UNKNOWN');
    refused(await at.send('DELETE', `/v2/none/manifests/${NOWHERE}`), 404, 'MANIFEST_UNKNOWN');
    refused(await at.send('DELETE', `/v2/none/blobs/${NOWHERE}`), 404, 'BLOB_UNKNOWN');
    const digest = await pushImage(at, 'r', 'latest');
    refused(await at.send('DELETE', `/v2/other/manifests/${digest}`), 404, 'MANIFEST_UNKNOWN');
  });

  test('a manifest of the same bytes in another repository stays', async () => {
    const at = await open();
    const digest = await pushImage(at, 'a', 'latest');
    await pushImage(at, 'b', 'latest');
    empty(await at.send('DELETE', `/v2/a/manifests/${digest}`), 202);
    refused(await at.send('GET', `/v2/a/manifests/${digest}`), 404, 'MANIFEST_UNKNOWN');
    answered(await at.send('GET', `/v2/b/manifests/${digest}`), 200);
  });

  test('a deleted manifest can be pushed again', async () => {
    const at = await open();
    const digest = await pushImage(at, 'r', 'latest');
    empty(await at.send('DELETE', `/v2/r/manifests/${digest}`), 202);
    await pushImage(at, 'r', 'latest');
    answered(await at.send('GET', '/v2/r/manifests/latest'), 200);
  });

  test('an index cannot be pushed over a child that was deleted', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const digest = await pushManifest(at, 'r', image([]));
    empty(await at.send('DELETE', `/v2/r/manifests/${digest}`), 202);
    const list = index([describe(OCI_IMAGE, image([]))]);
    refused(await putManifest(at, 'r', 'v1', list), 400, 'MANIFEST_BLOB_UNKNOWN');
  });

  test('with deletion off, as it is by default, nothing goes', async () => {
    for (const options of [{ delete: { enabled: false } }, { delete: {} }, { delete: undefined }]) {
      const at = await open(options as { delete: { enabled: boolean } });
      const digest = await pushImage(at, 'r', 'latest');
      const paths = {
        [`/v2/r/blobs/${digestOf('{}')}`]: 'GET HEAD',
        [`/v2/r/manifests/${digest}`]: 'GET HEAD PUT',
        '/v2/r/manifests/latest': 'GET HEAD PUT',
      };
      for (const [path, methods] of Object.entries(paths)) {
        const answer = await at.send('DELETE', path);
        refused(answer, 405, 'UNSUPPORTED');
        assert.equal(allowed(answer), methods);
        answered(await at.send('GET', path), 200);
      }
    }
  });

  test('with deletion off an upload can still be given up', async () => {
    const at = await open({ delete: { enabled: false } });
    const begun = await at.send('POST', '/v2/r/blobs/uploads/');
    empty(await at.send('DELETE', at.within(begun.headers.location)), 204);
  });
};
