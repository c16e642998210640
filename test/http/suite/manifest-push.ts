// Pushing manifests: what is kept byte for byte, what is answered, and what is refused.
import assert from 'node:assert/strict';
import {
  content,
  describe,
  digestOf,
  image,
  index,
  NOWHERE,
  OCI_IMAGE,
  OCI_INDEX,
  OCI_LAYER,
  pushBlob,
  pushManifest,
  putManifest,
} from '../../support/content.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, json, refused } from './answers.js';
import type { Suite } from './index.js';

const FOREIGN = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
const NON_DISTRIBUTABLE = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';

/** Documents that are whole, each with something that a registry might lose. */
const DOCUMENTS: Readonly<Record<string, string>> = {
  'an image without layers': image([]),
  'an image with odd white space': `${image([]).replaceAll(',', ' ,\r\n\t')}\n\n`,
  'an index without manifests': index([]),
  'unknown fields': image([], { 'x-unknown': { deep: [1, 1.0, 1e3] }, ключ: 'значение' }),
  'a data field': image([], { config: describe('application/vnd.oci.image.config.v1+json', '{}', { data: 'e30=' }) }),
  'a manifest of 3.9 MB': image([], { annotations: { long: 'x'.repeat(3_900_000) } }),
  'no media type of its own': image([], { mediaType: undefined }),
};

function put(at: OpenRegistry, reference: string, body: string, contentType?: string) {
  return at.send('PUT', `/v2/r/manifests/${reference}`, {
    body,
    headers: contentType === undefined ? {} : { 'Content-Type': contentType },
  });
}

export const manifestPushSuite: Suite = (test, open) => {
  for (const [what, document] of Object.entries(DOCUMENTS)) {
    test(`${what} travels byte for byte`, async () => {
      const at = await open();
      await pushBlob(at, 'r', '{}');
      const digest = digestOf(document);
      const answer = empty(await putManifest(at, 'r', 'latest', document), 201);
      assert.equal(answer.headers['docker-content-digest'], digest);
      assert.equal(at.within(answer.headers.location), `/v2/r/manifests/${digest}`);
      const got = answered(await at.send('GET', at.within(answer.headers.location)), 200);
      assert.equal(digestOf(got.body), digest);
      const { mediaType = OCI_IMAGE } = JSON.parse(document) as { mediaType?: string };
      assert.equal(got.headers['content-type'], mediaType);
    });
  }

  test('nested indexes', async () => {
    const at = await open();
    const inner = index([]);
    await pushManifest(at, 'r', inner);
    const outer = index([describe(OCI_INDEX, inner)]);
    await pushManifest(at, 'r', outer, 'outer');
    assert.equal((await at.send('GET', '/v2/r/manifests/outer')).body.toString(), outer);
  });

  test('by digest, sha256 and sha512, the bytes must match', async () => {
    const at = await open();
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const document = index([], { annotations: { algorithm } });
      const digest = digestOf(document, algorithm);
      const answer = empty(await putManifest(at, 'r', digest, document), 201);
      assert.equal(answer.headers['docker-content-digest'], digest);
      const got = answered(await at.send('GET', at.within(answer.headers.location)), 200);
      assert.equal(got.body.toString(), document);
      const other = digestOf('something else', algorithm);
      refused(await putManifest(at, 'r', other, document), 400, 'DIGEST_INVALID');
      refused(await at.send('GET', `/v2/r/manifests/${other}`), 404, 'MANIFEST_UNKNOWN');
    }
  });

  test('the tags of a query are set, and answered as OCI-Tag', async () => {
    const at = await open();
    const document = index([]);
    const tags = Array.from({ length: 10 }, (_, number) => `v${number}`);
    const query = tags.map((tag) => `tag=${tag}`).join('&');
    const answer = empty(await putManifest(at, 'r', `${digestOf(document)}?${query}`, document), 201);
    assert.deepEqual(String(answer.headers['oci-tag']).split(', '), tags);
    assert.deepEqual(json(await at.send('GET', '/v2/r/tags/list')), { name: 'r', tags });
  });

  test('too many tags, or one that is malformed, set none', async () => {
    const at = await open();
    const document = index([]);
    const many = Array.from({ length: 101 }, (_, number) => `tag=${number}`).join('&');
    refused(await putManifest(at, 'r', `${digestOf(document)}?${many}`, document), 414, 'TAG_INVALID');
    for (const query of ['tag=', 'tag=ok&tag=-bad', 'tag=a/b', `tag=${'x'.repeat(129)}`, 'tag=sha256:00']) {
      refused(await putManifest(at, 'r', `${digestOf(document)}?${query}`, document), 400, 'TAG_INVALID');
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('without tags in the query there is no OCI-Tag', async () => {
    const at = await open();
    assert.equal((await putManifest(at, 'r', 'v1', index([]))).headers['oci-tag'], undefined);
  });

  test('OCI-Subject is answered for images and indexes, whether the subject is there or not', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const there = describe(OCI_INDEX, index([]));
    await pushManifest(at, 'r', index([]));
    const subjects = [there, { mediaType: OCI_IMAGE, digest: NOWHERE, size: 7 }];
    for (const subject of subjects) {
      for (const document of [image([], { subject }), index([], { subject })]) {
        const answer = empty(await putManifest(at, 'r', digestOf(document), document), 201);
        assert.equal(answer.headers['oci-subject'], subject.digest);
      }
    }
    assert.equal((await putManifest(at, 'r', 'v1', index([]))).headers['oci-subject'], undefined);
  });

  test('parameters and the case of a Content-Type do not matter, and it may be missing', async () => {
    const at = await open();
    for (const type of [`${OCI_INDEX}; charset=utf-8`, OCI_INDEX.toUpperCase(), `${OCI_INDEX};`, undefined]) {
      empty(await put(at, 'v1', index([]), type), 201);
      assert.equal((await at.send('GET', '/v2/r/manifests/v1')).headers['content-type'], OCI_INDEX);
    }
  });

  test('a Content-Type that is not the mediaType inside is refused', async () => {
    const at = await open();
    for (const type of [OCI_IMAGE, 'application/json', 'text/plain', 'nonsense']) {
      refused(await put(at, 'v1', index([]), type), 400, 'MANIFEST_INVALID');
    }
    assert.deepEqual(await at.keys(), []);
  });

  test('each missing blob and child is named in an error of its own', async () => {
    const at = await open();
    const [one, two] = [content(10, 1), content(10, 2)];
    await pushBlob(at, 'r', two);
    const errors = refused(await putManifest(at, 'r', 'v1', image([one, two])), 400, 'MANIFEST_BLOB_UNKNOWN');
    assert.deepEqual(
      errors.map(({ code, detail }) => [code, detail]),
      ['{}', one].map((bytes) => ['MANIFEST_BLOB_UNKNOWN', { digest: digestOf(bytes) }]),
    );
    const missing = index([describe(OCI_IMAGE, 'gone'), describe(OCI_IMAGE, 'gone'), describe(OCI_IMAGE, 'gone too')]);
    assert.equal(refused(await putManifest(at, 'r', 'v1', missing), 400, 'MANIFEST_BLOB_UNKNOWN').length, 2);
    refused(await at.send('GET', '/v2/r/manifests/v1'), 404, 'MANIFEST_UNKNOWN');
  });

  test('a blob of another repository is missing all the same', async () => {
    const at = await open();
    await pushBlob(at, 'other', '{}');
    refused(await putManifest(at, 'r', 'v1', image([])), 400, 'MANIFEST_BLOB_UNKNOWN');
  });

  test('layers that may live elsewhere need not be there', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const elsewhere = [FOREIGN, NON_DISTRIBUTABLE].map((type) => ({ mediaType: type, digest: NOWHERE, size: 3 }));
    await pushManifest(at, 'r', image([], { layers: elsewhere }));
    const document = image([], { layers: [...elsewhere, { mediaType: OCI_LAYER, digest: digestOf('no'), size: 3 }] });
    const errors = refused(await putManifest(at, 'r', 'v1', document), 400, 'MANIFEST_BLOB_UNKNOWN');
    assert.deepEqual(
      errors.map(({ detail }) => detail),
      [{ digest: digestOf('no') }],
    );
  });

  test('with the check of references switched off, anything may be missing', async () => {
    const at = await open({ validation: { manifests: { references: false } } });
    empty(await putManifest(at, 'r', 'v1', image([content(10)])), 201);
  });

  test('a manifest over the limit is 413; one of just the limit is not', async () => {
    const document = index([], { annotations: { a: 'x'.repeat(1000) } });
    const at = await open({ http: { maxManifestBytes: document.length } });
    empty(await putManifest(at, 'r', 'fits', document), 201);
    const before = await at.keys();
    refused(await put(at, 'v1', `${document} `, OCI_INDEX), 413, 'MANIFEST_INVALID');
    const options = { headers: { 'Content-Type': OCI_INDEX }, body: [Buffer.from(document), Buffer.from(' ')] };
    refused(await at.send('PUT', '/v2/r/manifests/v1', options), 413, 'MANIFEST_INVALID');
    assert.deepEqual(await at.keys(), before);
  });

  test('the limit is 4 MiB by default', async () => {
    const at = await open();
    const body = Buffer.alloc((4 << 20) + 1, ' ');
    refused(await at.send('PUT', '/v2/r/manifests/v1', { body }), 413, 'MANIFEST_INVALID');
    refused(await at.send('PUT', '/v2/r/manifests/v1', { body: body.subarray(1) }), 400, 'MANIFEST_INVALID');
    answered(await at.send('GET', '/v2/'), 200);
  });
};
