// `objectStorage`: a host that dies between any two requests to the bucket, before or after a request has had its
// effect, and another that finds what it left.
import { strict as assert } from 'node:assert';
import { isDriverError, type StorageDriver } from 'koa-registry';
import { test } from 'uvu';
import type { MemoryBucket } from '../support/memory-bucket.js';
import { bytesOf, contentAt, driverOver, listed, once, pieces, smallBucket } from './object-storage-fixture.js';

const CRASH = new Error('the host is gone');

interface Scenario {
  /** Brings the bucket into the state that the call begins with. */
  readonly prepare: (driver: StorageDriver, bucket: MemoryBucket) => Promise<void>;
  readonly call: (driver: StorageDriver) => Promise<unknown>;
  /** Whether objects may be sent in pieces. Default: false. */
  readonly piecewise?: boolean;
  /** Asserts on what is left, seen by another host. */
  readonly check: (driver: StorageDriver, bucket: MemoryBucket) => Promise<void>;
}

/** From the given moment on no request comes through. */
function crashAt(bucket: MemoryBucket, moment: number): { readonly crashed: () => boolean } {
  let moments = 0;
  bucket.intercept = () => {
    if (moments++ >= moment) throw CRASH;
  };
  return { crashed: () => moments > moment };
}

/** Runs the scenario once for each moment at which the host may die, and says how many there are. */
async function atEveryMoment({ prepare, call, check, piecewise = false }: Scenario): Promise<number> {
  for (let moment = 0; ; moment++) {
    const bucket = smallBucket({ pageEntries: 3, piecewise });
    await prepare(driverOver(bucket), bucket);
    const { crashed } = crashAt(bucket, moment);
    await call(driverOver(bucket)).catch((error) => assert.equal(error, CRASH));
    bucket.intercept = undefined;
    if (!crashed()) return moment;
    await check(driverOver(bucket), bucket);
  }
}

const WHOLE = bytesOf(58);

/** Asserts that a call succeeds, or finds that there is nothing left to do. */
async function orNotFound(call: Promise<unknown>): Promise<void> {
  await call.catch((error: unknown) => assert.ok(isDriverError(error, 'not-found'), String(error)));
}

for (const [before, piecewise] of [
  [0, false],
  [2, false],
  [25, false],
  [0, true],
  [2, true],
  [25, true],
] as const) {
  const content = piecewise ? bytesOf(250) : WHOLE;

  test(`append after ${before} bytes${piecewise ? ', sent in pieces' : ''}: what stands is a beginning of the content, and it can go on`, async () => {
    const moments = await atEveryMoment({
      piecewise,
      prepare: async (driver) => {
        if (before > 0) await driver.append('u/data', 0, once(content.subarray(0, before)));
      },
      call: (driver) => driver.append('u/data', before, pieces(content.subarray(before), 7)),
      check: async (driver, bucket) => {
        const left = (await contentAt(driver, 'u/data')) ?? Buffer.alloc(0);
        assert.ok(left.length >= before);
        assert.deepEqual(left, content.subarray(0, left.length));
        assert.equal(await driver.append('u/data', left.length, once(content.subarray(left.length))), content.length);
        await driver.commit('u/data', 'b');
        assert.deepEqual(await driver.get('b'), content);
        assert.deepEqual(bucket.names, ['b']);
      },
    });
    assert.ok(moments >= 8, `${moments} moments`);
  });
}

for (const size of [0, 8, 58]) {
  const whole = WHOLE.subarray(0, size);
  const commit: Omit<Scenario, 'check'> = {
    prepare: async (driver) => {
      await driver.append('u/data', 0, once(whole));
      await driver.put('u/startedat', bytesOf(3));
    },
    call: (driver) => driver.commit('u/data', 'b'),
  };

  test(`commit of ${size} bytes: the content is at one of the two keys, and a repeated call succeeds`, async () => {
    await atEveryMoment({
      ...commit,
      check: async (driver, bucket) => {
        const from = await contentAt(driver, 'u/data');
        const to = await contentAt(driver, 'b');
        assert.ok(from !== undefined || to !== undefined, 'it is lost');
        for (const content of [from, to]) if (content !== undefined) assert.deepEqual(content, whole);
        await driver.commit('u/data', 'b');
        await driver.commit('u/data', 'b');
        assert.deepEqual(await driver.get('b'), whole);
        assert.deepEqual(bucket.names, ['b', 'u/startedat']);
      },
    });
  });

  test(`commit of ${size} bytes: nothing of it is in an upload that begins at the same key`, async () => {
    await atEveryMoment({
      ...commit,
      check: async (driver, bucket) => {
        if ((await contentAt(driver, 'u/data')) !== undefined) return;
        assert.deepEqual(await driver.get('b'), whole);
        await assert.rejects(driver.open('u/data'), (error) => isDriverError(error, 'not-found'));
        // As long as the first part that was there, so that an old one would fit on to it.
        assert.equal(await driver.append('u/data', 0, once(bytesOf(10, 9))), 10);
        assert.deepEqual(await contentAt(driver, 'u/data'), bytesOf(10, 9));
        await driver.commit('u/data', 'c');
        assert.deepEqual(await driver.get('c'), bytesOf(10, 9));
        assert.deepEqual(bucket.names, ['b', 'c', 'u/startedat']);
      },
    });
  });
}

test('commit of an object: the content is at one of the two keys, and a repeated call succeeds', async () => {
  await atEveryMoment({
    prepare: async (driver) => {
      await driver.append('a', 0, once(bytesOf(35, 3)));
      await driver.put('a', WHOLE);
    },
    call: (driver) => driver.commit('a', 'b'),
    check: async (driver, bucket) => {
      const left = [await contentAt(driver, 'a'), await contentAt(driver, 'b')].filter((bytes) => bytes !== undefined);
      assert.ok(left.length > 0, 'it is lost');
      for (const content of left) assert.deepEqual(content, WHOLE);
      await driver.commit('a', 'b');
      assert.deepEqual(bucket.names, ['b']);
    },
  });
});

test('put: the old or the new content stands', async () => {
  await atEveryMoment({
    prepare: (driver) => driver.put('a', bytesOf(5, 1)),
    call: (driver) => driver.put('a', bytesOf(9, 2)),
    check: async (driver) => {
      const left = await driver.get('a');
      assert.ok(left.equals(bytesOf(5, 1)) || left.equals(bytesOf(9, 2)));
    },
  });
});

/** Every content below `r`, in one page of the store or in several. */
const REMOVED: Readonly<Record<string, Buffer>> = {
  'r/a': bytesOf(5, 1),
  'r/b/c': bytesOf(6, 2),
  'r/u/data': bytesOf(58, 3),
  'r/v/data': bytesOf(25, 4),
  'r/w': bytesOf(3, 5),
};

for (const key of ['r', 'r/u', 'r/u/data', 'r/a']) {
  const below = Object.keys(REMOVED).filter((name) => name === key || name.startsWith(`${key}/`));

  test(`remove of ${key}: each content is there whole or not at all, and a repeated call removes the rest`, async () => {
    await atEveryMoment({
      prepare: async (driver) => {
        for (const [name, bytes] of Object.entries(REMOVED)) {
          if (name.endsWith('data')) await driver.append(name, 0, once(bytes));
          else await driver.put(name, bytes);
        }
        await driver.put('r-x', bytesOf(1));
      },
      call: (driver) => driver.remove(key),
      check: async (driver, bucket) => {
        for (const [name, bytes] of Object.entries(REMOVED)) {
          const left = await contentAt(driver, name);
          if (left !== undefined || !below.includes(name)) assert.deepEqual(left, bytes);
        }
        await orNotFound(driver.remove(key));
        assert.deepEqual(
          bucket.names.filter((name) => name === key || name.startsWith(`${key}/`) || name.startsWith(`${key}!`)),
          [],
        );
        for (const name of Object.keys(REMOVED)) {
          if (!below.includes(name)) assert.deepEqual(await contentAt(driver, name), REMOVED[name]);
        }
        assert.deepEqual(await driver.get('r-x'), bytesOf(1));
      },
    });
  });
}

test('no reader sees a part of what is being removed or committed', async () => {
  for (const end of [
    (driver: StorageDriver) => driver.remove('u'),
    (driver: StorageDriver) => driver.commit('u/data', 'b'),
  ]) {
    const bucket = smallBucket({ pageEntries: 3 });
    const driver = driverOver(bucket);
    await driver.append('u/data', 0, once(WHOLE));
    let looking = false;
    let looks = 0;
    bucket.intercept = async () => {
      // Those that look make requests themselves.
      if (looking) return;
      looking = true;
      for (const key of ['u/data', 'b']) {
        const content = await contentAt(driverOver(bucket), key);
        if (content !== undefined) assert.deepEqual(content, WHOLE);
        looks++;
      }
      looking = false;
    };
    await end(driver);
    assert.ok(looks >= 8, `${looks} looks`);
  }
});

test('several hosts that commit one upload at once all succeed, whenever each asks', async () => {
  for (let delay = 0; delay < 12; delay++) {
    const bucket = smallBucket({ pageEntries: 3 });
    await driverOver(bucket).append('u', 0, once(WHOLE));
    const late = async () => {
      for (let turn = 0; turn < delay; turn++) await new Promise(setImmediate);
      await driverOver(bucket).commit('u', 'b');
    };
    await Promise.all([driverOver(bucket).commit('u', 'b'), late(), late()]);
    assert.deepEqual(await driverOver(bucket).get('b'), WHOLE);
    assert.deepEqual(bucket.names, ['b']);
  }
});

test('what is left of an upload that was cut off is removed with its folder', async () => {
  const bucket = smallBucket();
  bucket.place('u/data!/000000000000010', bytesOf(5));
  const driver = driverOver(bucket);
  assert.equal(await contentAt(driver, 'u/data'), undefined);
  assert.equal((await driver.stat('u')).kind, 'prefix');
  assert.deepEqual(await listed(driver, ''), ['u/']);
  await driver.remove('u');
  assert.deepEqual(bucket.names, []);
});

test.run();
