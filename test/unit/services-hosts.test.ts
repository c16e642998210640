// Hosts on one store that cannot rely on their coordination: it is away, it has lost a lease while its holder
// slept, or there is none. Nothing wrong is stored, and nothing acknowledged is lost.
import assert from 'node:assert/strict';
import { objectStorage } from 'koa-registry';
import { LateStorage } from 'koa-registry/conformance';
import { test } from 'uvu';
import type { Coordinator, Lease, Notes } from '../../lib/contracts/index.js';
import { DriverError } from '../../lib/errors.js';
import { digestOf } from '../../lib/model/index.js';
import { blobKey } from '../../lib/services/keys.js';
import { MemoryCoordinator } from '../../lib/services/memory-coordinator.js';
import { Gate } from '../faults/gate.js';
import { ObservedStorage } from '../faults/observed-storage.js';
import { MemoryBucket } from '../support/memory-bucket.js';
import { chunk, fixture, follow, REPOSITORY, stored, tag } from './services-fixture.js';

const GOOD = 'good content';
const GOOD_DIGEST = digestOf(Buffer.from(GOOD));
const EVIL = 'evil content';

async function* held(text: string, gate: Gate): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
  await gate.pass();
}

const away = async (): Promise<never> => {
  throw new Error('away');
};

const NO_NOTES: Notes = { get: away, set: away, delete: away };

/** Gives leases that are lost as soon as they are had, as to a host that is paused for long. */
function losing(): Coordinator {
  const lost = new AbortController();
  lost.abort(new Error('the lease was lost'));
  const { signal } = lost;
  const lease: Lease = { token: 1, signal, confirm: async () => signal.throwIfAborted(), release: async () => {} };
  return { acquire: async () => lease, notes: new MemoryCoordinator().notes };
}

for (const inChunks of [true, false]) {
  for (const finisher of ['the loser', 'a third host']) {
    test(`of two appends at one offset the loser's bytes count nowhere, ${inChunks ? 'in chunks' : 'whole'}: ${finisher} finishes`, async () => {
      const storage = new ObservedStorage(objectStorage(new MemoryBucket(), { partBytes: 1 << 20 }));
      const [one, two, three] = await Promise.all([1, 2, 3].map(() => fixture({ storage, portable: true })));
      assert.ok(one && two && three);
      const state = await one.services.uploads.start(REPOSITORY, 'sha256');
      const start = inChunks ? 0 : undefined;
      const gate = new Gate();
      const loser = two.services.uploads.append(follow(state), chunk(held(GOOD, gate), start));
      const lost = assert.rejects(loser, { code: 'RANGE_INVALID' });
      await gate.reached;
      await one.services.uploads.append(follow(state), chunk(EVIL, start));
      gate.open();
      await lost;
      const { uploads } = (finisher === 'the loser' ? two : three).services;
      const put = uploads.finish({ repository: REPOSITORY, uuid: state.uuid }, GOOD_DIGEST);
      await assert.rejects(put, { code: 'DIGEST_INVALID' });
      assert.equal(await stored(storage, GOOD_DIGEST), undefined);
    });
  }
}

test('a lease that is lost, or cannot be confirmed, cuts no upload', async () => {
  const { services } = await fixture({ coordination: losing() });
  const state = await services.uploads.start(REPOSITORY, 'sha256');
  const full = await services.uploads.append(follow(state), chunk(GOOD));
  assert.equal((await services.uploads.finish(follow(full), GOOD_DIGEST)).size, GOOD.length);
});

test('a host that was paused past its lease removes no tag: another one may have set it meanwhile', async () => {
  const one = await fixture({ coordination: losing() });
  const { tags } = one.services;
  const digest = digestOf(Buffer.from('1'));
  const latest = tag('latest');
  await tags.set(REPOSITORY, latest, digest);
  for (const remove of [() => tags.deleteAllOf(REPOSITORY, digest), () => tags.delete(REPOSITORY, latest)]) {
    await assert.rejects(remove(), { code: 'UNAVAILABLE' });
    assert.equal(await tags.resolve(REPOSITORY, latest), digest);
  }
});

/** Two hosts that cannot tell each other what they have written. */
async function lateHosts(delay: number) {
  const driver = (await fixture()).storage;
  const storage = new ObservedStorage(new LateStorage(driver, delay));
  const { acquire } = MemoryCoordinator.prototype;
  const host = () => {
    const own = new MemoryCoordinator();
    return fixture({ storage, portable: true, coordination: { acquire: acquire.bind(own), notes: NO_NOTES } });
  };
  return [await host(), await host()] as const;
}

test('without notes, too, a state tells that the store is late: 503 until it shows all, and then the PUT succeeds', async () => {
  const [one, two] = await lateHosts(2_500);
  const state = await one.services.uploads.start(REPOSITORY, 'sha256');
  await new Promise((resolve) => setTimeout(resolve, 2_600));
  const full = await one.services.uploads.append(follow(state), chunk(GOOD));
  await assert.rejects(two.services.uploads.finish(follow(full), GOOD_DIGEST), { code: 'UNAVAILABLE' });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.equal((await two.services.uploads.finish(follow(full), GOOD_DIGEST)).size, GOOD.length);
});

test('a state of long ago does not: what a store has lost is not waited for', async () => {
  const { storage, services, later } = await fixture({ portable: true });
  const state = await services.uploads.start(REPOSITORY, 'sha256');
  const full = await services.uploads.append(follow(state), chunk(GOOD));
  later();
  storage.hooks = {
    before: ({ method, key }) => {
      if (method === 'stat') throw new DriverError('not-found', key);
    },
  };
  assert.equal((await services.uploads.status(follow(full))).offset, 0);
});

test('a whole blob that the store does not show in all that time is a 503, whatever is known', async () => {
  const push = async (notes: Notes) => {
    const { storage, services } = await fixture({ coordination: { ...losing(), notes } });
    let tries = 0;
    storage.hooks = {
      before: ({ method, key }) => {
        if (method !== 'commit') return;
        tries += 1;
        throw new DriverError('not-found', key);
      },
    };
    const receiving = services.uploads.receive(REPOSITORY, GOOD_DIGEST, chunk(GOOD));
    await assert.rejects(receiving, { code: 'UNAVAILABLE' });
    assert.ok(tries > 10, `${tries} tries`);
    storage.hooks = {};
    await assert.rejects(storage.stat(blobKey(GOOD_DIGEST)));
  };
  await Promise.all([NO_NOTES, new MemoryCoordinator().notes].map(push));
});

test.run();
