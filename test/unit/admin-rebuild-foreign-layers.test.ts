// The index of layers that are elsewhere, made again from the manifests.
import * as assert from 'node:assert/strict';
import { OptionsError, parseRepositoryName } from 'koa-registry';
import { rebuildForeignLayers } from 'koa-registry/admin';
import { test } from 'uvu';
import { content, describe, digestOf, image, OCI_LAYER, pushBlob, pushManifest } from '../support/content.js';
import { keysBelow, type OpenRegistry, openRegistry } from '../support/registry.js';

const LAYER = content(100, 3);
const DIGEST = digestOf(LAYER);
const FOREIGN = image([], { layers: [describe(OCI_LAYER, LAYER, { urls: ['https://cdn.example/a'] })] });
const FEDERATION = [{ repositories: ['vendor/*'], url: 'https://vendor.example/{digest}' }];

async function withRegistry(work: (at: OpenRegistry) => Promise<void>): Promise<void> {
  const at = await openRegistry(undefined, { federation: FEDERATION });
  try {
    await work(at);
  } finally {
    await at.close();
  }
}

/** What a registry answers that has not written anything itself, and so expects nothing. */
async function statusOf({ storage }: OpenRegistry, repository: string): Promise<number> {
  const at = await openRegistry(undefined, { driver: storage, federation: FEDERATION });
  try {
    return (await at.send('GET', `/v2/${repository}/blobs/${DIGEST}`)).status;
  } finally {
    await at.close();
  }
}

const entriesOf = async (at: OpenRegistry) => (await at.keys()).filter((key) => key.includes('/_foreign/'));

test('what another registry has stored is found again, and what is gone is removed', async () => {
  await withRegistry(async (at) => {
    await pushBlob(at, 'a', '{}');
    const digest = await pushManifest(at, 'a', FOREIGN);
    await pushBlob(at, 'vendor/b', '{}');
    await pushManifest(at, 'vendor/b', image([LAYER]));
    const before = await entriesOf(at);
    for (const key of before) await at.storage.remove(key);
    assert.equal(await statusOf(at, 'a'), 404);

    const { storage } = at;
    const made = await rebuildForeignLayers({ storage, federation: FEDERATION });
    assert.deepEqual(
      [...made],
      [
        ['a', 1],
        ['vendor/b', 1],
      ],
    );
    assert.deepEqual(await entriesOf(at), before);
    assert.equal(await statusOf(at, 'a'), 307);
    assert.equal(await statusOf(at, 'vendor/b'), 307);

    const one = await rebuildForeignLayers({ storage, repository: parseRepositoryName('vendor/b') });
    assert.deepEqual([...one], [['vendor/b', 0]]);
    assert.equal(await statusOf(at, 'vendor/b'), 404);

    for (const key of await keysBelow(storage, 'docker/registry/v2/repositories/a/_manifests')) {
      if (key.includes(digest.slice(7))) await storage.remove(key);
    }
    await rebuildForeignLayers({ storage, repository: parseRepositoryName('a') });
    assert.deepEqual(await entriesOf(at), []);
  });
});

test('a site that is none is refused', async () => {
  await withRegistry(async ({ storage }) => {
    for (const federation of [
      [{ url: 'https://vendor.example/{digest}' }],
      [{ repositories: ['a'], url: 'https://vendor.example/' }],
      [{ repositories: ['a'], url: 'ftp://vendor.example/{digest}' }],
      [{ repositories: ['a'], url: 'https://{digest}.vendor.example/' }],
      [{ repositories: ['a'], url: 'https://u:p@vendor.example/{digest}' }],
      [{ repositories: ['a'], url: 'https://vendor.example/{digest}/{name}' }],
      [{ repositories: ['A'], url: 'https://vendor.example/{digest}' }],
      [{ repositories: [], url: 'https://vendor.example/{digest}' }],
    ]) {
      await assert.rejects(rebuildForeignLayers({ storage, federation }), OptionsError, JSON.stringify(federation));
    }
  });
});

test.run();
