// Every point at which a push or a delete can break off: whatever call to the store fails, before it
// was done or after, nothing is visible that is not whole, and a repeated request succeeds.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { DriverError } from '../../lib/errors.js';
import { type Digest, digestOf, OCI_IMAGE } from '../../lib/model/index.js';
import type { Services, UploadState } from '../../lib/services/index.js';
import type { ObservedStorage, StorageCall } from '../faults/observed-storage.js';
import {
  chunk,
  type Document,
  describe,
  fixture,
  follow,
  imageDocument,
  pushBlob,
  putDocument,
  REPOSITORY,
  read,
  sessions,
  stored,
  tag,
} from './services-fixture.js';

const MOMENTS = ['before', 'after'] as const;

interface Failure {
  readonly moment: (typeof MOMENTS)[number];
  /** Which call fails, counted from 0; it and all that follow, as of a host that goes down. */
  readonly from: number;
  /** Only that one call fails. */
  readonly once: boolean;
}

/** Makes calls fail from now on; answers whether one did. */
function breakDown(storage: ObservedStorage, { moment, from, once }: Failure): () => boolean {
  let count = 0;
  storage.hooks = {
    [moment]: ({ key }: StorageCall) => {
      const index = count++;
      if (once ? index === from : index >= from) throw new DriverError('unavailable', key);
    },
  };
  return () => count > from;
}

/** Runs `scenario` with every call failing in turn, until one goes through without. */
async function withEveryFailure(scenario: (failure: Failure) => Promise<boolean>): Promise<void> {
  for (const once of [true, false]) {
    for (const moment of MOMENTS) {
      let from = 0;
      while (await scenario({ moment, from, once })) from += 1;
      assert.ok(from >= 3, `only ${from} calls were made to fail`);
    }
  }
}

const PARTS = ['first ', 'second ', 'third'] as const;
const CONTENT = PARTS.join('');
const DIGEST = digestOf(Buffer.from(CONTENT));

/** A push as clients do it, noting the latest state it was told. */
async function push({ uploads }: Services, note: (state: UploadState) => void): Promise<void> {
  let state = await uploads.start(REPOSITORY, 'sha256');
  note(state);
  for (const part of PARTS.slice(0, 2)) {
    state = await uploads.append(follow(state), chunk(part));
    note(state);
  }
  await uploads.finish(follow(state), DIGEST, chunk(PARTS[2]));
}

/** As a client that resumes: it asks how far the session is, and sends the rest. */
async function resume(services: Services, last: UploadState | undefined): Promise<'resumed' | 'anew'> {
  try {
    if (last === undefined) throw Object.assign(new Error('nothing was begun'), { code: 'BLOB_UPLOAD_UNKNOWN' });
    const { repository, uuid } = last;
    const state = await services.uploads.status({ repository, uuid });
    await services.uploads.finish(follow(state), DIGEST, chunk(CONTENT.slice(state.offset)));
    return 'resumed';
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'BLOB_UPLOAD_UNKNOWN');
    await pushBlob(services, CONTENT);
    return 'anew';
  }
}

async function pulled(services: Services, digest: Digest): Promise<string | undefined> {
  const descriptor = await services.blobs.stat(REPOSITORY, digest).catch((error: { code?: string }) => {
    assert.equal(error.code, 'BLOB_UNKNOWN');
  });
  if (!descriptor) return undefined;
  const { signal } = new AbortController();
  return String(await read(await services.blobs.open(REPOSITORY, descriptor.digest, { descriptor, call: { signal } })));
}

test('an upload that breaks off anywhere shows nothing in part, and goes on, on this host and on another', async () => {
  for (const elsewhere of [false, true]) {
    await withEveryFailure(async (failure) => {
      const { storage, services } = await fixture();
      const failed = breakDown(storage, failure);
      let last: UploadState | undefined;
      const outcome = await push(services, (state) => {
        last = state;
      }).catch((error: unknown) => error);
      storage.hooks = {};
      const at = JSON.stringify({ ...failure, elsewhere });
      if (outcome !== undefined) assert.ok(outcome instanceof DriverError, `${at}: ${outcome}`);

      const host = elsewhere ? (await fixture({ storage })).services : services;
      assert.ok([undefined, CONTENT].includes(await stored(storage, DIGEST)), at);
      const seen = await pulled(host, DIGEST);
      if (outcome === undefined) assert.equal(seen, CONTENT, at);
      else assert.ok(seen === undefined || seen === CONTENT, at);
      await resume(host, last);
      assert.equal(await pulled(host, DIGEST), CONTENT, at);
      assert.equal(await stored(storage, DIGEST), CONTENT, at);
      return failed();
    });
  }
});

test('a PUT that broke off is repeated as it was, and leaves no session', async () => {
  await withEveryFailure(async (failure) => {
    const { storage, services } = await fixture();
    const begun = await services.uploads.start(REPOSITORY, 'sha256');
    const state = await services.uploads.append(follow(begun), chunk(CONTENT));
    const failed = breakDown(storage, failure);
    await services.uploads.finish(follow(state), DIGEST).catch(() => undefined);
    storage.hooks = {};
    const other = (await fixture({ storage })).services;
    const ended = await other.uploads.finish(follow(state), DIGEST).catch((error: { code?: string }) => error.code);
    // Where the first PUT went all the way the session is gone; the blob says why.
    if (typeof ended === 'string') assert.equal(ended, 'BLOB_UPLOAD_UNKNOWN');
    assert.equal(await pulled(other, DIGEST), CONTENT, JSON.stringify(failure));
    assert.deepEqual(await sessions(storage), []);
    return failed();
  });
});

/** A tag is listed only if it leads somewhere, and a referrer only if it is there. */
async function assertWhole(services: Services, subject: Digest, at: string): Promise<void> {
  const { items: tags } = await services.tags.list(REPOSITORY, 100);
  for (const each of tags) await services.manifests.get(REPOSITORY, each);
  const { items: referrers } = await services.referrers.list(REPOSITORY, subject, { limit: 100 });
  for (const { digest } of referrers) {
    assert.equal((await services.manifests.get(REPOSITORY, digest)).digest, digest, at);
  }
  for await (const repository of services.catalog.names()) assert.equal(repository, REPOSITORY, at);
}

async function prepared(): Promise<{
  storage: ObservedStorage;
  services: Services;
  document: Document;
  subject: Digest;
}> {
  const { storage, services } = await fixture();
  const base = await imageDocument(services);
  const subject = await putDocument(services, base, tag('base'));
  const document = { ...base, artifactType: 'application/vnd.signature', subject: describe(base) };
  return { storage, services, document, subject };
}

test('a push of a manifest that breaks off anywhere shows nothing in part, and can be repeated', async () => {
  await withEveryFailure(async (failure) => {
    const { storage, services, document, subject } = await prepared();
    const failed = breakDown(storage, failure);
    await putDocument(services, document, tag('signature')).catch(() => undefined);
    storage.hooks = {};
    const at = JSON.stringify(failure);
    for (const host of [services, (await fixture({ storage })).services]) await assertWhole(host, subject, at);

    const other = (await fixture({ storage })).services;
    const digest = await putDocument(other, document, tag('signature'));
    assert.equal((await other.manifests.get(REPOSITORY, tag('signature'))).digest, digest, at);
    const { items } = await other.referrers.list(REPOSITORY, subject, { limit: 10 });
    assert.deepEqual(
      items.map((item) => [item.digest, item.mediaType]),
      [[digest, OCI_IMAGE]],
    );
    return failed();
  });
});

test('a delete of a manifest that breaks off anywhere shows nothing in part, and can be repeated', async () => {
  await withEveryFailure(async (failure) => {
    const { storage, services, document, subject } = await prepared();
    const digest = await putDocument(services, document, tag('one'));
    await services.tags.set(REPOSITORY, tag('two'), digest);
    const failed = breakDown(storage, failure);
    await services.manifests.delete(REPOSITORY, digest).catch(() => undefined);
    storage.hooks = {};
    const at = JSON.stringify(failure);
    for (const host of [services, (await fixture({ storage })).services]) await assertWhole(host, subject, at);

    await services.manifests.delete(REPOSITORY, digest).catch((error: { code?: string }) => {
      assert.equal(error.code, 'MANIFEST_UNKNOWN', at);
    });
    await assertWhole(services, subject, at);
    assert.deepEqual((await services.tags.list(REPOSITORY, 10)).items, ['base'], at);
    assert.deepEqual((await services.referrers.list(REPOSITORY, subject, { limit: 10 })).items, [], at);
    await assert.rejects(services.manifests.get(REPOSITORY, digest), { code: 'MANIFEST_UNKNOWN' }, at);
    return failed();
  });
});

test('a finished upload whose session cannot be cleared is a success, and the log says so', async () => {
  const { storage, services, warnings } = await fixture();
  storage.hooks = {
    before: ({ method, key }) => {
      if (method === 'remove') throw new DriverError('unavailable', key);
    },
  };
  assert.equal(await pulled(services, await pushBlob(services, CONTENT)), CONTENT);
  assert.deepEqual(warnings, ['an upload session was left behind']);
});

test.run();
