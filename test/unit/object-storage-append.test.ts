// `objectStorage`: what an append leaves in the bucket, who wins when several append, and how much it holds.
import { strict as assert } from 'node:assert';
import { isDriverError } from 'koa-registry';
import { test } from 'uvu';
import { MemoryBucket } from '../support/memory-bucket.js';
import {
  bytesOf,
  contentAt,
  driverOver,
  listed,
  MIN_PART_BYTES,
  once,
  PART_BYTES,
  pieces,
  readAll,
  smallBucket,
} from './object-storage-fixture.js';

const conflict = (error: unknown) => isDriverError(error, 'offset-conflict');

function* pairs<T>(count: number, others: readonly T[]): Generator<readonly [number, T], void, undefined> {
  for (let index = 0; index < count; index++) for (const other of others) yield [index, other];
}

async function partSizes(bucket: MemoryBucket): Promise<number[]> {
  return (await bucket.list('', { delimited: false, limit: 1000 })).objects.map(({ size }) => size);
}

for (const piecewise of [false, true]) {
  const where = piecewise ? ', sent in pieces' : '';

  test(`any cuts of a content become parts that can be joined, and the content${where}`, async () => {
    const whole = bytesOf(47);
    for (const [cut, pieceBytes] of pairs(whole.length + 1, [1, 3, 10, 47])) {
      const bucket = smallBucket({ piecewise });
      // Each append comes from another host.
      assert.equal(await driverOver(bucket).append('u', 0, pieces(whole.subarray(0, cut), pieceBytes)), cut);
      assert.equal(await driverOver(bucket).append('u', cut, pieces(whole.subarray(cut), pieceBytes)), whole.length);
      const sizes = await partSizes(bucket);
      assert.ok(
        sizes.slice(0, -1).every((size) => size >= MIN_PART_BYTES && (piecewise || size <= PART_BYTES)),
        `${sizes}`,
      );
      const driver = driverOver(bucket);
      assert.deepEqual(await contentAt(driver, 'u'), whole);
      await driver.commit('u', 'b');
      assert.deepEqual(bucket.names, ['b']);
      assert.deepEqual(await readAll(driver, 'b'), whole);
    }
  });

  test(`of several hosts that append at one offset one wins, whatever stands there${where}`, async () => {
    for (const before of [0, 1, MIN_PART_BYTES - 1, MIN_PART_BYTES, PART_BYTES, 25]) {
      for (const created of before === 0 ? [false, true] : [true]) {
        const bucket = smallBucket({ piecewise });
        if (created) await driverOver(bucket).append('u', 0, once(bytesOf(before)));
        const contents = [1, 2, 3, 4].map((seed) => bytesOf(30 + seed, seed));
        const results = await Promise.allSettled(
          contents.map((bytes, index) => driverOver(bucket).append('u', before, pieces(bytes, index + 1))),
        );
        const winners = contents.filter((_, index) => results[index]?.status === 'fulfilled');
        for (const result of results) {
          if (result.status === 'rejected') assert.ok(conflict(result.reason), String(result.reason));
        }
        assert.equal(bucket.unfinished, 0);
        assert.equal(winners.length, 1, `${winners.length} won at ${before}`);
        assert.deepEqual(
          await contentAt(driverOver(bucket), 'u'),
          Buffer.concat([bytesOf(before), winners[0] ?? Buffer.alloc(0)]),
        );
      }
    }
  });

  test(`what was received before the source failed is there, and the reason is that of the source${where}`, async () => {
    const whole = bytesOf(60);
    for (const before of [0, 3, 10]) {
      for (let received = 0; received <= 35; received++) {
        const bucket = smallBucket({ piecewise });
        const driver = driverOver(bucket);
        if (before > 0) await driver.append('u', 0, once(whole.subarray(0, before)));
        const reason = new Error('the connection was reset');
        async function* source() {
          yield* pieces(whole.subarray(before, before + received), 7);
          throw reason;
        }
        await assert.rejects(driver.append('u', before, source()), (error) => error === reason);
        const size = before + received;
        const left = await contentAt(driver, 'u');
        assert.deepEqual(left, size === 0 ? undefined : whole.subarray(0, size));
        assert.equal(await driver.append('u', size, once(whole.subarray(size))), whole.length);
        assert.deepEqual(await contentAt(driver, 'u'), whole);
      }
    }
  });
}

test('a content that comes byte by byte has no more parts than it needs', async () => {
  const bucket = smallBucket();
  const whole = bytesOf(40);
  for (let at = 0; at < whole.length; at++) {
    await driverOver(bucket).append('u', at, once(whole.subarray(at, at + 1)));
    assert.equal((await driverOver(bucket).stat('u')).size, at + 1);
  }
  assert.deepEqual(await partSizes(bucket), Array(10).fill(MIN_PART_BYTES));
  assert.deepEqual(await contentAt(driverOver(bucket), 'u'), whole);
});

test('a host that goes on where another is still writing stops it', async () => {
  const bucket = smallBucket();
  const whole = bytesOf(25);
  async function* overtaken() {
    yield bytesOf(20);
    while ((await contentAt(driverOver(bucket), 'u'))?.length !== 20) await new Promise(setImmediate);
    assert.equal(await driverOver(bucket).append('u', 20, once(whole.subarray(20))), 25);
    yield bytesOf(9, 5);
  }
  await assert.rejects(driverOver(bucket).append('u', 0, overtaken()), conflict);
  assert.deepEqual(await contentAt(driverOver(bucket), 'u'), whole);
});

test('a write that fails ends the append, and nothing is written after it', async () => {
  const bucket = smallBucket();
  const outage = new Error('the network is down');
  let written = 0;
  bucket.intercept = (call, stage) => {
    if (call === 'write' && stage === 'before' && ++written === 2) throw outage;
  };
  let returned = false;
  async function* endless() {
    try {
      for (;;) yield bytesOf(3);
    } finally {
      returned = true;
    }
  }
  await assert.rejects(driverOver(bucket).append('u', 0, endless()), (error) => error === outage);
  assert.ok(returned);
  assert.equal(written, 2);
  assert.equal((await driverOver(bucket).stat('u')).size, PART_BYTES);
});

test('one write is under way at a time, in two buffers, and the source waits for them', async () => {
  const memories = new Set<ArrayBufferLike>();
  let underWay = 0;
  let written = 0;
  let given = 0;
  let ahead = 0;
  class Slow extends MemoryBucket {
    override async write(...args: Parameters<MemoryBucket['write']>) {
      const bytes = args[1];
      memories.add(bytes.buffer);
      assert.equal(++underWay, 1);
      // Whoever waits for nothing comes here first.
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      const object = await super.write(...args);
      underWay--;
      written += bytes.byteLength;
      return object;
    }
  }
  const bucket = new Slow();
  const partBytes = 1024 * 1024;
  const chunk = Buffer.alloc(64 * 1024);
  async function* source() {
    for (; given < 20 * partBytes; given += chunk.length) {
      ahead = Math.max(ahead, given - written);
      yield chunk;
    }
  }
  assert.equal(await driverOver(bucket, partBytes).append('u', 0, source()), 20 * partBytes);
  assert.equal(memories.size, 2);
  assert.equal(
    [...memories].reduce((sum, { byteLength }) => sum + byteLength, 0),
    2 * partBytes,
  );
  // The next buffer fills while the last one is written.
  assert.ok(ahead > partBytes && ahead <= 2 * partBytes, `${ahead} bytes ahead`);
});

test('a small append does not take the memory of a part', async () => {
  let taken = 0;
  class Watched extends MemoryBucket {
    override write(...args: Parameters<MemoryBucket['write']>) {
      taken = args[1].buffer.byteLength;
      return super.write(...args);
    }
  }
  await driverOver(new Watched(), 64 * 1024 * 1024).append('u', 0, once(bytesOf(1000)));
  assert.equal(taken, 256 * 1024);
});

for (const piecewise of [false, true]) {
  test(`a content of more parts than can be joined is refused${piecewise ? ', sent in pieces' : ''}`, async () => {
    const bucket = new MemoryBucket({ maxParts: 3, piecewise });
    const driver = driverOver(bucket, 1);
    // The first part, two runs of 16, and what is one too many.
    const room = piecewise ? 1 + 2 * 16 : 3;
    const quota = (error: unknown) => isDriverError(error, 'quota');
    await assert.rejects(driver.append('u', 0, once(Buffer.alloc(room + 1))), quota);
    assert.equal((await driver.stat('u')).size, room);
    await assert.rejects(driver.append('u', room, once(bytesOf(1))), quota);
    await driver.commit('u', 'b');
    assert.equal((await driver.stat('b')).size, room);
    assert.equal(bucket.unfinished, 0);
  });
}

test('an object that stands whole hides what was appended at its key, and is not appended to', async () => {
  const bucket = smallBucket();
  const driver = driverOver(bucket);
  await driver.append('u', 0, once(bytesOf(35)));
  await driver.put('u', bytesOf(5, 2));
  assert.deepEqual(await contentAt(driver, 'u'), bytesOf(5, 2));
  assert.deepEqual(await driver.get('u'), bytesOf(5, 2));
  assert.deepEqual(await listed(driver, ''), ['u']);
  await assert.rejects(driver.append('u', 35, once(bytesOf(1))), conflict);
  await assert.rejects(driver.append('u', 5, once(bytesOf(1))), (error) => isDriverError(error, 'unsupported'));
  await driver.commit('u', 'b');
  assert.deepEqual(bucket.names, ['b']);
  assert.deepEqual(await driver.get('b'), bytesOf(5, 2));
});

test('a commit to its own key makes one object of the parts', async () => {
  const bucket = smallBucket();
  const driver = driverOver(bucket);
  await driver.append('u', 0, once(bytesOf(35)));
  await driver.commit('u', 'u');
  await driver.commit('u', 'u');
  assert.deepEqual(bucket.names, ['u']);
  assert.deepEqual(await driver.get('u'), bytesOf(35));
});

test('neighbours of a key in the order of the store are not taken for its parts', async () => {
  const bucket = smallBucket({ pageEntries: 1 });
  for (const name of ['u!/old', 'u!/1', 'u !', 'u-/x', 'u!a', 'u/x', 'ua!/000000000000000'])
    bucket.place(name, bytesOf(5));
  const driver = driverOver(bucket);
  assert.equal(await driver.append('u', 0, once(bytesOf(35))), 35);
  assert.deepEqual(await contentAt(driver, 'u'), bytesOf(35));
  await driver.commit('u', 'b');
  assert.deepEqual(await driver.get('b'), bytesOf(35));
  assert.equal(bucket.names.length, 8);
});

test('a content that grows by small chunks has few parts, and little is written again', async () => {
  const bucket = new MemoryBucket({ minPartBytes: 1024 });
  const before = 8 * 1024 * 1024;
  const chunk = bytesOf(1024);
  bucket.place('u!/000000000000000', Buffer.alloc(before));
  let written = 0;
  const write = bucket.write.bind(bucket);
  bucket.write = (...args) => {
    written += args[1].byteLength;
    return write(...args);
  };
  const chunks = 256;
  for (let index = 0; index < chunks; index++) {
    // Whatever the options of a host, it goes on as the others would.
    const partBytes = index % 2 === 0 ? 1024 : 64 * 1024;
    await driverOver(bucket, partBytes).append('u', before + index * chunk.length, once(chunk));
  }
  const parts = (await partSizes(bucket)).slice(1, -1);
  assert.ok(parts.length < chunks / 8 && parts.every((size) => size >= before / 1024), `${parts}`);
  // A part is written with each chunk until it has 8 of them or 9, and then has been written 5 times over at most.
  assert.ok(written <= 5.5 * chunks * chunk.length, `${written} bytes written`);
});

test.run();
