// The cache of descriptors, as the services use it: it may fail and be slow, and yet nobody is told
// of what was taken away.
import assert from 'node:assert/strict';
import { setImmediate as settled } from 'node:timers/promises';
import { test } from 'uvu';
import type { DescriptorCache, DescriptorSet } from '../../lib/contracts/index.js';
import type { ErrorCode } from '../../lib/errors.js';
import { type Descriptor, type Digest, digestOf } from '../../lib/model/index.js';
import type { Services } from '../../lib/services/index.js';
import { blobKey, blobLinkKey, blobMembershipKey, revisionKey, revisionLinkKey } from '../../lib/services/keys.js';
import { MemoryDescriptorCache } from '../../lib/services/memory-descriptor-cache.js';
import { Gate } from '../faults/gate.js';
import type { StorageCall } from '../faults/observed-storage.js';
import {
  type Fixture,
  fixture,
  imageDocument,
  name,
  pushBlob,
  putDocument,
  REPOSITORY,
  read,
  tag,
} from './services-fixture.js';

/** Fails at once or a little later, as a client of a server that is gone does. */
function broken(fail: () => never): DescriptorCache {
  return { get: fail, set: fail, delete: fail };
}

const BROKEN: readonly DescriptorCache[] = [
  broken(() => {
    throw new Error('the cache is gone');
  }),
  broken((async () => {
    throw new Error('the cache is gone');
  }) as unknown as () => never),
];

test('a cache that fails in every call harms nothing', async () => {
  for (const cache of BROKEN) {
    const { services, warnings } = await fixture({ cache });
    const blob = await pushBlob(services, 'content');
    const manifest = await putDocument(services, await imageDocument(services));
    const { signal } = new AbortController();
    const descriptor = await services.blobs.stat(REPOSITORY, blob);
    assert.equal(
      String(await read(await services.blobs.open(REPOSITORY, descriptor.digest, { descriptor, call: { signal } }))),
      'content',
    );
    assert.equal((await services.manifests.get(REPOSITORY, tag('latest'))).digest, manifest);
    assert.ok((await services.blobs.mount(name('other'), blob, REPOSITORY)) !== undefined);
    assert.ok(warnings.length > 0, 'the log says so');
  }
});

test('a cache that fails never makes a delete fail', async () => {
  for (const cache of BROKEN) {
    const { services } = await fixture({ cache });
    const blob = await pushBlob(services, 'content');
    const manifest = await putDocument(services, await imageDocument(services));
    await services.blobs.delete(REPOSITORY, blob);
    await services.manifests.delete(REPOSITORY, manifest);
    await assert.rejects(services.blobs.stat(REPOSITORY, blob), { code: 'BLOB_UNKNOWN' });
    await assert.rejects(services.manifests.get(REPOSITORY, manifest), { code: 'MANIFEST_UNKNOWN' });
  }
});

test('a blob taken from one repository is gone there at once, and stays in others', async () => {
  const { services } = await fixture();
  const digest = await pushBlob(services, 'content');
  await pushBlob(services, 'content', name('other'));
  await services.blobs.stat(REPOSITORY, digest);
  await services.blobs.delete(REPOSITORY, digest);
  await assert.rejects(services.blobs.stat(REPOSITORY, digest), { code: 'BLOB_UNKNOWN' });
  await assert.rejects(services.blobs.delete(REPOSITORY, digest), { code: 'BLOB_UNKNOWN' });
  assert.equal((await services.blobs.stat(name('other'), digest)).size, 7);
});

interface Race {
  readonly title: string;
  /** Remembers the blob or manifest unless something is wrong; runs while it is deleted. */
  work(host: Fixture, digest: Digest): Promise<unknown>;
  /** The call whose answer comes only after the delete. */
  slow(call: StorageCall, digest: Digest): boolean;
}

const BLOB_RACES: readonly Race[] = [
  {
    title: 'a look-up that has read the link',
    work: ({ services }, digest) => services.blobs.stat(REPOSITORY, digest),
    slow: ({ method, key }, digest) => method === 'get' && key === blobLinkKey(REPOSITORY, digest),
  },
  {
    title: 'a look-up that has measured the content',
    work: ({ services }, digest) => services.blobs.stat(REPOSITORY, digest),
    slow: ({ method, key }, digest) => method === 'stat' && key === blobKey(digest),
  },
  {
    title: 'a push that has written the link',
    work: ({ services }) => pushBlob(services, 'content'),
    slow: ({ method, key }, digest) => method === 'put' && key === blobLinkKey(REPOSITORY, digest),
  },
];

for (const { title, work, slow } of BLOB_RACES) {
  test(`${title} before a delete does not remember what the delete has taken away`, async () => {
    const pushed = await fixture();
    const digest = await pushBlob(pushed.services, 'content');
    const host = await fixture({ storage: pushed.storage });
    const gate = new Gate();
    host.storage.hooks = { after: (call) => (slow(call, digest) ? gate.pass() : undefined) };
    const working = work(host, digest);
    await gate.reached;
    await host.services.blobs.delete(REPOSITORY, digest);
    gate.open();
    await working;
    await assert.rejects(host.services.blobs.stat(REPOSITORY, digest), { code: 'BLOB_UNKNOWN' });
  });
}

test('a push of a manifest that has written its link before a delete does not remember it', async () => {
  const host = await fixture();
  const document = await imageDocument(host.services);
  const digest = await putDocument(host.services, document);
  const gate = new Gate();
  host.storage.hooks = {
    after: ({ method, key }) =>
      method === 'put' && key === revisionLinkKey(REPOSITORY, digest) ? gate.pass() : undefined,
  };
  const pushing = putDocument(host.services, document, digest);
  await gate.reached;
  await host.services.manifests.delete(REPOSITORY, digest);
  gate.open();
  await pushing;
  await assert.rejects(host.services.manifests.get(REPOSITORY, digest), { code: 'MANIFEST_UNKNOWN' });
});

/** As one across a network: the first `set` into the set of descriptors that is slow takes effect when the gate opens. */
class SlowCache extends MemoryDescriptorCache implements DescriptorCache {
  readonly gate = new Gate();
  #slow: DescriptorSet | undefined;

  constructor(slow: DescriptorSet) {
    super();
    this.#slow = slow;
  }

  override async set(...[set, digest, descriptor]: Parameters<MemoryDescriptorCache['set']>): Promise<void> {
    if (set === this.#slow) {
      this.#slow = undefined;
      await this.gate.pass();
    }
    super.set(set, digest, descriptor);
  }
}

interface Overtaking {
  readonly what: string;
  readonly set: DescriptorSet;
  push(services: Services): Promise<Digest>;
  look(services: Services, digest: Digest): Promise<unknown>;
  remove(services: Services, digest: Digest): Promise<unknown>;
  /** What the removal takes out of the store. */
  key(digest: Digest): string;
  readonly code: ErrorCode;
}

const OVERTAKINGS: readonly Overtaking[] = [
  {
    what: 'a blob',
    set: `blobs:${REPOSITORY}`,
    push: (services) => pushBlob(services, 'content'),
    look: ({ blobs }, digest) => blobs.stat(REPOSITORY, digest),
    remove: ({ blobs }, digest) => blobs.delete(REPOSITORY, digest),
    key: (digest) => blobMembershipKey(REPOSITORY, digest),
    code: 'BLOB_UNKNOWN',
  },
  {
    what: 'a manifest',
    set: `manifests:${REPOSITORY}`,
    push: async (services) => putDocument(services, await imageDocument(services)),
    look: ({ manifests }, digest) => manifests.get(REPOSITORY, digest),
    remove: ({ manifests }, digest) => manifests.delete(REPOSITORY, digest),
    key: (digest) => revisionKey(REPOSITORY, digest),
    code: 'MANIFEST_UNKNOWN',
  },
];

for (const { what, set, push, look, remove, key, code } of OVERTAKINGS) {
  test(`${what} that is on its way into a slow cache when it is deleted is not found there afterwards`, async () => {
    const { storage, services } = await fixture();
    const digest = await push(services);
    const cache = new SlowCache(set);
    const host = (await fixture({ storage, cache })).services;
    const looking = look(host, digest);
    await cache.gate.reached;
    const removed = new Gate();
    storage.hooks = { after: (call) => (call.key === key(digest) ? removed.pass() : undefined) };
    const deleting = remove(host, digest);
    await removed.reached;
    removed.open();
    // The storage is in memory: a delete that does not wait for the cache is done after this.
    await settled();
    cache.gate.open();
    await Promise.all([looking, deleting]);
    const remembered: Descriptor | undefined = cache.get(set, digest);
    assert.equal(remembered, undefined);
    await assert.rejects(look(host, digest), { code });
  });
}

test('content that is gone from under its link is forgotten when that shows', async () => {
  const { storage, services, later } = await fixture();
  const content = 'x'.repeat(300 * 1024);
  const digest = await pushBlob(services, content);
  later();
  await storage.remove(blobKey(digest));
  const { signal } = new AbortController();
  const descriptor = await services.blobs.stat(REPOSITORY, digest);
  await assert.rejects(services.blobs.open(REPOSITORY, descriptor.digest, { descriptor, call: { signal } }), {
    code: 'BLOB_UNKNOWN',
  });
  await assert.rejects(services.blobs.stat(REPOSITORY, digest), { code: 'BLOB_UNKNOWN' });
});

test('an outage of the store is neither absence nor remembered', async () => {
  const pushed = await fixture();
  const digest = await pushBlob(pushed.services, 'content');
  const manifest = await putDocument(pushed.services, await imageDocument(pushed.services));
  const { storage, services } = await fixture({ storage: pushed.storage });
  storage.hooks = {
    before: () => {
      throw new Error('the store is away');
    },
  };
  await assert.rejects(services.blobs.stat(REPOSITORY, digest), /the store is away/);
  await assert.rejects(services.manifests.get(REPOSITORY, manifest), /the store is away/);
  await assert.rejects(services.manifests.get(REPOSITORY, tag('latest')), /the store is away/);
  storage.hooks = {};
  assert.equal((await services.blobs.stat(REPOSITORY, digest)).size, 7);
  assert.equal((await services.manifests.get(REPOSITORY, tag('latest'))).digest, manifest);
  await assert.rejects(services.blobs.stat(REPOSITORY, digestOf(Buffer.from('?'))), { code: 'BLOB_UNKNOWN' });
});

test.run();
