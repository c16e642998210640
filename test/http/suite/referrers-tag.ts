// Referrers that clients noted under the referrers tag before there was an API for them (OCI
// distribution-spec, "Enabling the Referrers API").
import assert from 'node:assert/strict';
import { describe, image, index, OCI_IMAGE, pushBlob, pushManifest } from '../../support/content.js';
import { keysBelow, type OpenRegistry } from '../../support/registry.js';
import { answered, empty } from './answers.js';
import type { Suite } from './index.js';
import { referrersOf, SBOM, SUBJECT } from './referrers.js';
import { readPages } from './tags.js';

const TAG = SUBJECT.digest.replace(':', '-');

/** An image that refers to the subject. */
function referrer(number: number, subject = SUBJECT): string {
  return image([], { subject, artifactType: SBOM, number });
}

/** Pushes images as another registry would have stored them: none is entered among the referrers. */
async function pushUnlisted(at: OpenRegistry, documents: readonly string[]): Promise<void> {
  await pushBlob(at, 'r', '{}');
  for (const document of documents) await pushManifest(at, 'r', document);
  for (const key of await keysBelow(at.storage)) {
    if (key.includes('/_referrers/')) await at.storage.remove(key);
  }
}

async function listed(at: OpenRegistry): Promise<string[]> {
  const pages = await readPages(at, `/v2/r/referrers/${SUBJECT.digest}?n=2`, referrersOf);
  return pages.flat().map(({ digest }) => digest);
}

export const referrersTagSuite: Suite = (test, open) => {
  test('what the index under the tag names is listed', async () => {
    const at = await open();
    const documents = [1, 2, 3].map((number) => referrer(number));
    await pushUnlisted(at, documents);
    assert.deepEqual(await listed(at), []);
    const noted = documents.map((document) => describe(OCI_IMAGE, document));
    await pushManifest(at, 'r', index(noted), TAG);
    assert.deepEqual(await listed(at), noted.map(({ digest }) => digest).sort());
  });

  test('those and new ones are merged in order, each once', async () => {
    const at = await open();
    const old = [1, 2, 3, 4].map((number) => referrer(number));
    await pushUnlisted(at, old);
    await pushManifest(at, 'r', index(old.map((document) => describe(OCI_IMAGE, document))), TAG);
    // Pushed again with the API, and new ones.
    for (const number of [2, 5, 6]) await pushManifest(at, 'r', referrer(number));
    const expected = [1, 2, 3, 4, 5, 6].map((number) => describe(OCI_IMAGE, referrer(number)).digest);
    assert.deepEqual(await listed(at), expected.sort());
  });

  test('what the index names that has another subject, or is gone, is not listed', async () => {
    const at = await open();
    const other = referrer(1, describe(OCI_IMAGE, 'another'));
    const gone = referrer(2);
    await pushUnlisted(at, [other, gone]);
    await pushManifest(at, 'r', index([other, gone].map((document) => describe(OCI_IMAGE, document))), TAG);
    empty(await at.send('DELETE', `/v2/r/manifests/${describe(OCI_IMAGE, gone).digest}`), 202);
    assert.deepEqual(await listed(at), []);
  });

  test('an image under the tag is no list', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    await pushManifest(at, 'r', image([]), TAG);
    const answer = answered(await at.send('GET', `/v2/r/referrers/${SUBJECT.digest}`), 200);
    assert.deepEqual(referrersOf(answer), []);
  });
};
