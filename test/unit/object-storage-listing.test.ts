// `objectStorage`: the order of listings where the store has another, against a sorted model, with
// every shape that a few names can have and pages of one to five entries.
import { strict as assert } from 'node:assert';
import { isDriverError, objectStorage } from 'koa-registry';
import { test } from 'uvu';
import { MemoryBucket } from '../support/memory-bucket.js';
import { bytesOf, collect, driverOver, listed, once, PART_BYTES, smallBucket } from './object-storage-fixture.js';

const EMPTY = Buffer.alloc(0);
const PAGES = [1, 2, 3, 4, 5];

/** How a name can stand in a folder: as objects below it, by what they add to its name. */
const SHAPES: readonly (readonly string[])[] = [
  [],
  [''],
  ['/x'],
  ['!/000000000000000', '!/000000000000001'],
  ['', '/x', '/y', '!/000000000000000'],
];

/** What a listing shows of a name in such a shape. */
function shown(name: string, shape: readonly string[]): string[] {
  if (shape.length === 0) return [];
  return [shape.every((suffix) => suffix.startsWith('/')) ? `${name}/` : name];
}

function place(bucket: MemoryBucket, folder: string, shapes: ReadonlyMap<string, readonly string[]>): void {
  for (const [name, shape] of shapes) {
    for (const suffix of shape) bucket.place(`${folder}/${name}${suffix}`, EMPTY);
  }
}

function model(shapes: ReadonlyMap<string, readonly string[]>, after = ''): string[] {
  const names = [...shapes.keys()].filter((name) => name > after).sort();
  return names.flatMap((name) => shown(name, shapes.get(name) ?? []));
}

test('every shape of names that begin with each other is listed in order, whatever the page', async () => {
  const names = ['a', 'a-', 'a-.', 'a.-a', 'aa'];
  for (let state = 1; state < SHAPES.length ** names.length; state++) {
    const shapes = new Map(
      names.map((name, index) => [name, SHAPES[Math.floor(state / SHAPES.length ** index) % SHAPES.length] ?? []]),
    );
    for (const pageEntries of PAGES) {
      const bucket = new MemoryBucket({ pageEntries });
      place(bucket, 'l', shapes);
      assert.deepEqual(await listed(driverOver(bucket), 'l'), model(shapes), `state ${state}, pages of ${pageEntries}`);
    }
  }
});

/** Numbers that look random and are the same in each run. */
function* numbers(): Generator<number, never, undefined> {
  for (let state = 1; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

test('names of any letters are listed in order from any name on', async () => {
  const random = numbers();
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random.next().value * items.length)] as T;
  const name = () => Array.from({ length: pick([1, 2, 3, 4, 5]) }, () => pick([...'a-.0_-.'])).join('');
  for (let round = 0; round < 400; round++) {
    const names = Array.from({ length: 12 }, name).filter((text) => text !== '.' && text !== '..');
    const shapes = new Map([...names].map((text) => [text, pick(SHAPES)]));
    shapes.set('a', ['']);
    const bucket = new MemoryBucket({ pageEntries: pick(PAGES) });
    place(bucket, 'l', shapes);
    for (const after of [undefined, ...names.slice(0, 3), name(), 'a b', 'a/b', 'a\u{1f600}']) {
      assert.deepEqual(await listed(driverOver(bucket), 'l', after), model(shapes, after), `${names} after ${after}`);
    }
  }
});

test('a store is asked for no name that it might not know how to compare', async () => {
  const asked: (string | undefined)[] = [];
  class Watched extends MemoryBucket {
    override list(...args: Parameters<MemoryBucket['list']>) {
      asked.push(args[1].from);
      return super.list(...args);
    }
  }
  const bucket = new Watched();
  bucket.place('l/b', EMPTY);
  for (const after of ['a', 'a b', 'a\u{1f600}', '\0', `a${'a'.repeat(5000)}`]) {
    assert.deepEqual(await listed(driverOver(bucket), 'l', after), ['b']);
  }
  assert.deepEqual(asked, ['l/a', 'l/a', 'l/a', undefined, `l/${'a'.repeat(255)}`]);
});

test('what other programs have put into the bucket and has no key is not shown', async () => {
  const bucket = smallBucket();
  for (const name of ['l/', 'l/a b', 'l/b//c', 'l/c', 'l/ä', 'l/d/', 'l/../e', 'l/c!/x', 'l/c d!/000000000000000']) {
    bucket.place(name, EMPTY);
  }
  const driver = driverOver(bucket);
  assert.deepEqual(await listed(driver, 'l'), ['b/', 'c', 'd/']);
  assert.ok(driver.walk);
  assert.deepEqual(await collect(driver.walk('l')), ['l/c']);
});

test('a folder of which only the marker is left is not there', async () => {
  const bucket = smallBucket();
  bucket.place('l/', EMPTY);
  await assert.rejects(listed(driverOver(bucket), 'l'), (error) => isDriverError(error, 'not-found'));
});

test('a listing that nobody reads to its end fetches no more pages', async () => {
  const bucket = smallBucket({ pageEntries: 3 });
  for (const name of ['a/x', 'b-1', 'b-2', 'b/x', 'c', 'd']) bucket.place(`l/${name}`, EMPTY);
  const driver = driverOver(bucket);
  const seen: (readonly [name: string, requests: number])[] = [];
  for await (const { name } of driver.list('l')) {
    seen.push([name, bucket.calls.length]);
    if (seen.length === 3) break;
  }
  // Whether `b` is a prefix is asked when its turn comes, and not before.
  assert.deepEqual(seen, [
    ['a', 1],
    ['b', 2],
    ['b-1', 2],
  ]);
  assert.equal(bucket.calls.length, 2);
});

test('walk shows what is being appended once, and what is left of a removed one not at all', async () => {
  const bucket = smallBucket({ pageEntries: 2 });
  const driver = driverOver(bucket);
  await driver.append('w/u/data', 0, once(bytesOf(35)));
  for (const name of ['w/b', 'w/b!/000000000000000', 'w/u/startedat', 'w-x', 'w/old!/000000000000010'])
    bucket.place(name, EMPTY);
  assert.ok(driver.walk);
  assert.deepEqual(await collect(driver.walk('w')), ['w/b', 'w/u/data', 'w/u/startedat']);
  assert.deepEqual(await collect(driver.walk('')), ['w-x', 'w/b', 'w/u/data', 'w/u/startedat']);
  assert.deepEqual(await collect(driver.walk('nothing')), []);
});

test('the root directory stands before every name, and in no key', async () => {
  for (const rootDirectory of ['a/b', '/a/b', 'a/b/', '//a/b//']) {
    const bucket = smallBucket();
    const driver = objectStorage(bucket, { rootDirectory, partBytes: PART_BYTES });
    bucket.place('a/bc', EMPTY);
    await driver.put('k/x', bytesOf(3));
    await driver.append('u', 0, once(bytesOf(3)));
    assert.deepEqual(bucket.names, ['a/b/k/x', 'a/b/u!/000000000000000', 'a/bc']);
    assert.deepEqual(await listed(driver, ''), ['k/', 'u']);
    assert.ok(driver.walk);
    assert.deepEqual(await collect(driver.walk('')), ['k/x', 'u']);
  }
});

test.run();
