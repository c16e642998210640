// The guard: what it refuses before the driver is asked, and what it makes of a driver that misbehaves.
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DriverError, isDriverError, type StorageDriver } from 'koa-registry';
import { suite } from 'uvu';
import { guardStorage } from '../../lib/plugin/guard-storage.js';

const test = suite('guard-storage');

const BUG = new TypeError('x is undefined');

/** A driver whose every method fails in the way of a bug, except for those given. */
function driverWith(methods: Partial<StorageDriver>): StorageDriver {
  const fail = () => {
    throw BUG;
  };
  return {
    get: fail,
    put: fail,
    stat: fail,
    list: fail,
    open: fail,
    append: fail,
    commit: fail,
    remove: fail,
    ...methods,
  };
}

async function* inChunks(...chunks: Uint8Array[]) {
  yield* chunks;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

const isUnavailable = (error: unknown) =>
  isDriverError(error, 'unavailable') && error.cause === BUG && error.key === 'a/b';

test('whatever a driver throws is unavailable, with the key and the cause', async () => {
  const guarded = guardStorage(driverWith({}), 'broken');
  await assert.rejects(guarded.get('a/b'), isUnavailable);
  await assert.rejects(guarded.put('a/b', Buffer.alloc(0)), isUnavailable);
  await assert.rejects(guarded.stat('a/b'), isUnavailable);
  await assert.rejects(guarded.open('a/b'), isUnavailable);
  await assert.rejects(collect(guarded.list('a/b')), isUnavailable);
  await assert.rejects(guarded.append('a/b', 0, inChunks()), isUnavailable);
  await assert.rejects(guarded.commit('a/b', 'c'), isUnavailable);
  await assert.rejects(guarded.remove('a/b'), isUnavailable);
});

test('a DriverError passes as it is', async () => {
  const error = new DriverError('quota', 'a/b');
  const guarded = guardStorage(driverWith({ put: () => Promise.reject(error) }), 'full');
  await assert.rejects(guarded.put('a/b', Buffer.alloc(0)), (thrown) => thrown === error);
});

test('a broken key or offset does not reach the driver', async () => {
  let calls = 0;
  const count = async () => {
    calls++;
    throw BUG;
  };
  const guarded = guardStorage(driverWith({ get: count, open: count, append: count, commit: count }), 'counting');
  await assert.rejects(guarded.get('a/../b'), (error) => isDriverError(error, 'invalid-key') && error.key === 'a/../b');
  await assert.rejects(guarded.get(undefined as unknown as string), (error) => isDriverError(error, 'invalid-key'));
  await assert.rejects(guarded.commit('a', '/b'), (error) => isDriverError(error, 'invalid-key') && error.key === '/b');
  await assert.rejects(guarded.open('a', { start: -1 }), (error) => isDriverError(error, 'invalid-offset'));
  await assert.rejects(guarded.open('a', { start: 2, end: 1 }), (error) => isDriverError(error, 'invalid-offset'));
  await assert.rejects(guarded.append('a', 1.5, inChunks()), (error) => isDriverError(error, 'invalid-offset'));
  assert.equal(calls, 0);
});

test('the bounds of the grammar are exact', async () => {
  const guarded = guardStorage(driverWith({ remove: async () => undefined }), 'willing');
  const legal = ['x'.repeat(255), `${'x/'.repeat(511)}xx`, '...', '..x', '.x', '-', '_', 'AZaz09._-'];
  for (const key of legal) await guarded.remove(key);
  const broken = [
    'x'.repeat(256),
    `${'x/'.repeat(512)}x`,
    '',
    '.',
    '..',
    'a/.',
    '../a',
    'a//b',
    '/a',
    'a/',
    'a b',
    'a@b',
    'ÿ',
    'Ā',
  ];
  for (const key of broken)
    await assert.rejects(guarded.remove(key), (error) => isDriverError(error, 'invalid-key'), key);
});

test('the error of a stream is unavailable, and one that the reader made is left to it', async () => {
  const open = async () => new Readable({ read() {} });
  const guarded = guardStorage(driverWith({ open }), 'streaming');
  const failing = await guarded.open('a/b');
  const failed = once(failing, 'error');
  failing.emit('readable');
  failing.destroy(BUG);
  assert.ok(isUnavailable((await failed)[0]));
  const left = await guarded.open('a/b');
  const gone = once(left, 'error');
  const sink = new PassThrough();
  const piped = pipeline(left, sink);
  sink.destroy();
  await assert.rejects(piped, { code: 'ERR_STREAM_PREMATURE_CLOSE' });
  assert.equal((await gone)[0].code, 'ERR_STREAM_PREMATURE_CLOSE');
});

test('an error inside the driver`s stream is unavailable for whoever iterates', async () => {
  const open = async () =>
    new Readable({
      read() {
        this.destroy(BUG);
      },
    });
  const guarded = guardStorage(driverWith({ open }), 'streaming');
  await assert.rejects(collect(await guarded.open('a/b')), isUnavailable);
});

test('a driver that opens no stream is named', async () => {
  const open = async () => 'text' as unknown as Readable;
  const guarded = guardStorage(driverWith({ open }), 'acme');
  await assert.rejects(
    guarded.open('a'),
    (error) => error instanceof DriverError && /"acme"/.test(String(error.cause)),
  );
});

test('a stream lets go of the signal when it ends', async () => {
  const guarded = guardStorage(driverWith({ open: async () => Readable.from([Buffer.from('x')]) }), 'streaming');
  const controller = new AbortController();
  const stream = await guarded.open('a', { signal: controller.signal });
  await collect(stream);
  controller.abort(new Error('too late'));
  assert.equal(stream.errored, null);
});

test('an iteration that fails half way is unavailable', async () => {
  const guarded = guardStorage(
    driverWith({
      async *list() {
        yield { name: 'a', kind: 'object' as const };
        throw BUG;
      },
    }),
    'listing',
  );
  const names: string[] = [];
  const walk = async () => {
    for await (const { name } of guarded.list('a/b')) names.push(name);
  };
  await assert.rejects(walk, isUnavailable);
  assert.deepEqual(names, ['a']);
});

test('the caller`s reason passes, whatever the driver makes of an abort', async () => {
  const controller = new AbortController();
  const reason = new Error('the caller went away');
  const get = async () => {
    controller.abort(reason);
    throw new Error('socket hang up');
  };
  const guarded = guardStorage(driverWith({ get }), 'slow');
  await assert.rejects(guarded.get('a', { signal: controller.signal }), (error) => error === reason);
});

test('the error of the source passes, whatever the driver makes of it', async () => {
  const reason = new Error('the connection was reset');
  async function* source() {
    yield Buffer.from('x');
    throw reason;
  }
  const hides = guardStorage(
    driverWith({
      append: async (_key, _offset, chunks) => {
        await collect(chunks).catch(() => undefined);
        return 1;
      },
    }),
    'hiding',
  );
  await assert.rejects(hides.append('a', 0, source()), (error) => error === reason);
  const wraps = guardStorage(
    driverWith({
      append: async (key, _offset, chunks) => {
        await collect(chunks).catch((cause) => {
          throw new DriverError('unavailable', key, { cause });
        });
        return 1;
      },
    }),
    'wrapping',
  );
  await assert.rejects(wraps.append('a', 0, source()), (error) => error === reason);
});

test('an abort ends a source that is stuck, and releases it', async () => {
  const controller = new AbortController();
  const reason = new Error('the caller went away');
  let released = false;
  const stuck: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        setImmediate(() => controller.abort(reason));
        return new Promise(() => undefined);
      },
      return: async () => {
        released = true;
        return { done: true, value: undefined };
      },
    }),
  };
  const append: StorageDriver['append'] = async (_key, _offset, source) => (await collect(source)).length;
  const guarded = guardStorage(driverWith({ append }), 'patient');
  await assert.rejects(guarded.append('a', 0, stuck, { signal: controller.signal }), (error) => error === reason);
  assert.ok(released);
});

test('an optional method is there if the driver has it, and keeps its this', async () => {
  const bare = guardStorage(driverWith({}), 'bare');
  for (const method of ['url', 'walk', 'purge', 'check', 'close']) assert.equal(method in bare, false);
  class Capable {
    readonly #base = 'http://localhost/';
    async url(key: string) {
      return this.#base + key;
    }
    async *walk(key: string) {
      yield this.#base + key;
    }
    async purge(key: string) {
      if (key === 'b') throw BUG;
      return this.#base.length;
    }
    async check() {
      throw BUG;
    }
    async close() {
      assert.ok(this.#base);
    }
  }
  const capable = guardStorage(Object.assign(new Capable(), driverWith({})), 'capable');
  assert.equal(await capable.url?.('a', { method: 'GET', expires: 1000 }), 'http://localhost/a');
  assert.deepEqual(await collect<unknown>(capable.walk?.('a') ?? inChunks()), ['http://localhost/a']);
  const purge = async (key: string) => capable.purge?.(key, { before: new Date(), dryRun: true });
  assert.equal(await purge('a'), 17);
  await assert.rejects(purge('b'), (error) => isDriverError(error, 'unavailable'));
  for (const key of ['', '../a']) await assert.rejects(purge(key), (error) => isDriverError(error, 'invalid-key'));
  await assert.rejects(capable.check?.() ?? Promise.resolve(), (error) => isDriverError(error, 'unavailable'));
  await capable.close?.();
});

test.run();
