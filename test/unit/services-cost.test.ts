// What requests cost: how often they ask the store, by the keys that they ask for.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { digestOf } from '../../lib/model/index.js';
import { blobKey, blobLinkKey, revisionLinkKey, tagCurrentKey } from '../../lib/services/keys.js';
import {
  chunk,
  describe,
  fixture,
  follow,
  imageDocument,
  indexDocument,
  name,
  pushBlob,
  putDocument,
  REPOSITORY,
  read,
  tag,
} from './services-fixture.js';

/** Too large to be kept in memory. */
const LARGE = 'x'.repeat(300 * 1024);

test('a manifest costs nothing by digest and one link by tag, from the push on', async () => {
  const { storage, services } = await fixture();
  const digest = await putDocument(services, await imageDocument(services));
  const byDigest = await storage.during(() => services.manifests.get(REPOSITORY, digest));
  assert.deepEqual(byDigest, []);
  const byTag = await storage.during(() => services.manifests.get(REPOSITORY, tag('latest')));
  assert.deepEqual(byTag, [`get ${tagCurrentKey(REPOSITORY, tag('latest'))}`]);
});

test('another host reads link and content once, and then nothing', async () => {
  const { storage, services } = await fixture();
  const digest = await putDocument(services, await imageDocument(services));
  const other = (await fixture({ storage })).services;
  const first = await storage.during(() => other.manifests.get(REPOSITORY, digest));
  assert.deepEqual(first, [`get ${revisionLinkKey(REPOSITORY, digest)}`, `get ${blobKey(digest)}`]);
  assert.deepEqual(await storage.during(() => other.manifests.get(REPOSITORY, digest)), []);
});

test('the content of a manifest is read once for all repositories, its link once for each', async () => {
  const { storage, services } = await fixture();
  const document = await imageDocument(services);
  const digest = await putDocument(services, document);
  const second = name('library/second');
  await putDocument(services, await imageDocument(services, {}, second), digest, second);
  const other = (await fixture({ storage })).services;
  await other.manifests.get(REPOSITORY, digest);
  const calls = await storage.during(() => other.manifests.get(second, digest));
  assert.deepEqual(calls, [`get ${revisionLinkKey(second, digest)}`]);
});

test('a warm HEAD of a blob costs nothing, a warm GET nothing where it is small and one open where it is not', async () => {
  const { storage, services } = await fixture();
  const { signal } = new AbortController();
  const get = async (digest: ReturnType<typeof digestOf>) =>
    read(
      await services.blobs.open(REPOSITORY, digest, {
        descriptor: await services.blobs.stat(REPOSITORY, digest),
        call: { signal },
      }),
    );
  for (const [content, warm] of [
    ['small', []],
    [LARGE, [`open ${blobKey(digestOf(Buffer.from(LARGE)))}`]],
  ] as const) {
    const digest = await pushBlob(services, content);
    assert.deepEqual(await storage.during(() => services.blobs.stat(REPOSITORY, digest)), []);
    assert.equal(String(await get(digest)), content);
    assert.deepEqual(await storage.during(() => get(digest)), warm);
  }
});

test('a cold HEAD of a blob reads its link and measures its content', async () => {
  const { storage, services } = await fixture();
  const digest = await pushBlob(services, 'x');
  const other = (await fixture({ storage })).services;
  const calls = await storage.during(() => other.blobs.stat(REPOSITORY, digest));
  assert.deepEqual(calls, [`get ${blobLinkKey(REPOSITORY, digest)}`, `stat ${blobKey(digest)}`]);
  assert.deepEqual(await storage.during(() => other.blobs.stat(REPOSITORY, digest)), []);
});

test('a blob that is known in one repository costs another only its link', async () => {
  const { storage, services } = await fixture();
  const digest = await pushBlob(services, 'x');
  await pushBlob(services, 'x', name('b'));
  const other = (await fixture({ storage })).services;
  await other.blobs.stat(REPOSITORY, digest);
  const calls = await storage.during(() => other.blobs.stat(name('b'), digest));
  assert.deepEqual(calls, [`get ${blobLinkKey(name('b'), digest)}`]);
});

test('what is not there is asked for each time, and with one call', async () => {
  const { storage, services } = await fixture();
  const digest = digestOf(Buffer.from('nowhere'));
  for (let round = 0; round < 2; round += 1) {
    const blob = () => assert.rejects(services.blobs.stat(REPOSITORY, digest), { code: 'BLOB_UNKNOWN' });
    assert.deepEqual(await storage.during(blob), [`get ${blobLinkKey(REPOSITORY, digest)}`]);
    const manifest = () => assert.rejects(services.manifests.get(REPOSITORY, digest), { code: 'MANIFEST_UNKNOWN' });
    assert.deepEqual(await storage.during(manifest), [`get ${revisionLinkKey(REPOSITORY, digest)}`]);
  }
});

test('a push does not believe what is remembered of a blob whose content or link is gone', async () => {
  const { storage, services, later } = await fixture();
  const document = await imageDocument(services);
  const config = digestOf(Buffer.from('{}'));
  for (const key of [blobLinkKey(REPOSITORY, config), blobKey(config)]) {
    await pushBlob(services, '{}');
    later();
    await storage.remove(key);
    assert.equal((await services.blobs.stat(REPOSITORY, config)).size, 2, 'it is remembered');
    await assert.rejects(putDocument(services, document), {
      code: 'MANIFEST_BLOB_UNKNOWN',
      detail: { digest: config },
    });
    assert.equal(await services.blobs.mount(name('elsewhere'), config, REPOSITORY), undefined);
    await assert.rejects(services.blobs.stat(name('elsewhere'), config), { code: 'BLOB_UNKNOWN' });
  }
});

test('a push does not believe what is remembered of a child', async () => {
  const { storage, services, later } = await fixture();
  const document = await imageDocument(services);
  const child = describe(document);
  for (const key of [revisionLinkKey(REPOSITORY, child.digest), blobKey(child.digest)]) {
    await putDocument(services, document);
    later();
    await storage.remove(key);
    await services.manifests.get(REPOSITORY, child.digest);
    await assert.rejects(putDocument(services, indexDocument([child])), { code: 'MANIFEST_BLOB_UNKNOWN' });
  }
});

test('each missing blob has an error of its own, and layers from elsewhere may be missing', async () => {
  const { services } = await fixture();
  const missing = ['1', '2', '3'].map((text) => digestOf(Buffer.from(text)));
  const layers = [...missing, ...missing].map((digest) => ({ mediaType: 'a/b', digest, size: 1 }));
  const foreign = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest: missing[0],
    size: 1,
  };
  const document = await imageDocument(services);
  await assert.rejects(putDocument(services, { ...document, layers }), (error: { entries: { detail: unknown }[] }) => {
    assert.deepEqual(
      error.entries.map(({ detail }) => detail),
      missing.map((digest) => ({ digest })),
    );
    return true;
  });
  await putDocument(services, { ...document, layers: [foreign] });
});

test('a digest is known from the bytes that stream by; they are read again only where nobody saw them all', async () => {
  const { storage, services } = await fixture();
  const content = 'one two three';
  const digest = digestOf(Buffer.from(content));
  const { uploads } = services;

  const usual = await uploads.append(follow(await uploads.start(REPOSITORY, 'sha256')), chunk(content));
  await uploads.finish(follow(usual), digest);
  const first = await uploads.append(follow(await uploads.start(REPOSITORY, 'sha256')), chunk('one '));
  await uploads.finish(follow(await uploads.append(follow(first), chunk('two '))), digest, chunk('three'));
  assert.equal(uploads.bytesReread, 0, 'chunks within one process');

  const elsewhere = (await fixture({ storage })).services.uploads;
  const moved = await uploads.append(follow(await uploads.start(REPOSITORY, 'sha256')), chunk(content));
  await elsewhere.finish(follow(moved), digest);
  assert.equal(elsewhere.bytesReread, 0, 'the digest travels in the state');

  const begun = await uploads.append(follow(await uploads.start(REPOSITORY, 'sha256')), chunk('one '));
  await elsewhere.finish(follow(await elsewhere.append(follow(begun), chunk('two three'))), digest);
  assert.equal(elsewhere.bytesReread, content.length, 'another process goes on with the middle');

  const other = digestOf(Buffer.from(content), 'sha512');
  const late = await uploads.append(follow(await uploads.start(REPOSITORY, 'sha256')), chunk(content));
  await uploads.finish(follow(late), other);
  assert.equal(uploads.bytesReread, content.length, 'the client named another algorithm at the end');
});

test.run();
