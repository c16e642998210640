// Hosts that share a store: where the state of an upload is between two of them, what is read back for it,
// and what a registry says at its start of what such hosts need.
import assert from 'node:assert/strict';
import { definePlugin, digestOf, type Notes, OptionsError, type RegistryOptions, registry } from 'koa-registry';
import { gcs } from 'koa-registry/plugins/storage/gcs';
import { memory } from 'koa-registry/plugins/storage/memory';
import { suite } from 'uvu';
import { z } from 'zod';
import { MemoryCoordinator } from '../../lib/services/memory-coordinator.js';
import { RegistryClient } from '../support/registry-client.js';
import { type Host, memoryDriver, recordingLogger, storageOf, WARN, withHost } from './host-service.js';

const INFO = 30;
const NONE = z.strictObject({});

/** The coordination of several hosts in one process. */
class Shared {
  readonly coordinator = new MemoryCoordinator();
  /** What the notes say to every call, where they are away. */
  outage: Error | undefined;
  /** For how long each is kept, by its name. */
  readonly kept = new Map<string, number>();
  readonly plugin = definePlugin({
    kind: 'coordination',
    name: 'shared',
    options: NONE,
    shared: true,
    create: () => ({
      acquire: (name, options) => this.coordinator.acquire(name, options),
      notes: this.#notes(),
    }),
  });

  #notes(): Notes {
    const { notes } = this.coordinator;
    const unlessAway = async <T>(call: () => Promise<T>): Promise<T> => {
      if (this.outage !== undefined) throw this.outage;
      return call();
    };
    return {
      get: (name) => unlessAway(() => notes.get(name)),
      set: (name, text, ttl) => unlessAway(() => notes.set(name, text, ttl).then(() => void this.kept.set(name, ttl))),
      delete: (name) => unlessAway(() => notes.delete(name).then(() => void this.kept.delete(name))),
    };
  }
}

async function withHosts(options: Partial<RegistryOptions>, work: (one: Host, two: Host) => Promise<void>) {
  const driver = await memoryDriver();
  const all = { ...options, storage: storageOf(() => driver) };
  await withHost({ options: all }, (one) => withHost({ options: all }, (two) => work(one, two)));
}

/** The same place at another host. */
function at(location: string, { url }: Host): string {
  const { pathname, search } = new URL(location);
  return url + pathname + search;
}

const CHUNKS = ['one', 'two', 'three', 'four'].map((text) => Buffer.from(text.repeat(10_000)));
const WHOLE = Buffer.concat(CHUNKS);

/** Pushes in chunks, each request to the other host; answers every `Location`. */
async function pushInTurns(one: Host, two: Host): Promise<string[]> {
  const hosts = [one, two];
  const client = new RegistryClient(one.url);
  let location = await client.startUpload('r');
  let offset = 0;
  for (const [index, chunk] of CHUNKS.entries()) {
    location = await client.patchUpload(at(location, hosts[(index + 1) % 2] as Host), chunk, offset);
    offset += chunk.length;
  }
  await client.finishUpload(at(location, hosts[(CHUNKS.length + 1) % 2] as Host), digestOf(WHOLE));
  for (const { url } of hosts) {
    const answer = await fetch(`${url}/v2/r/blobs/${digestOf(WHOLE)}`);
    assert.equal(Buffer.compare(Buffer.from(await answer.arrayBuffer()), WHOLE), 0);
  }
  return client.locations.filter((where) => where.includes('/uploads/'));
}

const rereadBy = (...hosts: Host[]) =>
  hosts.map(({ registry: { counters } }) => counters().uploadBytesReread).reduce((sum, bytes) => sum + bytes, 0);

const test = suite('several hosts');

test('hosts whose secrets differ refuse what the other has begun, and say so once', async () => {
  const driver = await memoryDriver();
  const options = (secret: string) => ({ storage: storageOf(() => driver), http: { secret } });
  await withHost({ options: options('one') }, (one) =>
    withHost({ options: options('two') }, async (two) => {
      const begun = await new RegistryClient(one.url).startUpload('r');
      for (const _ of [1, 2]) assert.equal((await fetch(at(begun, two))).status, 404);
      const said = two.lines.filter(({ level, msg }) => level === WARN && /have all hosts the same/.test(msg));
      assert.equal(said.length, 1);
    }),
  );
});

test('the state travels with the client: each request at another host, and nothing is read back', async () => {
  await withHosts({ http: { secret: 'the same' } }, async (one, two) => {
    const locations = await pushInTurns(one, two);
    assert.ok(locations.every((where) => where.includes('_state=')));
    assert.equal(rereadBy(one, two), 0);
  });
});

test('the state is noted: nothing travels, nothing is read back, and soon no note is left', async () => {
  const shared = new Shared();
  await withHosts({ coordination: shared.plugin(), uploads: { state: 'coordination' } }, async (one, two) => {
    const locations = await pushInTurns(one, two);
    assert.ok(locations.every((where) => !where.includes('_state=')));
    assert.equal(rereadBy(one, two), 0);
    const states = [...shared.kept].filter(([name]) => name.startsWith('upload-states/'));
    assert.deepEqual(
      states.map(([, ttl]) => ttl),
      [60_000],
    );
  });
});

test('a PATCH without a range at one host and a PUT at another: nothing is read back, either way', async () => {
  const ways: Partial<RegistryOptions>[] = [
    { http: { secret: 'the same' } },
    { coordination: new Shared().plugin(), uploads: { state: 'coordination' } },
  ];
  for (const options of ways) {
    await withHosts(options, async (one, two) => {
      const client = new RegistryClient(one.url);
      const begun = await client.startUpload('r');
      const answer = await client.request(begun, { method: 'PATCH', body: WHOLE, statuses: [202] });
      await client.finishUpload(at(answer.headers.get('Location') ?? '', two), digestOf(WHOLE));
      assert.equal(rereadBy(one, two), 0);
    });
  }
});

test('a PUT that is sent again after its answer was lost is answered as before, either way', async () => {
  const ways: Partial<RegistryOptions>[] = [
    { http: { secret: 'the same' } },
    { coordination: new Shared().plugin(), uploads: { state: 'coordination' } },
  ];
  for (const options of ways) {
    await withHosts(options, async (one, two) => {
      const client = new RegistryClient(one.url);
      const begun = await client.startUpload('r');
      const answer = await client.request(begun, { method: 'PATCH', body: WHOLE, statuses: [202] });
      const location = answer.headers.get('Location') ?? '';
      for (const host of [one, two, one]) await client.finishUpload(at(location, host), digestOf(WHOLE));
      const other = digestOf(CHUNKS[0] as Buffer);
      const wrong = await fetch(`${location}${location.includes('?') ? '&' : '?'}digest=${other}`, { method: 'PUT' });
      assert.equal(wrong.status, 404);
    });
  }
});

test('a note that was lost costs no request: the client that claims nothing goes on where the store stands', async () => {
  const shared = new Shared();
  await withHosts({ coordination: shared.plugin(), uploads: { state: 'coordination' } }, async (one, two) => {
    const client = new RegistryClient(one.url);
    let location = await client.startUpload('r');
    for (const [index, chunk] of CHUNKS.entries()) {
      shared.outage = index === 1 ? new Error('away') : undefined;
      const host = [one, two][index % 2] as Host;
      const answer = await client.request(at(location, host), { method: 'PATCH', body: chunk, statuses: [202] });
      location = answer.headers.get('Location') ?? '';
    }
    await client.finishUpload(location, digestOf(WHOLE));
    const answer = await fetch(`${two.url}/v2/r/blobs/${digestOf(WHOLE)}`);
    assert.equal(Buffer.compare(Buffer.from(await answer.arrayBuffer()), WHOLE), 0);
  });
});

test('notes that cannot be had cost no upload: what is not known is read back, and counted', async () => {
  const shared = new Shared();
  await withHosts({ coordination: shared.plugin(), uploads: { state: 'coordination' } }, async (one, two) => {
    shared.outage = new Error('away');
    const client = new RegistryClient(one.url);
    const begun = await client.startUpload('r');
    const answer = await client.request(begun, { method: 'PATCH', body: WHOLE, statuses: [202] });
    await client.finishUpload(at(answer.headers.get('Location') ?? '', two), digestOf(WHOLE));
    assert.equal(rereadBy(one), 0);
    assert.equal(rereadBy(two), WHOLE.length);
    assert.equal((await fetch(`${one.url}/v2/r/blobs/${digestOf(WHOLE)}`)).status, 200);
  });
});

test('a noted state is of its repository alone', async () => {
  await withHosts({ coordination: new Shared().plugin(), uploads: { state: 'coordination' } }, async (one) => {
    const begun = await new RegistryClient(one.url).startUpload('r');
    const answer = await fetch(begun.replace('/v2/r/', '/v2/other/'));
    assert.equal(answer.status, 404);
  });
});

const problemsOf = (options: RegistryOptions): readonly string[] => {
  try {
    registry(options);
    return [];
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
};

test("uploads.state: 'coordination' needs one, and one that keeps notes", async () => {
  const uploads = { state: 'coordination' } as const;
  assert.deepEqual(problemsOf({ storage: memory(), uploads }), ['uploads.state: needs the option coordination']);
  const bare = definePlugin({
    kind: 'coordination',
    name: 'bare',
    options: NONE,
    create: () => ({ acquire: async () => undefined }),
  });
  await withHost({ options: { coordination: bare(), uploads } }, async ({ url, registry: ours }) => {
    assert.equal((await fetch(`${url}/v2/`)).status, 503);
    const { ok, checks } = await ours.health();
    assert.equal(ok, false);
    assert.match(checks['coordination/bare'] ?? '', /keeps no notes/);
  });
});

test('what several hosts lack is said at the start, and nothing to a single one', async () => {
  const shared = new Shared().plugin;
  const cache = definePlugin({
    kind: 'cache',
    name: 'shared',
    options: NONE,
    shared: true,
    create: () => ({ get: () => undefined, set: () => undefined, delete: () => undefined }),
  });
  const bucket = gcs({ bucket: 'layers', apiEndpoint: 'http://127.0.0.1:9' });
  const secret = `${WARN} http.secret is not set`;
  const turns = 'no coordination is shared';
  const stale = 'no cache is shared';
  const cases: [Partial<RegistryOptions>, string[]][] = [
    [{}, []],
    [{ http: { secret: 'x' } }, []],
    [{ storage: bucket }, [secret, `${INFO} ${turns}`, `${INFO} ${stale}`]],
    [{ storage: bucket, http: { secret: 'x' } }, [`${INFO} ${turns}`, `${INFO} ${stale}`]],
    [{ cache: cache() }, [secret, `${WARN} ${turns}`]],
    [{ coordination: shared(), cache: cache() }, [secret]],
    [{ coordination: shared() }, [secret, `${WARN} ${stale}`]],
    [{ coordination: shared(), uploads: { state: 'coordination' } }, [`${WARN} ${stale}`]],
    [{ storage: bucket, coordination: shared(), cache: cache(), http: { secret: 'x' } }, []],
  ];
  for (const [options, expected] of cases) {
    const { logger, lines } = recordingLogger();
    await registry({ storage: memory(), logger, ...options }).close();
    const said = lines.filter(({ msg }) => !msg.startsWith('no auth handler'));
    assert.deepEqual(
      said.map(({ level, msg }) => `${level} ${msg.split(':')[0]}`),
      expected,
    );
  }
});

test.run();
