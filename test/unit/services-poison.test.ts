// Whatever the order in which requests to one upload meet, on one host or on two: no content ever
// stands under a digest that is not its own.
import assert from 'node:assert/strict';
import { setImmediate as settled } from 'node:timers/promises';
import { test } from 'uvu';
import { RegistryError } from '../../lib/errors.js';
import { digestOf } from '../../lib/model/index.js';
import { blobKey, uploadStartedKey } from '../../lib/services/keys.js';
import { Gate } from '../faults/gate.js';
import type { ObservedStorage } from '../faults/observed-storage.js';
import { chunk, fixture, follow, pushBlob, REPOSITORY, sessions, stored } from './services-fixture.js';

const GOOD = 'good content';
const GOOD_DIGEST = digestOf(Buffer.from(GOOD));
const EVIL = 'evil content';

/** The two texts are of one length, so that a size alone tells nothing. */
assert.equal(GOOD.length, EVIL.length);

/** Sends `first`, waits at the gate, and sends `second`. */
async function* halting(first: string, gate: Gate, second: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(first);
  await gate.pass();
  yield Buffer.from(second);
}

/** What stands in the store is what its key says; answers whether the good content is there. */
async function assertSound(storage: ObservedStorage, at = ''): Promise<boolean> {
  for (const text of [GOOD, EVIL, GOOD + EVIL, EVIL + GOOD, '']) {
    const digest = digestOf(Buffer.from(text));
    const content = await stored(storage, digest);
    assert.ok(content === undefined || content === text, `${at}: ${JSON.stringify(content)} is not ${digest}`);
  }
  return (await stored(storage, GOOD_DIGEST)) === GOOD;
}

/** How a request ended: a client's mistake is never more than that. */
async function outcome(request: Promise<unknown>): Promise<string> {
  try {
    await request;
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof RegistryError && error.status < 500, `not a client's mistake: ${error}`);
    return error.code;
  }
}

test('a PUT waits for the PATCH that is still under way, and then judges the whole', async () => {
  const { storage, services } = await fixture();
  const state = await services.uploads.start(REPOSITORY, 'sha256');
  const gate = new Gate();
  const patching = outcome(services.uploads.append(follow(state), chunk(halting(GOOD, gate, EVIL))));
  await gate.reached;
  const putting = outcome(services.uploads.finish(follow(state), GOOD_DIGEST));
  await settled();
  assert.equal(await stored(storage, GOOD_DIGEST), undefined, 'nothing is published meanwhile');
  gate.open();
  assert.deepEqual(await Promise.all([patching, putting]), ['ok', 'DIGEST_INVALID']);
  assert.equal(await assertSound(storage), false);
});

test('a PATCH waits for the PUT that is still under way, and then finds no session', async () => {
  const { storage, services } = await fixture();
  const begun = await services.uploads.start(REPOSITORY, 'sha256');
  const state = await services.uploads.append(follow(begun), chunk(GOOD));
  const gate = new Gate();
  storage.hooks = { before: ({ method }) => (method === 'commit' ? gate.pass() : undefined) };
  const putting = outcome(services.uploads.finish(follow(state), GOOD_DIGEST));
  await gate.reached;
  const patches = [state, begun].map((old) => outcome(services.uploads.append(follow(old), chunk(EVIL))));
  await settled();
  gate.open();
  assert.deepEqual(await Promise.all([putting, ...patches]), ['ok', 'BLOB_UPLOAD_UNKNOWN', 'BLOB_UPLOAD_UNKNOWN']);
  assert.equal(await assertSound(storage), true);
});

test('after the commit every old state is worth nothing', async () => {
  const { storage, services } = await fixture();
  const begun = await services.uploads.start(REPOSITORY, 'sha256');
  const full = await services.uploads.append(follow(begun), chunk(GOOD));
  await services.uploads.finish(follow(full), GOOD_DIGEST);
  for (const old of [begun, full]) {
    for (const start of [undefined, 0, GOOD.length]) {
      assert.equal(await outcome(services.uploads.append(follow(old), chunk(EVIL, start))), 'BLOB_UPLOAD_UNKNOWN');
    }
    assert.equal(await outcome(services.uploads.finish(follow(old), GOOD_DIGEST, chunk(EVIL))), 'BLOB_UPLOAD_UNKNOWN');
    assert.equal(await outcome(services.uploads.cancel(follow(old))), 'BLOB_UPLOAD_UNKNOWN');
  }
  assert.equal(await outcome(services.uploads.finish(follow(begun), GOOD_DIGEST)), 'BLOB_UPLOAD_UNKNOWN');
  assert.equal(await assertSound(storage), true);
});

test('a PUT that is repeated after its session is over is told that the blob is there, for as long as it is', async () => {
  const { services } = await fixture();
  const begun = await services.uploads.start(REPOSITORY, 'sha256');
  const full = await services.uploads.append(follow(begun), chunk(GOOD));
  await services.uploads.finish(follow(full), GOOD_DIGEST);
  assert.equal((await services.uploads.finish(follow(full), GOOD_DIGEST)).digest, GOOD_DIGEST);
  const other = digestOf(Buffer.from(EVIL));
  assert.equal(await outcome(services.uploads.finish(follow(full), other)), 'BLOB_UPLOAD_UNKNOWN');
  await services.blobs.delete(REPOSITORY, GOOD_DIGEST);
  assert.equal(await outcome(services.uploads.finish(follow(full), GOOD_DIGEST)), 'BLOB_UPLOAD_UNKNOWN');
});

test('a session that was left behind after its commit takes in nothing, and publishes nothing else', async () => {
  const { storage, services } = await fixture();
  const begun = await services.uploads.start(REPOSITORY, 'sha256');
  const full = await services.uploads.append(follow(begun), chunk(GOOD));
  storage.hooks = {
    before: ({ method }) => {
      if (method === 'remove') throw new Error('the store is away');
    },
  };
  await services.uploads.finish(follow(full), GOOD_DIGEST);
  storage.hooks = {};
  assert.equal((await sessions(storage)).length, 1);
  for (const old of [begun, full]) {
    assert.equal(await outcome(services.uploads.append(follow(old), chunk(EVIL, 0))), 'BLOB_UPLOAD_UNKNOWN');
    const evil = digestOf(Buffer.from(EVIL));
    assert.equal(await outcome(services.uploads.finish(follow(old), evil, chunk(EVIL, 0))), 'BLOB_UPLOAD_UNKNOWN');
  }
  assert.equal(await outcome(services.uploads.finish(follow(full), GOOD_DIGEST, chunk(EVIL, 0))), 'ok');
  assert.equal(await assertSound(storage), true);
  assert.deepEqual(await sessions(storage), [], 'the repeated PUT has cleared it');
});

test('of two PUTs at once, on one host and on two, both succeed or one finds the session gone', async () => {
  for (const hosts of [1, 2]) {
    const one = await fixture();
    const two = hosts === 1 ? one : await fixture({ storage: one.storage });
    const begun = await one.services.uploads.start(REPOSITORY, 'sha256');
    const state = await one.services.uploads.append(follow(begun), chunk(GOOD));
    const ends = await Promise.all(
      [one, two].map(({ services }) => outcome(services.uploads.finish(follow(state), GOOD_DIGEST))),
    );
    assert.ok(ends.includes('ok'), `${hosts} hosts: ${ends}`);
    assert.ok(
      ends.every((end) => end === 'ok' || end === 'BLOB_UPLOAD_UNKNOWN'),
      `${hosts} hosts: ${ends}`,
    );
    assert.equal(await assertSound(one.storage), true);
  }
});

test('of two PUTs with different bodies one wins, and the digest holds', async () => {
  for (const hosts of [1, 2]) {
    const one = await fixture();
    const two = hosts === 1 ? one : await fixture({ storage: one.storage });
    const state = await one.services.uploads.start(REPOSITORY, 'sha256');
    const ends = await Promise.all([
      outcome(one.services.uploads.finish(follow(state), GOOD_DIGEST, chunk(GOOD))),
      outcome(two.services.uploads.finish(follow(state), GOOD_DIGEST, chunk(EVIL))),
    ]);
    assert.ok(ends.filter((end) => end === 'ok').length <= 1, String(ends));
    await assertSound(one.storage, `${hosts} hosts`);
  }
});

test('a PUT on another host cannot publish what a PATCH is still writing', async () => {
  const one = await fixture();
  const two = await fixture({ storage: one.storage });
  const state = await one.services.uploads.start(REPOSITORY, 'sha256');
  const gate = new Gate();
  const patching = outcome(one.services.uploads.append(follow(state), chunk(halting(GOOD, gate, EVIL))));
  await gate.reached;
  const put = await outcome(two.services.uploads.finish({ repository: REPOSITORY, uuid: state.uuid }, GOOD_DIGEST));
  assert.notEqual(put, 'ok');
  gate.open();
  await patching;
  await assertSound(one.storage);
});

test('a PATCH on another host that began before the PUT was sealed does not change what the PUT has verified', async () => {
  const one = await fixture();
  const two = await fixture({ storage: one.storage });
  const begun = await one.services.uploads.start(REPOSITORY, 'sha256');
  const state = await one.services.uploads.append(follow(begun), chunk(GOOD));
  const [appending, committing] = [new Gate(), new Gate()];
  one.storage.hooks = {
    before: ({ method }) =>
      method === 'append' ? appending.pass() : method === 'commit' ? committing.pass() : undefined,
  };
  const patching = outcome(one.services.uploads.append(follow(state), chunk(EVIL)));
  await appending.reached;
  const putting = outcome(two.services.uploads.finish(follow(state), GOOD_DIGEST));
  await committing.reached;
  appending.open();
  await patching;
  committing.open();
  await putting;
  await assertSound(one.storage);
});

test('a PATCH on another host that comes after the commit leaves nothing that a repeated PUT would publish', async () => {
  const one = await fixture();
  const two = await fixture({ storage: one.storage });
  const state = await one.services.uploads.start(REPOSITORY, 'sha256');
  const appending = new Gate();
  one.storage.hooks = { before: ({ method }) => (method === 'append' ? appending.pass() : undefined) };
  const patching = outcome(one.services.uploads.append(follow(state), chunk(EVIL)));
  await appending.reached;
  // The PUT commits, and its host goes down before it has cleared the session.
  one.storage.hooks = {
    before: ({ method }) => {
      if (method === 'remove') throw new Error('the store is away');
    },
  };
  assert.equal(await outcome(two.services.uploads.finish(follow(state), GOOD_DIGEST, chunk(GOOD))), 'ok');
  one.storage.hooks = {};
  appending.open();
  await patching;
  assert.equal(await outcome(two.services.uploads.finish(follow(state), GOOD_DIGEST)), 'ok');
  assert.equal(await assertSound(one.storage), true);
});

test('an upload that another host cancels while it is being written ends as unknown', async () => {
  const one = await fixture();
  const two = await fixture({ storage: one.storage });
  const state = await one.services.uploads.start(REPOSITORY, 'sha256');
  const gate = new Gate();
  const patching = outcome(one.services.uploads.append(follow(state), chunk(halting(GOOD, gate, EVIL))));
  await gate.reached;
  await two.services.uploads.cancel(follow(state));
  gate.open();
  assert.equal(await patching, 'BLOB_UPLOAD_UNKNOWN');
  assert.equal(await assertSound(one.storage), false);
});

test('fifty pushes of one blob at once leave one content and no session', async () => {
  const { storage, services } = await fixture();
  await Promise.all(Array.from({ length: 50 }, () => pushBlob(services, GOOD)));
  assert.equal(await assertSound(storage), true);
  assert.deepEqual(await sessions(storage), []);
  assert.equal((await storage.stat(blobKey(GOOD_DIGEST))).size, GOOD.length);
});

test('a state of another session, repository or algorithm leads nowhere', async () => {
  const { storage, services } = await fixture();
  const mine = await services.uploads.start(REPOSITORY, 'sha256');
  const other = await services.uploads.start(REPOSITORY, 'sha256');
  const foreign = { ...follow(mine), state: other };
  assert.equal(await outcome(services.uploads.append(foreign, chunk(EVIL))), 'BLOB_UPLOAD_INVALID');
  assert.equal(await outcome(services.uploads.finish(foreign, GOOD_DIGEST, chunk(GOOD))), 'BLOB_UPLOAD_INVALID');
  for (const uuid of ['', '..', 'x', `${mine.uuid}/..`, mine.uuid.toUpperCase().replace(/[0-9]/g, 'A')]) {
    assert.equal(await outcome(services.uploads.status({ repository: REPOSITORY, uuid })), 'BLOB_UPLOAD_UNKNOWN', uuid);
  }
  assert.equal((await storage.stat(uploadStartedKey(REPOSITORY, mine.uuid))).kind, 'object', 'the session lives on');
  assert.equal(await outcome(services.uploads.finish(follow(mine), GOOD_DIGEST, chunk(GOOD))), 'ok');
});

test.run();
