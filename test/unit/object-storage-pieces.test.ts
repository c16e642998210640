// `objectStorage` over a bucket that takes objects in pieces: how many are under way, and what stays of them
// when something fails or somebody else is faster.
import { strict as assert } from 'node:assert';
import { isDriverError, type PiecewiseWrite } from 'koa-registry';
import { test } from 'uvu';
import { type BucketCall, MemoryBucket } from '../support/memory-bucket.js';
import { bytesOf, contentAt, driverOver, once, PART_BYTES, pieces, smallBucket } from './object-storage-fixture.js';

const conflict = (error: unknown) => isDriverError(error, 'offset-conflict');

/** Long enough for a first part, two runs of 16, and a third of more than can be under way. */
const WHOLE = bytesOf(10 + 2 * 160 + 85);

/** Whoever waits for nothing comes here first. */
async function pause(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

test('four buffers are under way at a time and a fifth fills; the source waits for them', async () => {
  const memories = new Set<ArrayBufferLike>();
  let underWay = 0;
  let most = 0;
  let sent = 0;
  let given = 0;
  let ahead = 0;
  const watch = async <T>(bytes: Uint8Array, send: () => Promise<T>): Promise<T> => {
    memories.add(bytes.buffer);
    most = Math.max(most, ++underWay);
    await pause();
    const done = await send();
    underWay--;
    sent += bytes.byteLength;
    return done;
  };
  const bucket = new MemoryBucket({ piecewise: true });
  const { write, begin } = bucket;
  bucket.write = (...args) => watch(args[1], () => write.apply(bucket, args));
  const watched = async (name: string): Promise<PiecewiseWrite> => {
    const object = await begin?.(name);
    assert.ok(object);
    return { ...object, add: (bytes) => watch(bytes, () => object.add(bytes)) };
  };
  Object.assign(bucket, { begin: watched });
  const partBytes = 1024 * 1024;
  const chunk = Buffer.alloc(64 * 1024);
  async function* source() {
    for (; given < 40 * partBytes; given += chunk.length) {
      ahead = Math.max(ahead, given - sent);
      yield chunk;
    }
  }
  assert.equal(await driverOver(bucket, partBytes).append('u', 0, source()), 40 * partBytes);
  assert.equal(most, 4);
  assert.equal(
    [...memories].reduce((sum, { byteLength }) => sum + byteLength, 0),
    5 * partBytes,
  );
  assert.ok(ahead > 4 * partBytes && ahead <= 5 * partBytes, `${ahead} bytes ahead`);
});

test('a call that fails ends the append; then nothing is under way, and nothing is left but what stands', async () => {
  const counts: readonly (readonly [BucketCall, number])[] = [
    ['write', 1],
    ['begin', 3],
    ['add', 41],
    ['complete', 3],
  ];
  for (const [failing, count] of counts) {
    for (let nth = 1; nth <= count; nth++) {
      const bucket = smallBucket({ piecewise: true });
      const outage = new Error('the network is down');
      let calls = 0;
      let underWay = 0;
      bucket.intercept = async (call, stage) => {
        underWay += stage === 'before' ? 1 : -1;
        if (stage === 'after') return;
        const isFailing = call === failing && ++calls === nth;
        // So that others are under way when it fails.
        if (call === 'complete' && !isFailing) await pause();
        if (!isFailing) return call === 'abort' ? undefined : pause();
        underWay--;
        throw outage;
      };
      await assert.rejects(driverOver(bucket).append('u', 0, pieces(WHOLE, 7)), (error) => error === outage);
      assert.equal(underWay, 0);
      assert.equal(bucket.unfinished, 0);
      bucket.intercept = undefined;
      const driver = driverOver(bucket);
      const left = (await contentAt(driver, 'u')) ?? Buffer.alloc(0);
      assert.deepEqual(left, WHOLE.subarray(0, left.length));
      await driver.append('u', left.length, once(WHOLE.subarray(left.length)));
      await driver.commit('u', 'b');
      assert.deepEqual(await contentAt(driver, 'b'), WHOLE);
      assert.deepEqual(bucket.names, ['b']);
    }
  }
});

test('who is held up at any call, while another goes on at what stands, changes nothing of it', async () => {
  const other = bytesOf(200, 5);
  let moments = 0;
  for (let ended = false; !ended; moments++) {
    const bucket = smallBucket({ piecewise: true });
    let moment = 0;
    let winner: Buffer | undefined;
    const overtake = async () => {
      const left = (await contentAt(driverOver(bucket), 'u')) ?? Buffer.alloc(0);
      await driverOver(bucket).append('u', left.length, once(other));
      winner = Buffer.concat([left, other]);
    };
    let isOther = false;
    bucket.intercept = async () => {
      if (isOther || moment++ !== moments) return;
      isOther = true;
      await overtake();
      isOther = false;
    };
    const slow = driverOver(bucket).append('u', 0, once(WHOLE));
    const resolved = await slow.catch((error: unknown) => assert.ok(conflict(error), String(error)));
    ended = winner === undefined;
    if (winner === undefined) continue;
    // Where all of it stood already, the other has gone on at its end.
    if (resolved !== undefined) assert.equal(winner.length, resolved + other.length);
    assert.deepEqual(await contentAt(driverOver(bucket), 'u'), winner);
    assert.equal(bucket.unfinished, 0);
  }
  assert.ok(moments > 40, `${moments} moments`);
});

test('what is removed while it is appended to does not come back', async () => {
  for (let moments = 0, ended = false; !ended; moments++) {
    const bucket = smallBucket({ piecewise: true });
    await driverOver(bucket).append('u/data', 0, once(WHOLE.subarray(0, PART_BYTES)));
    let moment = 0;
    let removed = false;
    bucket.intercept = async () => {
      if (removed || moment++ !== moments) return;
      removed = true;
      await driverOver(bucket).remove('u');
    };
    await driverOver(bucket)
      .append('u/data', PART_BYTES, once(WHOLE.subarray(PART_BYTES)))
      .catch((error: unknown) => assert.ok(conflict(error), String(error)));
    ended = !removed;
    if (ended) continue;
    assert.equal(await contentAt(driverOver(bucket), 'u/data'), undefined);
    await driverOver(bucket)
      .remove('u')
      .catch((error: unknown) => assert.ok(isDriverError(error, 'not-found'), String(error)));
    assert.deepEqual(bucket.names, []);
  }
});

test('where the bucket turns out to take no pieces, parts are written one after the other', async () => {
  const bucket = smallBucket();
  Object.assign(bucket, { begin: async () => undefined });
  await driverOver(bucket).append('u', 0, once(WHOLE));
  assert.equal(bucket.takeCalls().join(' '), `list${' write'.repeat(Math.ceil(WHOLE.length / PART_BYTES))}`);
  assert.deepEqual(await contentAt(driverOver(bucket), 'u'), WHOLE);
});

test.run();
