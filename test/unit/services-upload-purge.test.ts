// The purge of abandoned uploads: what is abandoned and what is not, which host purges and when, what an
// outage or a crash leaves, and what it costs.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { mock } from 'node:test';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { memory } from 'koa-registry/plugins/storage/memory';
import { suite, test } from 'uvu';
import { purgeUploads } from '../../lib/admin/index.js';
import type { Coordinator, Entry, Logger, PurgeOptions, StorageDriver } from '../../lib/contracts/index.js';
import { DriverError } from '../../lib/errors.js';
import { startPlugin } from '../../lib/plugin/index.js';
import { createServices, type Services, type UploadState } from '../../lib/services/index.js';
import { blobKey, uploadDataKey, uploadKey, uploadStartedKey } from '../../lib/services/keys.js';
import { Leases } from '../../lib/services/leases.js';
import { MemoryCoordinator } from '../../lib/services/memory-coordinator.js';
import { UploadPurge, type UploadPurgeParts } from '../../lib/services/upload-purge.js';
import { Gate } from '../faults/gate.js';
import { ObservedStorage, type StorageCall } from '../faults/observed-storage.js';
import type { MemoryBucket } from '../support/memory-bucket.js';
import { keysBelow, type LogLine } from '../support/registry.js';
import { tempFolder } from '../support/temp-folder.js';
import { driverOver, smallBucket } from './object-storage-fixture.js';
import { chunk, follow, imageDocument, name, pushBlob, putDocument, REPOSITORY, read } from './services-fixture.js';

const DAY = 86_400_000;
const WEEK = 7 * DAY;
const MARK = 'docker/registry/v2/_purge/uploads';

/** What the hosts of a test share: a store, a time, and who has which lease. */
interface World {
  readonly storage: ObservedStorage;
  readonly services: Services;
  readonly coordinator: Coordinator;
  readonly lines: LogLine[];
  /** The present; days may pass. */
  now: number;
}

function recorder(lines: LogLine[]): Logger {
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) =>
    void lines.push({ level, fields, message });
  const log: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  };
  return log;
}

/** @param driver where time is the real one; default: in memory, where it is the world's. */
async function world(driver?: StorageDriver): Promise<World> {
  const lines: LogLine[] = [];
  const coordinator = new MemoryCoordinator();
  const clock = () => made.now;
  const storage = new ObservedStorage(driver ?? (await startPlugin(memory(), { clock })).instance);
  const services = createServices({ storage, coordination: coordinator, log: recorder(lines), clock });
  const made: World = { storage, services, coordinator, lines, now: Date.now() };
  return made;
}

/** A host's purge. */
function purger(of: World, parts: Partial<UploadPurgeParts> & { readonly coordinator?: Coordinator } = {}) {
  const { coordinator = of.coordinator, ...others } = parts;
  const log = recorder(of.lines);
  const leases = new Leases(coordinator, log);
  const defaults = { storage: of.storage, leases, log, clock: () => of.now, age: WEEK, interval: DAY, dryRun: false };
  return new UploadPurge({ ...defaults, ...others });
}

/** A session that has received something. */
async function begin({ services }: World, content = 'received', repository = REPOSITORY): Promise<UploadState> {
  const state = await services.uploads.start(repository, 'sha256');
  return services.uploads.append(follow(state), chunk(content));
}

/** The uuids of those sessions of which anything is left. */
async function left({ storage }: World): Promise<string[]> {
  const uuids = (await keysBelow(storage)).map((key) => /_uploads\/([^/]+)\//.exec(key)?.[1]);
  return [...new Set(uuids.filter((uuid) => uuid !== undefined))];
}

function said({ lines }: World, ...levels: LogLine['level'][]): string[] {
  return lines.filter(({ level }) => levels.includes(level)).map(({ message }) => message);
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await turn();
}

const away = (key: string) => new DriverError('unavailable', key);

for (const [kind, start] of [
  ['memory', () => startPlugin(memory())],
  ['filesystem', () => startPlugin(filesystem({ rootDirectory: tempFolder(), fsync: false }))],
  ['objects', async () => ({ instance: driverOver(smallBucket({ pageEntries: 3 })), close: async () => undefined })],
] as const) {
  const on = suite(`on ${kind}`);

  on('abandoned sessions go, of whatever repository, and nothing else does', async () => {
    const { instance, close } = await start();
    const at = await world(instance);
    await putDocument(at.services, await imageDocument(at.services));
    const blob = await pushBlob(at.services, 'a blob', name('a/b'));
    const kept = await keysBelow(at.storage);
    for (const repository of ['library/alpine', 'a', 'a-b', 'a/b', 'a/b/c/only-uploads']) {
      await begin(at, 'twelve bytes', name(repository));
    }
    await at.services.uploads.start(name('a'), 'sha256');
    const purge = purger(at);
    at.now = Date.now() + 6 * DAY;
    assert.deepEqual(await purge.run(), { seen: 6, purged: 0, failed: 0, bytes: 0 });
    assert.equal((await left(at)).length, 6);
    at.now = Date.now() + 8 * DAY;
    const report = await purge.run();
    assert.deepEqual({ ...report, bytes: 0 }, { seen: 6, purged: 6, failed: 0, bytes: 0 });
    assert.equal(report?.bytes, 5 * 12 + 6 * new Date().toISOString().length);
    assert.deepEqual(await keysBelow(at.storage), [MARK, ...kept].sort());
    assert.equal(await read(await at.storage.get(blobKey(blob))).then(String), 'a blob');
    assert.deepEqual(said(at, 'info', 'warn', 'error'), ['abandoned uploads were purged']);
    await close();
  });

  on('what distribution has begun goes too, whatever of it is left', async () => {
    const { instance, close } = await start();
    const at = await world(instance);
    const below = (path: string) => `${uploadKey(name('theirs/image'), randomUUID())}/${path}`;
    const first = below('');
    for (const path of ['hashstates/sha256/0', 'hashstates/sha256/1048576', 'startedat']) {
      await instance.put(first + path, Buffer.from(path === 'startedat' ? '2024-02-29T12:00:00Z' : 'state'));
    }
    await instance.append(`${first}data`, 0, chunk('their bytes').source);
    await instance.append(below('data'), 0, chunk('without a start').source);
    await instance.put(below('startedat'), Buffer.from('no time at all'));
    await instance.put(below('startedat'), Buffer.from('9999-12-31T23:59:59Z'));
    at.now = Date.now() + 6 * DAY;
    assert.equal((await purger(at, { dryRun: true }).run())?.purged, 0);
    at.now = Date.now() + 8 * DAY;
    assert.deepEqual({ ...(await purger(at).run()), bytes: 0 }, { seen: 4, purged: 4, failed: 0, bytes: 0 });
    assert.deepEqual(await keysBelow(at.storage), [MARK]);
    await close();
  });

  on('a session in the middle of an append is not touched, and can be finished', async () => {
    const { instance, close } = await start();
    const at = await world(instance);
    const begun = await begin(at, 'begun, ');
    const gate = new Gate();
    const slow = async function* () {
      await gate.pass();
      yield Buffer.from('and ended');
    };
    const appending = at.services.uploads.append(follow(begun), chunk(slow()));
    await gate.reached;
    at.now = Date.now() + 8 * DAY;
    assert.deepEqual(await purger(at).run(), { seen: 1, purged: 0, failed: 0, bytes: 0 });
    gate.open();
    const state = await appending;
    const { digest } = await at.services.uploads.finish(follow(state), state.digest ?? assert.fail());
    assert.equal(String(await at.storage.get(blobKey(digest))), 'begun, and ended');
    await close();
  });

  on('of sessions left behind by finished uploads nothing stays but the blob', async () => {
    const { instance, close } = await start();
    const at = await world(instance);
    const broken = async (method: StorageCall['method'], content: string) => {
      at.storage.hooks = {
        before: (call) => {
          if (call.method === method && call.key.includes('_uploads')) throw away(call.key);
        },
      };
      return pushBlob(at.services, content).catch(() => undefined);
    };
    const published = (await broken('remove', 'published')) ?? assert.fail();
    await broken('commit', 'only sealed');
    at.storage.hooks = {};
    assert.equal((await left(at)).length, 2);
    at.now = Date.now() + 8 * DAY;
    assert.equal((await purger(at).run())?.purged, 2);
    assert.deepEqual(await left(at), []);
    assert.equal(String(await at.storage.get(blobKey(published))), 'published');
    await close();
  });

  on.run();
}

for (const trace of ['startedat', 'data', 'hashes/sha256/8', 'hashstates/sha256/8', 'the text of startedat']) {
  test(`a session is in use as long as its age lets it by ${trace} alone`, async () => {
    const at = await world();
    const { repository, uuid } = await begin(at);
    const touched = at.now + 30 * DAY;
    at.now = touched;
    if (trace.startsWith('the text')) {
      at.now -= 30 * DAY;
      await at.storage.put(uploadStartedKey(repository, uuid), Buffer.from(new Date(touched).toISOString()));
    } else {
      await at.storage.put(`${uploadKey(repository, uuid)}/${trace}`, Buffer.from(new Date(0).toISOString()));
    }
    at.now = touched + WEEK;
    assert.equal((await purger(at, { dryRun: true }).run())?.purged, 0);
    at.now += 1;
    assert.equal((await purger(at, { dryRun: true }).run())?.purged, 1);
  });
}

test('a session that another host went on with since the first look stays', async () => {
  const at = await world();
  const { repository, uuid } = await begin(at);
  at.now += 8 * DAY;
  let looks = 0;
  at.storage.hooks = {
    before: async ({ method, key }) => {
      // The second look, under the lease: a host without coordination was faster.
      if (method !== 'get' || key !== uploadStartedKey(repository, uuid) || ++looks !== 2) return;
      await at.storage.append(uploadDataKey(repository, uuid), 8, chunk(' and more').source);
    },
  };
  assert.deepEqual(await purger(at).run(), { seen: 1, purged: 0, failed: 0, bytes: 0 });
  assert.equal(looks, 2);
  assert.deepEqual(await left(at), [uuid]);
});

test('a session whose lease was lost meanwhile stays', async () => {
  const at = await world();
  await begin(at);
  at.now += 8 * DAY;
  const acquire: Coordinator['acquire'] = async (lease, options) => {
    const had = await at.coordinator.acquire(lease, options);
    if (had === undefined || !lease.startsWith('uploads/')) return had;
    return { ...had, confirm: () => Promise.reject(new Error('somebody else has it')) };
  };
  assert.deepEqual(await purger(at, { coordinator: { acquire } }).run(), { seen: 1, purged: 0, failed: 1, bytes: 0 });
  assert.equal((await left(at)).length, 1);
});

test('a start that the store lists and does not show yet is no abandoned session', async () => {
  const at = await world();
  const { repository, uuid } = await begin(at);
  at.now += 8 * DAY;
  at.storage.hooks = {
    before: ({ key }) => {
      if (key === uploadStartedKey(repository, uuid)) throw new DriverError('not-found', key);
    },
  };
  assert.equal((await purger(at).run())?.purged, 0);
});

test('what stands among the uploads and is no session is left alone, and said at debug', async () => {
  const at = await world();
  const root = `docker/registry/v2/repositories/${REPOSITORY}/_uploads`;
  const odd = [`${root}/notes/data`, `${root}/${randomUUID().toUpperCase()}/startedat`, `${root}/${randomUUID()}`];
  const hidden = `docker/registry/v2/repositories/_uploads/${randomUUID()}/startedat`;
  for (const key of [...odd, hidden]) await at.storage.put(key, Buffer.from('2000-01-01T00:00:00Z'));
  at.now += 365 * DAY;
  assert.deepEqual(await purger(at).run(), { seen: 0, purged: 0, failed: 0, bytes: 0 });
  assert.deepEqual(await keysBelow(at.storage), [MARK, ...odd, hidden].sort());
  assert.equal(said(at, 'debug').length, 3);
  assert.deepEqual(said(at, 'info', 'warn', 'error'), []);
});

test('a dry run counts, and changes nothing, not even when the next purge is due', async () => {
  const at = await world();
  await begin(at);
  at.now += 8 * DAY;
  const before = await keysBelow(at.storage);
  for (let round = 0; round < 2; round += 1) {
    const calls = await at.storage.during(async () => {
      assert.equal((await purger(at, { dryRun: true }).run())?.purged, 1);
    });
    assert.ok(calls.every((call) => /^(?:list|get|stat) /.test(call)));
  }
  assert.deepEqual(await keysBelow(at.storage), before);
  assert.deepEqual(new Set(said(at, 'info')), new Set(['abandoned uploads would be purged']));
  assert.equal((await purger(at).run())?.purged, 1);
});

test('where nothing may be changed nothing is asked', async () => {
  const at = await world();
  await begin(at);
  at.now += 8 * DAY;
  let isReadOnly = true;
  const purge = purger(at, { isReadOnly: () => isReadOnly });
  assert.deepEqual(await at.storage.during(async () => assert.equal(await purge.run(), undefined)), []);
  isReadOnly = false;
  assert.equal((await purge.run())?.purged, 1);
});

test('of two hosts one purges, and the other not before the interval is over', async () => {
  const at = await world();
  await begin(at);
  at.now += 8 * DAY;
  const [first, second] = [purger(at), purger(at)];
  const gate = new Gate();
  at.storage.hooks = { before: ({ method }) => (method === 'remove' ? gate.pass() : undefined) };
  const purging = first.run();
  assert.equal(first.run(), purging, 'one host purges twice at a time');
  await gate.reached;
  assert.equal(await second.run(), undefined);
  gate.open();
  assert.equal((await purging)?.purged, 1);
  at.now += DAY - 1;
  for (const host of [first, second, purger(at)]) assert.equal(await host.run(), undefined);
  at.now += 1;
  assert.deepEqual(await second.run(), { seen: 0, purged: 0, failed: 0, bytes: 0 });
  assert.equal(await first.run(), undefined);
});

test('a process that starts within the interval reads the mark, and asks for nothing else', async () => {
  const at = await world();
  await begin(at);
  await purger(at).run();
  assert.deepEqual(await at.storage.during(() => purger(at).run()), [`get ${MARK}`]);
});

for (const [title, mark] of [
  ['that is no time', 'yesterday'],
  ['of a clock far ahead', '9999-12-31T23:59:59Z'],
] as const) {
  test(`a mark ${title} keeps nobody from purging`, async () => {
    const at = await world();
    await begin(at);
    at.now += 8 * DAY;
    await at.storage.put(MARK, Buffer.from(mark));
    assert.equal((await purger(at).run())?.purged, 1);
    assert.equal(String(await at.storage.get(MARK)), new Date(at.now).toISOString());
  });
}

test('one session that fails does not keep the others, and is said once', async () => {
  const at = await world();
  const sessions = await Promise.all(Array.from({ length: 30 }, () => begin(at)));
  at.now += 8 * DAY;
  const bad = sessions.slice(0, 12).map(({ uuid }) => uuid);
  at.storage.hooks = {
    before: ({ method, key }) => {
      if (method === 'remove' && bad.some((uuid) => key.endsWith(uuid))) throw away(key);
    },
  };
  const report = await purger(at).run();
  assert.deepEqual({ ...report, bytes: 0 }, { seen: 30, purged: 18, failed: 12, bytes: 0 });
  assert.deepEqual((await left(at)).sort(), bad.sort());
  assert.deepEqual(said(at, 'warn'), ['some abandoned uploads could not be purged']);
  at.storage.hooks = {};
  at.now += DAY;
  assert.equal((await purger(at).run())?.purged, 12);
});

/** Lets the store go away when `removals` sessions are gone. */
function failAfter({ storage }: World, removals: number): void {
  let removed = 0;
  storage.hooks = {
    before: ({ key }) => {
      if (removed >= removals) throw away(key);
    },
    after: ({ method }) => {
      if (method === 'remove') removed += 1;
    },
  };
}

test('an outage ends the purge soon, and the next one begins anew', async () => {
  const at = await world();
  await Promise.all(Array.from({ length: 100 }, () => begin(at)));
  at.now += 8 * DAY;
  failAfter(at, 20);
  const purge = purger(at);
  const calls = await at.storage.during(() => assert.rejects(purge.run(), { reason: 'unavailable' }));
  const last = calls.findLastIndex((call) => call.startsWith('remove '));
  assert.ok(calls.length - last < 50, `${calls.length - last} calls to a store that is away`);
  at.storage.hooks = {};
  const rest = (await left(at)).length;
  assert.ok(rest >= 72 && rest <= 80, `${rest} sessions are left`);
  assert.equal((await purge.run())?.purged, rest);
});

for (const failing of ['store', 'coordination'] as const) {
  test(`what a timer begins says one line of a failing ${failing}, and lets no error escape`, async () => {
    const at = await world();
    let runs = 0;
    const acquire: Coordinator['acquire'] = (lease, options) => {
      runs += 1;
      if (failing === 'coordination') throw new Error('not as the contract says');
      return at.coordinator.acquire(lease, options);
    };
    failAfter(at, 0);
    const purge = purger(at, { coordinator: { acquire }, interval: 1 });
    purge.start();
    await until(() => runs > 2);
    await purge.stop();
    const lines = said(at, 'warn', 'info', 'error');
    assert.match(lines[0] ?? '', /was cut short/);
    assert.ok(lines.length <= runs && new Set(lines).size === 1, lines.join('\n'));
  });
}

test('a purge waits for nobody', async () => {
  const at = await world();
  await begin(at);
  at.now += 8 * DAY;
  const waits = new Map<string, number | undefined>();
  const leases = new Leases(at.coordinator, recorder(at.lines));
  const take: UploadPurgeParts['leases']['take'] = (lease, work, options) => {
    waits.set(lease.slice(0, 'purge/uploads'.length), options?.wait);
    return leases.take(lease, work);
  };
  await purger(at, { leases: { take } }).run();
  assert.equal(waits.size, 2);
  assert.deepEqual(new Set(waits.values()), new Set([0]));
});

test('a lost lease ends the purge between two sessions', async () => {
  const at = await world();
  await Promise.all(Array.from({ length: 30 }, () => begin(at)));
  at.now += 8 * DAY;
  const lost = new AbortController();
  const acquire: Coordinator['acquire'] = async (lease, options) => {
    const had = await at.coordinator.acquire(lease, options);
    return had && (lease === 'purge/uploads' ? { ...had, signal: lost.signal } : had);
  };
  at.storage.hooks = {
    after: ({ method }) => {
      if (method === 'remove') lost.abort(new Error('the lease was lost'));
    },
  };
  await assert.rejects(purger(at, { coordinator: { acquire } }).run(), {
    code: 'UNAVAILABLE',
    cause: new Error('the lease was lost'),
  });
  at.storage.hooks = {};
  const rest = (await left(at)).length;
  assert.ok(rest >= 14 && rest < 30, `${rest} sessions are left`);
  assert.equal((await purger(at).run())?.purged, rest);
});

test('stopping waits for the sessions in hand and leaves the others to whoever comes next', async () => {
  const at = await world();
  await Promise.all(Array.from({ length: 30 }, () => begin(at)));
  at.now += 8 * DAY;
  const gate = new Gate();
  let removals = 0;
  at.storage.hooks = {
    before: ({ method }) => {
      if (method !== 'remove') return undefined;
      removals += 1;
      return gate.pass();
    },
  };
  const purge = purger(at, { interval: 1 });
  purge.start();
  await until(() => removals > 0);
  let stopped = false;
  const stopping = purge.stop().then(() => {
    stopped = true;
  });
  await pause(5);
  assert.ok(!stopped, 'it does not wait');
  gate.open();
  await stopping;
  const calls = await at.storage.during(() => pause(20));
  assert.deepEqual(calls, [], 'it goes on');
  const rest = (await left(at)).length;
  assert.ok(rest >= 20 && rest < 30, `${rest} sessions are left`);
  assert.deepEqual(said(at, 'warn'), []);
  assert.equal((await purger(at).run())?.purged, rest);
});

test('a started purge comes back by itself, holds no process, and does nothing at first', async () => {
  const at = await world();
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const idle = purger(at);
  const calls = await at.storage.during(async () => {
    idle.start();
    assert.equal(timers(), before);
    await idle.stop();
  });
  assert.deepEqual(calls, []);
  const purge = purger(at, { interval: 2 });
  purge.start();
  for (let round = 0; round < 3; round += 1) {
    const { uuid } = await begin(at);
    at.now += 8 * DAY;
    await until(async () => !(await left(at)).includes(uuid));
  }
  await purge.stop();
});

/** Uses timers that fire when the test says so; what they begin is through when `after` resolves. */
async function withTimers(use: (after: (milliseconds: number) => Promise<void>) => Promise<void>): Promise<void> {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    await use(async (milliseconds) => {
      mock.timers.tick(milliseconds);
      for (let turns = 0; turns < 100; turns += 1) await turn();
    });
  } finally {
    mock.timers.reset();
  }
}

test('a host first looks within an hour, and again when the interval after the last purge is over', async () => {
  const at = await world();
  const hour = DAY / 24;
  await at.storage.put(MARK, Buffer.from(new Date(at.now).toISOString()));
  await begin(at);
  at.now += 20 * hour;
  await withTimers(async (after) => {
    const purge = purger(at, { age: hour });
    const random = mock.method(Math, 'random', () => 0.5);
    purge.start();
    random.mock.restore();
    assert.deepEqual(await at.storage.during(() => after(hour / 2 - 1)), []);
    assert.deepEqual(await at.storage.during(() => after(1)), [`get ${MARK}`]);
    at.now += 4 * hour;
    assert.deepEqual(await at.storage.during(() => after(4 * hour - 1)), []);
    await after(hour + 1);
    assert.deepEqual(await left(at), []);
    const stopped = await at.storage.during(async () => {
      await purge.stop();
      await after(48 * hour);
    });
    assert.deepEqual(stopped, []);
  });
});

test('after an outage a host tries again an interval later, however long that is', async () => {
  for (const interval of [DAY, 100 * DAY]) {
    const at = await world();
    await begin(at);
    at.now += 8 * DAY;
    failAfter(at, 0);
    await withTimers(async (after) => {
      const purge = purger(at, { interval });
      purge.start();
      await after(DAY / 24);
      assert.equal(said(at, 'warn').length, 1);
      at.storage.hooks = {};
      assert.deepEqual(await at.storage.during(() => after(DAY - 1)), []);
      at.now += interval;
      for (let days = 0; days <= interval; days += 10 * DAY) await after(10 * DAY);
      assert.deepEqual(await left(at), []);
      await purge.stop();
    });
  }
});

test('starting twice is starting once', async () => {
  const at = await world();
  await withTimers(async (after) => {
    const purge = purger(at);
    purge.start();
    purge.start();
    await purge.stop();
    assert.deepEqual(await at.storage.during(() => after(DAY)), []);
  });
});

/** A store whose sessions are made as they are listed, and are all in use. */
class Endless extends ObservedStorage {
  readonly #count: number;
  /** Listed and not looked at yet. */
  ahead = 0;
  mostAhead = 0;

  constructor(count: number) {
    super({} as StorageDriver);
    this.#count = count;
  }

  override async *list(key: string): AsyncGenerator<Entry, void, undefined> {
    this.calls.push({ method: 'list', key });
    if (key.endsWith('/repositories')) yield { name: 'a', kind: 'prefix' };
    if (key.endsWith('/a'))
      for (const each of ['_layers', '_manifests', '_uploads']) yield { name: each, kind: 'prefix' };
    if (!key.endsWith('/_uploads')) return;
    for (let index = 0; index < this.#count; index += 1) {
      this.ahead += 1;
      this.mostAhead = Math.max(this.mostAhead, this.ahead);
      yield { name: randomUUID(), kind: 'prefix' };
    }
  }

  override async get(key: string): Promise<Buffer> {
    if (!key.endsWith('/startedat')) throw new DriverError('not-found', key);
    await pause(0);
    this.ahead -= 1;
    return Buffer.from(new Date().toISOString());
  }

  override async put(): Promise<void> {}
}

test('sessions are listed as they are looked at, and links and blobs never', async () => {
  const at = await world();
  const storage = new Endless(2000);
  assert.equal((await purger(at, { storage }).run())?.seen, 2000);
  assert.ok(storage.mostAhead > 1 && storage.mostAhead <= 8, `${storage.mostAhead} at a time`);
  assert.deepEqual(
    storage.calls.map(({ key }) => key.slice('docker/registry/v2/'.length)),
    ['repositories', 'repositories/a', 'repositories/a/_uploads'],
  );
});

test('a session in use costs one read', async () => {
  const at = await world();
  await putDocument(at.services, await imageDocument(at.services));
  for (let index = 0; index < 10; index += 1) await begin(at);
  const calls = await at.storage.during(() => purger(at).run());
  assert.equal(calls.filter((call) => call.startsWith('get ')).length, 11);
  assert.equal(calls.filter((call) => call.startsWith('stat ')).length, 0);
  assert.equal(calls.filter((call) => call.startsWith('list ')).length, 4);
  assert.ok(calls.every((call) => !/blobs|_layers|_manifests/.test(call)));
});

/** From the given moment on no request to the bucket comes through. */
function crashAt(bucket: MemoryBucket, moment: number): { readonly crashed: () => boolean } {
  let moments = 0;
  bucket.intercept = () => {
    if (moments++ >= moment) throw new Error('the host is gone');
  };
  return { crashed: () => moments > moment };
}

test('whenever a host dies while it purges, the next one finishes', async () => {
  let moment = 0;
  for (let crashes = true; crashes; moment += 1) {
    const bucket = smallBucket({ pageEntries: 3 });
    const at = await world(driverOver(bucket));
    for (let index = 0; index < 2; index += 1) await begin(at, 'many parts of ten bytes each, and some more');
    const kept = await pushBlob(at.services, 'a blob');
    at.now = Date.now() + 8 * DAY;
    const { crashed } = crashAt(bucket, moment);
    await purger(at)
      .run()
      .catch(() => undefined);
    bucket.intercept = undefined;
    crashes = crashed();
    // Where the answer to the mark was lost, all is done, and nobody comes before the interval is over.
    await purger(at).run();
    const names = bucket.names.filter((each) => each.includes('_uploads'));
    assert.deepEqual(names, [], `after moment ${moment}`);
    assert.equal(String(await at.storage.get(blobKey(kept))), 'a blob');
  }
  assert.ok(moment > 40, `${moment} moments`);
});

/** A world whose store says what it was asked to purge. */
async function worldWithRemnants(purge: (options: PurgeOptions) => Promise<number>) {
  const at = await world();
  const asked: (readonly [key: string, begunBefore: number, dryRun: boolean])[] = [];
  Object.assign(at.storage, {
    purge: (key: string, options: PurgeOptions) => {
      asked.push([key, at.now - options.before.getTime(), options.dryRun]);
      return purge(options);
    },
  });
  return { at, asked };
}

test('what cut-off calls have left in the store goes with the sessions, and is counted', async () => {
  const { at, asked } = await worldWithRemnants(async () => 3);
  const none = { seen: 0, purged: 0, failed: 0, bytes: 0 };
  assert.deepEqual(await purger(at, { dryRun: true }).run(), { ...none, remnants: 3 });
  assert.deepEqual(await purger(at, { coordinator: new MemoryCoordinator() }).run(), { ...none, remnants: 3 });
  at.now += DAY;
  await purger(at, { age: 60_000 }).run();
  const root = 'docker/registry/v2';
  assert.deepEqual(asked, [
    [root, WEEK, true],
    [root, WEEK, false],
    // What is younger may be a call at work.
    [root, DAY, false],
  ]);
  assert.deepEqual(said(at, 'info', 'warn'), [
    'abandoned uploads would be purged',
    'abandoned uploads were purged',
    'abandoned uploads were purged',
  ]);
  await purger(at, { isReadOnly: () => true }).run();
  assert.equal(asked.length, 3);
});

test('a store that cannot purge what cut-off calls have left keeps nobody from the sessions', async () => {
  const { at } = await worldWithRemnants(async () => {
    throw away('docker');
  });
  await begin(at);
  at.now += 8 * DAY;
  assert.equal((await purger(at).run())?.purged, 1);
  assert.equal(said(at, 'warn').length, 1);
  assert.deepEqual(await at.storage.during(() => purger(at).run()), [`get ${MARK}`]);
});

test('the end of a purge ends what the store is asked', async () => {
  const reason = new Error('enough');
  const controller = new AbortController();
  const { at } = await worldWithRemnants(async ({ signal }) => {
    controller.abort(reason);
    signal?.throwIfAborted();
    return 0;
  });
  await assert.rejects(purger(at).run({ signal: controller.signal }), (error) => error === reason);
  assert.deepEqual(said(at, 'warn'), []);
});

test('purgeUploads: at once, by the age that it is given', async () => {
  const rootDirectory = tempFolder();
  const { instance: storage, close } = await startPlugin(filesystem({ rootDirectory, fsync: false }));
  const at = await world(storage);
  const young = await begin(at);
  const old = await begin(at, 'old');
  const then = new Date(Date.now() - 8 * DAY);
  await storage.put(uploadStartedKey(REPOSITORY, old.uuid), Buffer.from(then.toISOString()));
  for (const key of await keysBelow(storage, uploadKey(REPOSITORY, old.uuid))) {
    await utimes(join(rootDirectory, key), then, then);
  }
  const found = { seen: 2, purged: 1, failed: 0, bytes: 3 + then.toISOString().length };
  assert.deepEqual(await purgeUploads({ storage, dryRun: true }), found);
  assert.equal((await left(at)).length, 2);
  assert.equal((await purgeUploads({ storage, age: 9 * DAY })).purged, 0);
  const busy = await at.coordinator.acquire(`uploads/${old.uuid}`, { ttl: DAY, wait: 0 });
  assert.equal((await purgeUploads({ storage, coordination: at.coordinator })).purged, 0);
  await busy?.release();
  const lines: LogLine[] = [];
  assert.deepEqual(await purgeUploads({ storage, coordination: at.coordinator, log: recorder(lines) }), found);
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['abandoned uploads were purged'],
  );
  assert.deepEqual(await left(at), [young.uuid]);
  for (const age of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    await assert.rejects(purgeUploads({ storage, age }), RangeError);
  }
  const misspelt = { storage, age: 0, dryrun: true };
  await assert.rejects(purgeUploads(misspelt), /unknown option dryrun/);
  for (const wrong of [memory(), undefined]) {
    await assert.rejects(purgeUploads({ storage: wrong as never }), /must be a started driver/);
  }
  await assert.rejects(purgeUploads({ storage, signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  await close();
});

test.run();
