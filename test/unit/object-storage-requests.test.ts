// `objectStorage`: what each usual call costs, and that the failures of a bucket come through.
import { strict as assert } from 'node:assert';
import { isDriverError, objectStorage, type StorageDriver } from 'koa-registry';
import { test } from 'uvu';
import { MemoryBucket } from '../support/memory-bucket.js';
import { bytesOf, collect, driverOver, listed, once, pieces, readAll, smallBucket } from './object-storage-fixture.js';

/** A bucket with something of each kind. */
async function furnished(): Promise<{ bucket: MemoryBucket; driver: StorageDriver }> {
  const bucket = smallBucket();
  const driver = driverOver(bucket);
  await driver.put('p/a', bytesOf(5));
  await driver.put('p/b', bytesOf(6));
  await driver.append('u/one', 0, once(bytesOf(8)));
  await driver.append('u/many', 0, once(bytesOf(35)));
  bucket.takeCalls();
  return { bucket, driver };
}

const COSTS: readonly (readonly [what: string, call: (driver: StorageDriver) => Promise<unknown>, cost: string])[] = [
  ['get', (driver) => driver.get('p/a'), 'read'],
  ['get of nothing', (driver) => driver.get('p/c').catch(() => undefined), 'read'],
  ['put', (driver) => driver.put('p/c', bytesOf(3)), 'write'],
  ['stat of an object', (driver) => driver.stat('p/a'), 'head'],
  ['stat of an upload', (driver) => driver.stat('u/many'), 'head list'],
  ['stat of a prefix', (driver) => driver.stat('p'), 'head list'],
  ['open', (driver) => readAll(driver, 'p/a', 1, 3), 'read'],
  ['open of an upload', (driver) => readAll(driver, 'u/many', 5, 15), 'read list read read'],
  ['list', (driver) => listed(driver, 'p'), 'list'],
  ['list after the last', (driver) => listed(driver, 'p', 'z'), 'list list'],
  ['append of a small blob', (driver) => driver.append('u/new', 0, once(bytesOf(9))), 'list write'],
  ['append of nothing', (driver) => driver.append('u/new', 0, once(bytesOf(0))), 'list write'],
  ['append of nothing to an upload', (driver) => driver.append('u/one', 8, once(bytesOf(0))), 'list'],
  ['append to a part that is large enough', (driver) => driver.append('u/one', 8, once(bytesOf(9))), 'list write'],
  ['append of three parts', (driver) => driver.append('u/new', 0, once(bytesOf(30))), 'list write write write'],
  ['commit of a part', (driver) => driver.commit('u/one', 'b'), 'list join delete'],
  ['commit of several', (driver) => driver.commit('u/many', 'b'), 'list join delete delete'],
  ['commit of an object', (driver) => driver.commit('p/a', 'b'), 'list join delete'],
  ['remove of an object', (driver) => driver.remove('p/a'), 'list delete'],
  ['remove of a prefix', (driver) => driver.remove('p'), 'list delete'],
  ['walk', (driver) => collect(driver.walk?.('') ?? []), 'list'],
];

for (const [what, call, cost] of COSTS) {
  test(`${what} costs: ${cost}`, async () => {
    const { bucket, driver } = await furnished();
    await call(driver);
    assert.equal(bucket.takeCalls().join(' '), cost);
  });

  test(`${what}: no failure of the bucket is taken for an answer`, async () => {
    // Of nothing there is nothing to tell an outage from: the caller has swallowed it already.
    if (what === 'get of nothing') return;
    for (let failing = 0; failing < cost.split(' ').length; failing++) {
      const { bucket, driver } = await furnished();
      const outage = new Error('the network is down');
      let calls = 0;
      bucket.intercept = (_call, stage) => {
        if (stage === 'before' && calls++ === failing) throw outage;
      };
      await assert.rejects(call(driver), (error) => error === outage, `call ${failing}`);
    }
  });
}

test('an append in pieces costs as one without, up to two parts; then a request for each, and two for each 16', async () => {
  for (const [size, cost] of [
    [9, 'list write'],
    [10, 'list write'],
    [19, 'list write write'],
    [30, 'list write begin add add complete'],
    [31, 'list write begin add add add complete'],
  ] as const) {
    const bucket = smallBucket({ piecewise: true });
    await driverOver(bucket).append('u', 0, once(bytesOf(size)));
    assert.equal(bucket.takeCalls().join(' '), cost);
  }
  const bucket = smallBucket({ piecewise: true });
  await driverOver(bucket).append('u', 0, once(bytesOf(1000)));
  const count = (wanted: string) => bucket.calls.filter((call) => call === wanted).length;
  assert.deepEqual(['write', 'begin', 'add', 'complete'].map(count), [1, 7, 99, 7]);
});

test('a listing costs a request for each page, and one for each stem of a name at the end of one', async () => {
  const bucket = smallBucket({ pageEntries: 100 });
  for (let index = 0; index < 250; index++) bucket.place(`l/t${index + 1000}`, bytesOf(1));
  assert.equal((await listed(driverOver(bucket), 'l')).length, 250);
  assert.equal(bucket.takeCalls().length, 3);
});

test('what stands beside an upload adds nothing to its cost', async () => {
  const bucket = smallBucket({ pageEntries: 100 });
  for (let index = 0; index < 250; index++) bucket.place(`u-${index + 1000}`, bytesOf(1));
  await driverOver(bucket).append('u', 0, once(bytesOf(9)));
  await driverOver(bucket).commit('u', 'b');
  assert.equal(bucket.takeCalls().join(' '), 'list write list join delete');
});

test('neighbours that fill a page cost one request more, and are left alone', async () => {
  const bucket = smallBucket({ pageEntries: 10 });
  for (let index = 0; index < 25; index++) bucket.place(`u-${index + 1000}`, bytesOf(1));
  for (const name of ['u/1', 'u0', 'u00']) bucket.place(name, bytesOf(1));
  const driver = driverOver(bucket);
  assert.equal((await driver.stat('u')).kind, 'prefix');
  assert.equal(bucket.takeCalls().join(' '), 'head list list');
  await driver.remove('u');
  await assert.rejects(driver.stat('u'), (error) => isDriverError(error, 'not-found'));
  assert.equal(bucket.names.length, 27);
  assert.equal((await driver.stat('u0')).size, 1);
});

test('a large prefix is removed batch by batch, while it is listed', async () => {
  const bucket = smallBucket();
  for (let index = 0; index < 1200; index++) bucket.place(`l/${index + 1000}`, bytesOf(1));
  await driverOver(bucket).remove('l');
  assert.equal(bucket.takeCalls().join(' '), 'list list delete list delete');
  assert.deepEqual(bucket.names, []);
});

test('what a bucket cannot do the driver cannot do either', async () => {
  const driver = driverOver(smallBucket());
  assert.equal(driver.url, undefined);
  assert.equal(driver.close, undefined);
  class Capable extends MemoryBucket {
    closed = false;
    async url(name: string) {
      return `http://127.0.0.1/${name}`;
    }
    async close() {
      this.closed = true;
    }
  }
  const bucket = new Capable();
  const capable = objectStorage(bucket, { rootDirectory: '/r', partBytes: 1 });
  assert.equal(await capable.url?.('a/b', { method: 'GET', expires: 1 }), 'http://127.0.0.1/r/a/b');
  await capable.check?.();
  await capable.close?.();
  assert.ok(bucket.closed);
  assert.deepEqual(bucket.takeCalls(), ['check']);
});

test('parts that the bucket could not join are refused at once', () => {
  for (const partBytes of [0, 3, 4.5, Number.NaN, Infinity]) {
    assert.throws(() => objectStorage(smallBucket(), { partBytes }), RangeError);
  }
  objectStorage(smallBucket(), { partBytes: 4 });
});

test('every range of an upload in parts is read as it was appended', async () => {
  const bucket = smallBucket({ pageEntries: 2 });
  const driver = driverOver(bucket);
  const whole = bytesOf(43);
  await driver.append('u', 0, pieces(whole, 3));
  for (let start = 0; start < whole.length; start++) {
    for (let end = start; end < whole.length + 2; end++) {
      assert.deepEqual(await readAll(driver, 'u', start, end), whole.subarray(start, end + 1));
    }
  }
  await assert.rejects(driver.open('u', { start: 43 }), (error) => isDriverError(error, 'invalid-offset'));
  await driver.append('empty', 0, once(bytesOf(0)));
  assert.equal((await readAll(driver, 'empty')).length, 0);
  assert.equal((await readAll(driver, 'empty', 0, 9)).length, 0);
});

test('a failure in the middle of an upload that is read fails the stream', async () => {
  const bucket = smallBucket();
  const driver = driverOver(bucket);
  await driver.append('u', 0, once(bytesOf(35)));
  const outage = new Error('the network is down');
  bucket.intercept = (call, _stage, name) => {
    if (call === 'read' && name.endsWith('20')) throw outage;
  };
  await assert.rejects(readAll(driver, 'u'), (error) => error === outage);
});

test('what is read of an upload is closed with the stream, also while it is being opened', async () => {
  for (const during of ['opening', 'reading'] as const) {
    const opened: { readonly destroyed: boolean }[] = [];
    class Watched extends MemoryBucket {
      override async read(...args: Parameters<MemoryBucket['read']>) {
        const stream = await super.read(...args);
        opened.push(stream);
        if (during === 'opening') parts.destroy();
        return stream;
      }
    }
    const bucket = new Watched();
    const driver = driverOver(bucket, 200_000);
    await driver.append('u', 0, once(Buffer.alloc(300_000)));
    const parts = await driver.open('u');
    parts.once('readable', () => parts.destroy());
    await new Promise((resolve) => parts.once('close', resolve));
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    assert.equal(opened.length, 1, during);
    assert.ok(opened[0]?.destroyed, during);
  }
});

test.run();
