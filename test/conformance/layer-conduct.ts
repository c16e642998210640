// How a handler conducts itself among others: what it leaves in the log, and its end.
import { strict as assert } from 'node:assert';
import {
  assertAnswer,
  assertNoFailure,
  has,
  LARGE,
  type LayerCase,
  MIDDLE,
  type Pushed,
  pushed,
  SMALL,
} from './layer-case.js';
import { locationOf } from './layer-exchange.js';
import { assertUnseen, secretsOf, signaturesOf } from './layer-log.js';
import { LayerRegistry } from './layer-registry.js';
import { Site } from './layer-site.js';

/** Every way in which a registry may come to say something of a blob. */
async function makeTalk(at: LayerRegistry, blobs: readonly Pushed[]): Promise<void> {
  for (const { digest } of blobs) {
    for (const method of ['GET', 'HEAD'] as const) {
      await at.ask(digest, { method });
      await at.ask(digest, { method, known: false });
      await at.ask(digest, { method, headers: { Range: 'bytes=0-1' } });
    }
    await at.leave(digest, 5);
  }
  at.storeFails = true;
  for (const { digest } of blobs) await at.ask(digest);
  at.storeFails = false;
  await at.registry.health();
}

export const conductCases: readonly LayerCase[] = [
  [
    'log: holds no query of a redirect, and no option that is marked secret',
    async (at) => {
      const blobs = await Promise.all([SMALL, LARGE].map((size) => pushed(at, size)));
      await makeTalk(at, blobs);
      await at.registry.close();
      const redirects = at.observation.asked.flatMap(({ answer }) =>
        answer && 'redirect' in answer ? [answer.redirect] : [],
      );
      const locations = at.replies.map(locationOf).filter((location) => location !== undefined);
      const signatures = [...redirects, ...locations].flatMap(signaturesOf);
      const secrets = [...signatures, ...secretsOf(at.setup.layer), ...(at.setup.secrets ?? [])];
      assertUnseen(secrets, at.log, 'the log');
      assertUnseen(secrets, at.errors, 'an error of the application');
      for (const { failure } of at.observation.asked) assertUnseen(secrets, failure, 'what the handler throws');
    },
  ],
  [
    'store: while it cannot say where its objects are, nobody is sent where nothing is',
    async (at) => {
      const blob = await pushed(at, MIDDLE);
      await has(at, blob);
      at.storeFails = true;
      const reply = await at.pull(blob.digest);
      for (const { answer } of at.observation.asked) assertAnswer(answer);
      assert.ok(!reply || blob.bytes.equals(reply.body), 'a client has not got the blob');
      assert.deepEqual(at.errors, []);
    },
  ],
  [
    'close: a closed registry has closed its handler, once, without complaint, and answers nobody',
    async (at) => {
      const blob = await pushed(at, MIDDLE);
      await has(at, blob);
      await at.registry.close();
      await at.registry.close();
      assert.equal(at.observation.closed, 1);
      assert.equal(at.observation.signal?.aborted, true);
      const complaints = at.log.filter(({ message }) => message === 'plugin failed to close');
      assert.deepEqual(complaints, []);
      assert.equal((await at.ask(blob.digest)).status, 503);
    },
  ],
  [
    'close: two registries with the same plugin have a handler each, and one outlives the other',
    async (at) => {
      const site = await Site.open();
      const second = new LayerRegistry({ ...at.setup, front: undefined }, at.driver, site);
      try {
        for (const each of [at, second]) await has(each, await pushed(each, MIDDLE));
        assert.notEqual(await at.handler(), await second.handler(), 'the two share a handler');
        await second.registry.close();
        await has(at, await pushed(at, MIDDLE));
        assertNoFailure(at);
      } finally {
        await second.registry.close();
        await site.close();
      }
    },
  ],
];
