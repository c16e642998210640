// What a push of a manifest has to prove, and what becomes of tags while others push and delete.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { type Digest, digestOf, RegistryError } from '../../lib/index.js';
import { mapBounded } from '../../lib/services/bounded.js';
import type { Services } from '../../lib/services/index.js';
import { tagCurrentKey, tagKey } from '../../lib/services/keys.js';
import { Gate } from '../faults/gate.js';
import { fixture, imageDocument, indexDocument, pushBlob, putDocument, REPOSITORY, tag } from './services-fixture.js';

const LATEST = tag('latest');

async function tagsOf({ tags }: Services): Promise<readonly string[]> {
  return (await tags.list(REPOSITORY, 100)).items;
}

/** Two images, of which `latest` leads to the first. */
async function twoImages(services: Services): Promise<{ first: Digest; second: () => Promise<Digest> }> {
  const document = await imageDocument(services);
  const first = await putDocument(services, { ...document, annotations: { number: '1' } }, LATEST);
  return { first, second: () => putDocument(services, { ...document, annotations: { number: '2' } }, LATEST) };
}

test('the children of a build cache are blobs', async () => {
  const { services } = await fixture();
  const digest = await pushBlob(services, 'a layer');
  const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 7 };
  await putDocument(services, indexDocument([layer]), LATEST);
  const absent = { ...layer, digest: digestOf(Buffer.from('nowhere')) };
  await assert.rejects(putDocument(services, indexDocument([layer, absent]), LATEST), {
    code: 'MANIFEST_BLOB_UNKNOWN',
    detail: { digest: absent.digest },
  });
});

test('of thousands of missing references about a hundred are named, and no more are looked for', async () => {
  const { storage, services } = await fixture();
  const children = Array.from({ length: 5000 }, (_, index) => ({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOf(Buffer.from(String(index))),
    size: 1,
  }));
  const calls = await storage.during(() =>
    assert.rejects(putDocument(services, indexDocument(children), LATEST), (error) => {
      assert.ok(error instanceof RegistryError);
      assert.ok(error.entries.length >= 100 && error.entries.length < 200, `${error.entries.length} errors`);
      return true;
    }),
  );
  assert.ok(calls.length < 1000, `${calls.length} calls`);
});

test('after the first failure no further call begins', async () => {
  let begun = 0;
  const work = mapBounded(
    Array.from({ length: 1000 }, (_, index) => index),
    4,
    async (index) => {
      begun += 1;
      await new Promise(setImmediate);
      if (index === 5) throw new Error('the sixth');
    },
  );
  await assert.rejects(work, /the sixth/);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(begun < 20, `${begun} calls`);
});

test('a tag that moves while its old manifest is deleted stays with the new one', async () => {
  const { storage, services } = await fixture();
  const { first, second } = await twoImages(services);
  const gate = new Gate();
  let seen = 0;
  storage.hooks = {
    // The delete has seen where the tag leads, and is about to remove it.
    after: async ({ method, key }) => {
      if (method !== 'get' || key !== tagCurrentKey(REPOSITORY, LATEST)) return;
      seen += 1;
      if (seen === 1) await gate.pass();
    },
  };
  const deleting = services.manifests.delete(REPOSITORY, first);
  await gate.reached;
  const moved = await second();
  gate.open();
  await deleting;
  assert.equal(await services.tags.resolve(REPOSITORY, LATEST), moved);
});

test('a tag that is deleted while it is set is there or not, never listed without leading anywhere', async () => {
  const { storage, services } = await fixture();
  const { second } = await twoImages(services);
  const gate = new Gate();
  storage.hooks = {
    after: async ({ method, key }) => {
      if (method === 'put' && key === tagCurrentKey(REPOSITORY, LATEST)) await gate.pass();
    },
  };
  const pushing = second();
  await gate.reached;
  const deleting = services.manifests.delete(REPOSITORY, LATEST);
  // The delete waits for its turn; were there none, it would be through by now.
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  gate.open();
  await Promise.all([pushing, deleting]);
  assert.deepEqual(await tagsOf(services), []);
  await assert.rejects(storage.stat(tagKey(REPOSITORY, LATEST)), { reason: 'not-found' });
});

test.run();
