// `GET referrers/<digest>`: who has this manifest as its subject.
import assert from 'node:assert/strict';
import {
  describe,
  digestOf,
  image,
  index,
  NOWHERE,
  OCI_CONFIG,
  OCI_IMAGE,
  OCI_INDEX,
  pushBlob,
  pushManifest,
} from '../../support/content.js';
import type { Answer } from '../../support/http-client.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, json, refused } from './answers.js';
import type { Suite } from './index.js';
import { nextPage, readPages } from './tags.js';

export const SUBJECT = describe(OCI_INDEX, index([]));
export const SBOM = 'application/vnd.example.sbom.v1';
const SIGNATURE = 'application/vnd.example.signature.v1';

interface Referrer {
  readonly digest: string;
}

export const referrersOf = (answer: Answer) => json<{ manifests: Referrer[] }>(answer).manifests;

/** Pushes images that refer to the subject; answers their digests in the order of a list. */
async function pushReferrers(at: OpenRegistry, count: number, artifactType = SBOM): Promise<string[]> {
  await pushBlob(at, 'r', '{}');
  const digests: string[] = [];
  for (let number = 0; number < count; number++) {
    digests.push(await pushManifest(at, 'r', image([], { subject: SUBJECT, artifactType, number })));
  }
  return digests.sort();
}

async function listed(at: OpenRegistry, query = ''): Promise<string[]> {
  const answer = answered(await at.send('GET', `/v2/r/referrers/${SUBJECT.digest}${query}`), 200);
  return referrersOf(answer).map(({ digest }) => digest);
}

export const referrersSuite: Suite = (test, open) => {
  test('without referrers, without the subject, and without the repository: an empty index', async () => {
    const at = await open();
    await pushManifest(at, 'r', index([]));
    for (const path of [`r/referrers/${SUBJECT.digest}`, `r/referrers/${NOWHERE}`, `none/referrers/${NOWHERE}`]) {
      const answer = answered(await at.send('GET', `/v2/${path}`), 200);
      assert.equal(answer.headers['content-type'], OCI_INDEX);
      assert.deepEqual(json(answer), { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
      assert.equal(answer.headers['oci-filters-applied'], undefined);
      assert.equal(answer.headers.link, undefined);
    }
  });

  test('a malformed digest is refused', async () => {
    const at = await open();
    for (const digest of ['latest', 'sha256:zzz', 'md5:00', `sha256:${'A'.repeat(64)}`]) {
      refused(await at.send('GET', `/v2/r/referrers/${digest}`), 400, 'DIGEST_INVALID');
    }
  });

  test('descriptors say what the manifests say', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const annotations = { 'org.example': 'yes' };
    const typed = image([], { subject: SUBJECT, artifactType: SBOM, annotations });
    const untyped = image([], { subject: SUBJECT });
    const typedIndex = index([], { subject: SUBJECT, artifactType: SBOM });
    const untypedIndex = index([], { subject: SUBJECT, annotations });
    const expected = [
      describe(OCI_IMAGE, typed, { artifactType: SBOM, annotations }),
      describe(OCI_IMAGE, untyped, { artifactType: OCI_CONFIG }),
      describe(OCI_INDEX, typedIndex, { artifactType: SBOM }),
      describe(OCI_INDEX, untypedIndex, { annotations }),
    ];
    for (const document of [typed, untyped, typedIndex, untypedIndex]) await pushManifest(at, 'r', document);
    const answer = answered(await at.send('GET', `/v2/r/referrers/${SUBJECT.digest}`), 200);
    const byDigest = (a: Referrer, b: Referrer) => (a.digest < b.digest ? -1 : 1);
    assert.deepEqual(referrersOf(answer), expected.sort(byDigest));
  });

  test('a referrer may come before its subject, and again', async () => {
    const at = await open();
    const digests = await pushReferrers(at, 2);
    await pushManifest(at, 'r', index([]));
    await pushReferrers(at, 2);
    assert.deepEqual(await listed(at), digests);
  });

  test('a filter is applied and said to be', async () => {
    const at = await open();
    const [sbom = ''] = await pushReferrers(at, 1, SBOM);
    const [signature = ''] = await pushReferrers(at, 1, SIGNATURE);
    for (const [artifactType, expected] of [
      [SBOM, [sbom]],
      [SIGNATURE, [signature]],
      ['application/vnd.none', []],
    ] as const) {
      const path = `/v2/r/referrers/${SUBJECT.digest}?artifactType=${encodeURIComponent(artifactType)}`;
      const answer = answered(await at.send('GET', path), 200);
      assert.deepEqual(
        referrersOf(answer).map(({ digest }) => digest),
        expected,
      );
      assert.equal(answer.headers['oci-filters-applied'], 'artifactType');
      assert.equal(answer.headers['content-type'], OCI_INDEX);
    }
    assert.deepEqual(await listed(at), [sbom, signature].sort());
  });

  test('an image without a type of its own is found by that of its config', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const digest = await pushManifest(at, 'r', image([], { subject: SUBJECT }));
    assert.deepEqual(await listed(at, `?artifactType=${encodeURIComponent(OCI_CONFIG)}`), [digest]);
  });

  test('a list that is split loses nothing, and keeps its filter', async () => {
    const at = await open();
    const digests = await pushReferrers(at, 7);
    await pushReferrers(at, 3, SIGNATURE);
    const query = `?n=2&artifactType=${encodeURIComponent(SBOM)}`;
    const first = answered(await at.send('GET', `/v2/r/referrers/${SUBJECT.digest}${query}`), 200);
    assert.equal(new URLSearchParams(nextPage(at, first)?.split('?')[1]).get('artifactType'), SBOM);
    const pages = await readPages(at, `/v2/r/referrers/${SUBJECT.digest}${query}`, referrersOf);
    assert.deepEqual(
      pages.flat().map(({ digest }) => digest),
      digests,
    );
    assert.equal(pages.length, 4);
  });

  test('a list whose descriptors are too large for one answer is split', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const digests: string[] = [];
    for (let number = 0; number < 3; number++) {
      const annotations = { long: 'x'.repeat(1_600_000) };
      digests.push(await pushManifest(at, 'r', image([], { subject: SUBJECT, annotations, number })));
    }
    const sizes: number[] = [];
    const pages = await readPages(at, `/v2/r/referrers/${SUBJECT.digest}`, (answer) => {
      sizes.push(answer.body.length);
      return referrersOf(answer);
    });
    assert.deepEqual(
      pages.flat().map(({ digest }) => digest),
      digests.sort(),
    );
    assert.ok(sizes.length > 1 && sizes.every((size) => size < 4 << 20), `${sizes}`);
  });

  test('a deleted referrer is gone from the list; a deleted subject keeps its own', async () => {
    const at = await open();
    const [first = '', second = ''] = await pushReferrers(at, 2);
    await pushManifest(at, 'r', index([]));
    empty(await at.send('DELETE', `/v2/r/manifests/${first}`), 202);
    assert.deepEqual(await listed(at), [second]);
    empty(await at.send('DELETE', `/v2/r/manifests/${SUBJECT.digest}`), 202);
    assert.deepEqual(await listed(at), [second]);
  });

  test('referrers of another repository are not listed', async () => {
    const at = await open();
    await pushReferrers(at, 1);
    const answer = answered(await at.send('GET', `/v2/other/referrers/${SUBJECT.digest}`), 200);
    assert.deepEqual(referrersOf(answer), []);
  });

  test('a sha512 subject, and odd positions, are fine', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const subject = { mediaType: OCI_IMAGE, digest: digestOf('x', 'sha512'), size: 1 };
    const digest = await pushManifest(at, 'r', image([], { subject }));
    const answer = answered(await at.send('GET', `/v2/r/referrers/${subject.digest}`), 200);
    assert.deepEqual(
      referrersOf(answer).map((referrer) => referrer.digest),
      [digest],
    );
    for (const last of ['x', '..', '%00']) {
      answered(await at.send('GET', `/v2/r/referrers/${subject.digest}?last=${last}`), 200);
    }
    const path = `/v2/r/referrers/${subject.digest}?n=x`;
    refused(await at.send('GET', path), 400, 'PAGINATION_NUMBER_INVALID');
  });
};
