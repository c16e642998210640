// The descriptor cache: it may forget, lie or fail, and no answer is wrong for it.
import assert from 'node:assert/strict';
import { type Descriptor, type DescriptorCache, definePlugin } from 'koa-registry';
import { z } from 'zod';
import { digestOf, image, index, pushBlob, pushImage, pushManifest, putManifest } from '../../support/content.js';
import { answered, empty, refused } from './answers.js';
import type { Open, Suite } from './index.js';

/** What a test looks into, and fills with what is not so. */
type Kept = Map<string, Descriptor>;

const mapped = definePlugin({
  kind: 'cache',
  name: 'mapped',
  options: z.strictObject({ kept: z.custom<Kept>() }),
  create: ({ kept }): DescriptorCache => ({
    get: async (set, digest) => kept.get(`${set} ${digest}`),
    set: async (set, digest, descriptor) => void kept.set(`${set} ${digest}`, descriptor),
    delete: async (set, digest) => void kept.delete(`${set} ${digest}`),
  }),
});

const failing = definePlugin({
  kind: 'cache',
  name: 'failing',
  options: z.strictObject({ throws: z.boolean() }),
  create: ({ throws }): DescriptorCache => {
    const fail = () => {
      if (throws) throw new Error('the cache is away');
      return Promise.reject(new Error('the cache is away'));
    };
    return { get: fail, set: fail, delete: fail };
  },
});

async function withCache(open: Open) {
  const kept: Kept = new Map();
  return { kept, at: await open({ cache: mapped({ kept }) }) };
}

export const cacheSuite: Suite = (test, open) => {
  test('a blob is remembered for the repository that has it, and read from memory', async () => {
    const { kept, at } = await withCache(open);
    const digest = await pushBlob(at, 'r', 'abc');
    answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200);
    assert.equal(kept.get(`blobs:r ${digest}`)?.size, 3);
    refused(await at.send('GET', `/v2/other/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
  });

  test('a blob taken from one repository is not readable there any more, and stays readable elsewhere', async () => {
    const { kept, at } = await withCache(open);
    const digest = await pushBlob(at, 'a', 'abc');
    await pushBlob(at, 'b', 'abc');
    for (const name of ['a', 'b']) answered(await at.send('GET', `/v2/${name}/blobs/${digest}`), 200);
    empty(await at.send('DELETE', `/v2/a/blobs/${digest}`), 202);
    assert.equal(kept.has(`blobs:a ${digest}`), false);
    for (const method of ['GET', 'HEAD']) answered(await at.send(method, `/v2/a/blobs/${digest}`), 404);
    answered(await at.send('GET', `/v2/b/blobs/${digest}`), 200);
  });

  test('a manifest taken from a repository is not remembered', async () => {
    const { kept, at } = await withCache(open);
    const digest = await pushManifest(at, 'r', index([]), 'latest');
    answered(await at.send('GET', `/v2/r/manifests/${digest}`), 200);
    empty(await at.send('DELETE', `/v2/r/manifests/${digest}`), 202);
    assert.deepEqual(
      [...kept.keys()].filter((key) => key.startsWith('manifests:r')),
      [],
    );
    refused(await at.send('GET', `/v2/r/manifests/${digest}`), 404, 'MANIFEST_UNKNOWN');
  });

  for (const throws of [true, false]) {
    test(`a cache that ${throws ? 'throws' : 'rejects'} on every call fails no request`, async () => {
      const at = await open({ cache: failing({ throws }) });
      const digest = await pushImage(at, 'r', 'latest');
      answered(await at.send('GET', '/v2/r/manifests/latest'), 200);
      answered(await at.send('GET', `/v2/r/blobs/${digestOf('{}')}`), 200);
      empty(await at.send('DELETE', `/v2/r/blobs/${digestOf('{}')}`), 202);
      empty(await at.send('DELETE', `/v2/r/manifests/${digest}`), 202);
      refused(await at.send('GET', `/v2/r/blobs/${digestOf('{}')}`), 404, 'BLOB_UNKNOWN');
      refused(await at.send('GET', '/v2/r/manifests/latest'), 404, 'MANIFEST_UNKNOWN');
      assert.ok(at.log.some(({ level, message }) => level === 'warn' && /cache/.test(message)));
      assert.deepEqual(at.errors, []);
    });
  }

  test('a push does not believe the cache', async () => {
    const { kept, at } = await withCache(open);
    const digest = digestOf('{}');
    const lie = { mediaType: 'application/octet-stream', digest, size: 2 } as Descriptor;
    for (const set of ['blobs', 'blobs:r', 'blobs:source']) kept.set(`${set} ${digest}`, lie);
    refused(await putManifest(at, 'r', 'v1', image([])), 400, 'MANIFEST_BLOB_UNKNOWN');
    empty(await at.send('POST', `/v2/r/blobs/uploads/?mount=${digest}&from=source`), 202);
  });

  test('a push does not believe the cache about a child', async () => {
    const { kept, at } = await withCache(open);
    await pushManifest(at, 'r', index([]));
    const child = { mediaType: 'application/vnd.oci.image.index.v1+json', digest: digestOf('no'), size: 2 };
    kept.set(`manifests:r ${child.digest}`, child as Descriptor);
    refused(await putManifest(at, 'r', 'v1', index([child])), 400, 'MANIFEST_BLOB_UNKNOWN');
  });

  test('content that is gone from under its descriptor is 404, and is forgotten', async () => {
    const { kept, at } = await withCache(open);
    const digest = digestOf('abc') as Descriptor['digest'];
    // As another host would leave it; what this one has just written it would go on looking for.
    const descriptor = { mediaType: 'application/octet-stream', digest, size: 3 };
    for (const set of ['blobs', 'blobs:r']) kept.set(`${set} ${digest}`, descriptor);
    refused(await at.send('GET', `/v2/r/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
    assert.deepEqual([...kept.keys()], []);
    assert.equal((await at.send('HEAD', `/v2/r/blobs/${digest}`)).status, 404);
  });
};
