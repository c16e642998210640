// The index of referrers: what is in it, in which order, filtered and in pages, merged with what older
// clients noted under the referrers tag.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { type Descriptor, type Digest, digestOf, OCI_CONFIG, OCI_IMAGE, referrersTag } from '../../lib/model/index.js';
import type { Services } from '../../lib/services/index.js';
import { blobKey, referrerKey, referrersKey, revisionLinkKey } from '../../lib/services/keys.js';
import {
  type Document,
  describe,
  fixture,
  imageDocument,
  indexDocument,
  name,
  putDocument,
  REPOSITORY,
  tag,
} from './services-fixture.js';

const SIGNATURE = 'application/vnd.signature';
const SBOM = 'application/vnd.sbom';

interface Referred {
  readonly storage: Awaited<ReturnType<typeof fixture>>['storage'];
  readonly services: Services;
  readonly base: Document;
  readonly subject: Digest;
}

async function referred(): Promise<Referred> {
  const { storage, services } = await fixture();
  const base = await imageDocument(services);
  const subject = await putDocument(services, base);
  return { storage, services, base, subject };
}

/** A referrer of `base`, told from others by its number. */
function referrer(base: Document, number: number, artifactType = SIGNATURE): Document {
  return { ...base, artifactType, subject: describe(base), annotations: { number: String(number) } };
}

async function list(services: Services, subject: Digest, query: { artifactType?: string; limit?: number } = {}) {
  return (await services.referrers.list(REPOSITORY, subject, { limit: 1000, ...query })).items;
}

const digests = (items: readonly Descriptor[]) => items.map(({ digest }) => digest);

test('a referrer is entered by its push with media type, size, artifact type and annotations, and leaves by its delete', async () => {
  const { services, base, subject } = await referred();
  const document = referrer(base, 1);
  const { digest, size } = describe(document) as Document & { digest: Digest; size: number };
  await putDocument(services, document, digest);
  const expected = { mediaType: OCI_IMAGE, digest, size, artifactType: SIGNATURE, annotations: { number: '1' } };
  assert.deepEqual(await list(services, subject), [expected]);
  await putDocument(services, document, digest);
  assert.equal((await list(services, subject)).length, 1, 'a repeated push adds nothing');
  await services.manifests.delete(REPOSITORY, digest);
  assert.deepEqual(await list(services, subject), []);
});

test('an image without an artifact type has that of its config, an index only its own', async () => {
  const { services, base, subject } = await referred();
  const { artifactType: _, ...image } = referrer(base, 1);
  await putDocument(services, image);
  await putDocument(services, indexDocument([], { subject: describe(base) }));
  await putDocument(services, indexDocument([], { subject: describe(base), artifactType: SBOM }));
  const types = (await list(services, subject)).map(({ artifactType }) => artifactType);
  assert.deepEqual(new Set(types), new Set([OCI_CONFIG, undefined, SBOM]));
});

test('a subject need not exist, and nobody refers to what nobody knows', async () => {
  const { services, base } = await referred();
  const absent = { mediaType: OCI_IMAGE, digest: digestOf(Buffer.from('absent')), size: 6 };
  const digest = await putDocument(services, { ...base, subject: absent });
  assert.deepEqual(digests(await list(services, absent.digest)), [digest]);
  assert.deepEqual(await list(services, digestOf(Buffer.from('nothing'))), []);
  const elsewhere = await services.referrers.list(name('elsewhere'), absent.digest, { limit: 10 });
  assert.deepEqual(elsewhere, { items: [], more: false });
});

test('referrers come in the order of their digests, in pages of any size, filtered or not', async () => {
  const { services, base, subject } = await referred();
  const all: Digest[] = [];
  const signatures: Digest[] = [];
  for (let number = 0; number < 37; number += 1) {
    const digest = await putDocument(services, referrer(base, number, number % 3 === 0 ? SBOM : SIGNATURE));
    all.push(digest);
    if (number % 3 !== 0) signatures.push(digest);
  }
  for (const [artifactType, expected] of [
    [undefined, all.sort()],
    [SIGNATURE, signatures.sort()],
    ['application/vnd.other', []],
  ] as const) {
    for (const limit of [1, 2, 16, 36, 37, 38]) {
      const collected: Digest[] = [];
      for (let more = true; more; ) {
        const after = collected.at(-1);
        const page = await services.referrers.list(REPOSITORY, subject, { artifactType, after, limit });
        assert.ok(page.items.length === limit || !page.more);
        collected.push(...digests(page.items));
        more = page.more;
      }
      assert.deepEqual(collected, expected, `${artifactType} by ${limit}`);
    }
  }
  assert.deepEqual(await services.referrers.list(REPOSITORY, subject, { limit: 0 }), { items: [], more: false });
});

test('a page ends before its descriptors are larger than what clients take', async () => {
  const { services, base, subject } = await referred();
  const large = 'x'.repeat(1024 * 1024);
  for (let number = 0; number < 5; number += 1) {
    await putDocument(services, { ...referrer(base, number), annotations: { large, number: String(number) } });
  }
  const first = await services.referrers.list(REPOSITORY, subject, { limit: 1000 });
  assert.equal(first.more, true);
  assert.equal(first.items.length, 2);
  const after = first.items.at(-1)?.digest;
  const second = await services.referrers.list(REPOSITORY, subject, { limit: 1000, after });
  assert.equal(second.items.length, 2);
  assert.equal(new Set(digests([...first.items, ...second.items])).size, 4);
});

test('what clients noted under the referrers tag is merged in, once, and only what is true', async () => {
  const { storage, services, base, subject } = await referred();
  const pushed: Digest[] = [];
  for (let number = 0; number < 6; number += 1) pushed.push(await putDocument(services, referrer(base, number)));
  // As after a move from a registry without the API: three are in the index of the tag alone.
  for (const digest of pushed.slice(0, 3)) {
    await storage.remove(`${referrersKey(REPOSITORY, subject)}/${digest.replace(':', '-')}`);
  }
  assert.equal((await list(services, subject)).length, 3);
  const noted = [...pushed.slice(0, 4), pushed[0], subject].map((digest) => ({
    mediaType: OCI_IMAGE,
    digest,
    size: 1,
  }));
  await putDocument(services, indexDocument(noted), referrersTag(subject));
  const sorted = [...pushed].sort();
  assert.deepEqual(digests(await list(services, subject)), sorted, 'the subject does not refer to itself');

  for (let index = 0; index < sorted.length; index += 1) {
    const page = await services.referrers.list(REPOSITORY, subject, { after: sorted[index], limit: 2 });
    assert.deepEqual(digests(page.items), sorted.slice(index + 1, index + 3));
    assert.equal(page.more, index + 3 < sorted.length);
  }
  await services.manifests.delete(REPOSITORY, pushed[0] as Digest);
  assert.deepEqual(digests(await list(services, subject)), pushed.slice(1).sort(), 'a deleted one is noted in vain');
});

test('a referrer that another registry deleted is not listed, and a rebuild removes its entry', async () => {
  const { storage, services, base, subject } = await referred();
  const gone = await putDocument(services, referrer(base, 1));
  const left = await putDocument(services, referrer(base, 2));
  await storage.remove(revisionLinkKey(REPOSITORY, gone));
  const other = (await fixture({ storage })).services;
  assert.deepEqual(digests(await list(other, subject)), [left]);
  assert.equal(await other.referrers.rebuild(REPOSITORY), 1);
  await assert.rejects(storage.stat(referrerKey(REPOSITORY, subject, gone)), { reason: 'not-found' });
  assert.deepEqual(digests(await list(other, subject)), [left]);
});

test('a page reads no more of what is noted than it shows, and a few', async () => {
  const { storage, services, base, subject } = await referred();
  const noted = [];
  for (let number = 0; number < 100; number += 1) {
    const document = referrer(base, number);
    const digest = await putDocument(services, document);
    noted.push({ mediaType: OCI_IMAGE, digest, size: 1 });
    await storage.remove(referrerKey(REPOSITORY, subject, digest));
  }
  await putDocument(services, indexDocument(noted), referrersTag(subject));
  const other = (await fixture({ storage })).services;
  const calls = await storage.during(async () => assert.equal((await list(other, subject, { limit: 5 })).length, 5));
  assert.ok(calls.length < 40, `${calls.length} calls`);
});

test('a noted manifest that nobody here can read is passed over', async () => {
  const { storage, services, base, subject } = await referred();
  const known = await putDocument(services, referrer(base, 1));
  const bytes = Buffer.from('{"schemaVersion":1}');
  const odd = digestOf(bytes);
  await storage.put(blobKey(odd), bytes);
  await storage.put(revisionLinkKey(REPOSITORY, odd), Buffer.from(odd));
  const noted = indexDocument([{ mediaType: OCI_IMAGE, digest: odd, size: bytes.length }]);
  await putDocument(services, noted, referrersTag(subject));
  assert.deepEqual(digests(await list(services, subject)), [known]);
  await assert.rejects(services.manifests.get(REPOSITORY, odd), { code: 'MANIFEST_UNKNOWN' });
  await services.manifests.delete(REPOSITORY, odd);
});

test('the referrers of one subject are not those of another, nor of another repository', async () => {
  const { services, base, subject } = await referred();
  const other = await putDocument(services, referrer(base, 1), tag('one'));
  const ofOther = await putDocument(services, { ...base, subject: describe(referrer(base, 1)) }, tag('two'));
  assert.deepEqual(digests(await list(services, subject)), [other]);
  assert.deepEqual(digests(await list(services, other)), [ofOther]);
  const elsewhere = await services.referrers.list(name('elsewhere'), subject, { limit: 10 });
  assert.deepEqual(elsewhere.items, []);
});

test('a listing costs what it shows', async () => {
  const { storage, services, base, subject } = await referred();
  for (let number = 0; number < 60; number += 1) await putDocument(services, referrer(base, number));
  const calls = await storage.during(() => services.referrers.list(REPOSITORY, subject, { limit: 5 }));
  // The tag's link, one listing, and the descriptors that are read ahead.
  assert.ok(calls.length <= 2 + 16, String(calls.length));
});

test.run();
