// Making the index of referrers again from the manifests, for data that another registry wrote.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { rebuildReferrers } from '../../lib/admin/index.js';
import { digestOf, type RepositoryName } from '../../lib/model/index.js';
import { blobKey, REPOSITORIES, revisionLinkKey } from '../../lib/services/keys.js';
import { describe, fixture, imageDocument, indexDocument, name, putDocument, REPOSITORY } from './services-fixture.js';

/** Two repositories with a subject and two referrers each, one of them a sha512 manifest, and no index. */
async function withoutIndex() {
  const { storage, services } = await fixture();
  const expected = new Map<RepositoryName, string[]>();
  const base = await imageDocument(services);
  const subject = describe(base);
  for (const repository of [REPOSITORY, name('other/nested')]) {
    await imageDocument(services, {}, repository);
    await putDocument(services, base, subject.digest, repository);
    const signature = { ...base, subject };
    const index = indexDocument([], { subject, annotations: { of: repository } });
    const long = digestOf(Buffer.from(JSON.stringify(index)), 'sha512');
    const short = await putDocument(services, signature, describe(signature).digest, repository);
    await putDocument(services, index, long, repository);
    expected.set(repository, [short, long]);
    await storage.remove(`${REPOSITORIES}/${repository}/_referrers`);
  }
  return { storage, subject: subject.digest, expected };
}

test('every manifest with a subject is entered again, in all repositories', async () => {
  const { storage, subject, expected } = await withoutIndex();
  const { services } = await fixture({ storage });
  const listed = async (repository: RepositoryName) =>
    (await services.referrers.list(repository, subject, { limit: 10 })).items.map(({ digest }) => digest);
  for (const repository of expected.keys()) assert.deepEqual(await listed(repository), []);

  for (let round = 0; round < 2; round += 1) {
    const entered = await rebuildReferrers({ storage });
    assert.deepEqual(
      [...entered],
      [...expected.keys()].map((repository) => [repository, 2] as const),
    );
    for (const [repository, digests] of expected) assert.deepEqual(await listed(repository), digests);
  }
});

test('one repository alone', async () => {
  const { storage, subject, expected } = await withoutIndex();
  const entered = await rebuildReferrers({ storage, repository: REPOSITORY });
  assert.deepEqual([...entered], [[REPOSITORY, 2]]);
  const { services } = await fixture({ storage });
  for (const repository of expected.keys()) {
    const { items } = await services.referrers.list(repository, subject, { limit: 10 });
    assert.equal(items.length, repository === REPOSITORY ? 2 : 0);
  }
});

test('a repository that nobody has pushed to, and an empty store, have none', async () => {
  const { storage } = await fixture();
  assert.deepEqual([...(await rebuildReferrers({ storage }))], []);
  assert.deepEqual([...(await rebuildReferrers({ storage, repository: REPOSITORY }))], [[REPOSITORY, 0]]);
});

test('a manifest that nobody can read does not keep the others from being entered', async () => {
  const { storage, subject, expected } = await withoutIndex();
  const bytes = Buffer.from('{"schemaVersion":1}');
  const odd = digestOf(bytes);
  await storage.put(blobKey(odd), bytes);
  await storage.put(revisionLinkKey(REPOSITORY, odd), Buffer.from(odd));
  const entered = await rebuildReferrers({ storage });
  assert.equal(entered.get(REPOSITORY), 2);
  const { services } = await fixture({ storage });
  const { items } = await services.referrers.list(REPOSITORY, subject, { limit: 10 });
  assert.deepEqual(
    items.map(({ digest }) => digest),
    expected.get(REPOSITORY),
  );
});

test.run();
