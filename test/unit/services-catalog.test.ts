// The catalogue and the tags: their order, every page of them, and what a page costs.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { digestOf, isRepositoryName, type RepositoryName } from '../../lib/model/index.js';
import { revisionLinkKey, tagCurrentKey } from '../../lib/services/keys.js';
import { takePage } from '../../lib/services/page.js';
import type { ObservedStorage } from '../faults/observed-storage.js';
import { type Fixture, fixture, name, pushBlob, REPOSITORY, tag } from './services-fixture.js';

const DIGEST = digestOf(Buffer.from('manifest'));

/** A repository is one by the link of a manifest. */
function enter(storage: ObservedStorage, repository: RepositoryName): Promise<void> {
  return storage.put(revisionLinkKey(repository, DIGEST), Buffer.from(DIGEST));
}

async function withRepositories(names: Iterable<string>): Promise<Fixture> {
  const made = await fixture();
  for (const repository of names) await enter(made.storage, name(repository));
  return made;
}

/** Byte order, said in another way. */
function sorted(names: Iterable<string>): string[] {
  return [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

async function all({ services }: Fixture, after?: string): Promise<string[]> {
  const names: string[] = [];
  for await (const found of services.catalog.names(after)) names.push(found);
  return names;
}

/** The same numbers in every run: mulberry32. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function randomNames(seed: number): Set<string> {
  const next = random(seed);
  const names = new Set<string>();
  while (names.size < 25) {
    const length = 1 + next(7);
    const text = Array.from({ length }, () => 'aab0-._//'.charAt(next(9))).join('');
    if (isRepositoryName(text)) names.add(text);
  }
  return names;
}

/** Every place where somebody could ask to go on: names, their beginnings, and what comes just before and after. */
function places(names: Iterable<string>): Set<string> {
  const found = new Set(['', '-', '.', '/', '0', 'a', 'zzz', '~', '_']);
  for (const text of names) {
    for (let end = 1; end <= text.length; end += 1) {
      for (const tail of ['', '-', '.', '/', '0', 'a', '_', '/a', '-a/', '~']) found.add(text.slice(0, end) + tail);
    }
  }
  return found;
}

test('repositories whose names are beginnings of others come in byte order, and none is lost', async () => {
  const names = ['a', 'a-b', 'a.b', 'a/b', 'a-b/c', 'ab', 'a_b', 'a0', 'a/b/c', 'a--b', 'a-b-c', 'a-b.c/d', 'b/c/d'];
  const made = await withRepositories(names);
  assert.deepEqual(await all(made), sorted(names));
  for (const after of places(names)) {
    assert.deepEqual(
      await all(made, after),
      sorted(names).filter((text) => text > after),
      JSON.stringify(after),
    );
  }
});

test('from every place in random trees the catalogue goes on as a sorted list does', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const names = randomNames(seed);
    const made = await withRepositories(names);
    const expected = sorted(names);
    assert.deepEqual(await all(made), expected, `seed ${seed}`);
    for (const after of places(names)) {
      const rest = expected.filter((text) => text > after);
      assert.deepEqual(await all(made, after), rest, `seed ${seed}, after ${JSON.stringify(after)}`);
    }
  }
});

test('pages of any size put together are the whole', async () => {
  const names = randomNames(99);
  const { services } = await withRepositories(names);
  for (const size of [1, 2, 3, 7, 24, 25, 26]) {
    const collected: string[] = [];
    for (let more = true; more; ) {
      const page = await takePage(services.catalog.names(collected.at(-1)), size);
      collected.push(...page.items);
      more = page.more;
      assert.ok(page.items.length === size || !more);
    }
    assert.deepEqual(collected, sorted(names));
  }
  assert.deepEqual(await takePage(services.catalog.names(), 0), { items: [], more: false });
});

test('what holds no manifest is no repository, and what is no repository is not shown', async () => {
  const made = await withRepositories(['a/b', 'c']);
  await pushBlob(made.services, 'blob only', name('blobs'));
  await made.services.uploads.start(name('begun'), 'sha256');
  await made.storage.put('docker/registry/v2/repositories/UPPER/_manifests/revisions/sha256/x/link', Buffer.from('x'));
  await made.storage.put('docker/registry/v2/repositories/file', Buffer.from('x'));
  assert.deepEqual(await all(made), ['a/b', 'c']);
});

test('nothing at all is an empty catalogue', async () => {
  assert.deepEqual(await all(await fixture()), []);
});

test('an outage is no empty catalogue', async () => {
  const made = await withRepositories(['a']);
  made.storage.hooks = {
    before: () => {
      throw new Error('the store is away');
    },
  };
  await assert.rejects(all(made), /the store is away/);
});

test('a page of the catalogue costs what it shows, not what there is', async () => {
  const group = (index: number) => `group-${String(index % 40).padStart(2, '0')}/app-${String(index).padStart(4, '0')}`;
  const names = Array.from({ length: 2000 }, (_, index) => group(index));
  const { storage, services } = await withRepositories(names);
  const expected = sorted(names);
  for (const from of [-1, 0, 999, 1950]) {
    const after = expected[from] ?? '';
    const calls = await storage.during(async () => {
      const page = await takePage(services.catalog.names(after), 20);
      assert.deepEqual(page.items, expected.slice(from + 1, from + 21));
    });
    assert.ok(calls.length <= 100, `${calls.length} calls after ${JSON.stringify(after)}`);
    assert.ok(calls.every((call) => call.startsWith('list ') || call.startsWith('stat ')));
  }
});

test('tags come in byte order, and go on from a tag that need not exist', async () => {
  const { storage, services } = await fixture();
  const tags = ['v1', 'v1.0', 'v1-0', 'v1_0', 'v10', 'V1', 'latest', '_', '0', 'a'.repeat(128)];
  for (const each of tags) await storage.put(tagCurrentKey(REPOSITORY, tag(each)), Buffer.from(DIGEST));
  const expected = sorted(tags);
  for (const after of [undefined, '', ...expected, 'v', 'v1+', 'v1.', 'zzz', '!', 'V1/..']) {
    const rest = expected.filter((text) => text > (after ?? ''));
    for (let limit = 0; limit <= tags.length + 1; limit += 1) {
      const page = await services.tags.list(REPOSITORY, limit, after);
      const expectedPage = { items: rest.slice(0, limit), more: limit > 0 && rest.length > limit };
      assert.deepEqual(page, expectedPage, `${limit} after ${after}`);
    }
  }
});

test('a page of tags is one call, however many there are', async () => {
  const { storage, services } = await fixture();
  for (let index = 0; index < 2000; index += 1) {
    await storage.put(tagCurrentKey(REPOSITORY, tag(`v${index}`)), Buffer.from(DIGEST));
  }
  const calls = await storage.during(() => services.tags.list(REPOSITORY, 10, 'v1500'));
  assert.equal(calls.length, 1);
});

test('a repository without tags has none, and one that nobody has pushed to is unknown', async () => {
  const { storage, services } = await fixture();
  await enter(storage, name('manifest'));
  await pushBlob(services, 'x', name('blob'));
  for (const known of ['manifest', 'blob']) {
    assert.deepEqual(await services.tags.list(name(known), 10), { items: [], more: false });
  }
  await services.uploads.start(name('begun'), 'sha256');
  await enter(storage, name('nested/inner'));
  for (const unknown of ['nowhere', 'begun', 'nested']) {
    await assert.rejects(services.tags.list(name(unknown), 10), { code: 'NAME_UNKNOWN' }, unknown);
  }
});

test.run();
