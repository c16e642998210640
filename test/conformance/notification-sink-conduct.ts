// How a sink conducts itself in registries and among other sinks: what arrives there, its log, its end.
import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import { ONE, TWO } from './auth-content.js';
import { assertUnseen, secretsOf } from './layer-log.js';
import { inTime, type SinkCase, until } from './notification-sink-case.js';
import { anEvent, assertEvents, each, events } from './notification-sink-events.js';
import { ACTIONS, CLIENT, type SinkRegistry } from './notification-sink-registry.js';
import type { SinkSetup } from './notification-sink-setup.js';

/** Asserts that all that registries have told has arrived, each registry's in its order. */
async function arriveFrom(setup: SinkSetup, ...registries: readonly SinkRegistry[]): Promise<void> {
  const told = () => registries.reduce((sum, { heard }) => sum + heard.length, 0);
  const arrived = async () => each(await setup.received()).length;
  await until(async () => (await arrived()) >= told(), 'events that do not arrive');
  const received = each(await setup.received());
  for (const { heard } of registries) {
    const ids = new Set(heard.map(({ id }) => id));
    assertEvents(
      received.filter(({ id }) => ids.has(id)),
      heard,
    );
  }
}

/** Has a registry tell its whole repertoire, `rounds` times. */
async function makeTalk(at: SinkRegistry, rounds: readonly string[]): Promise<void> {
  const before = at.heard.length;
  for (const round of rounds) await at.use(round);
  await until(() => at.heard.length >= before + rounds.length * ACTIONS.length, 'too few events');
}

export const conductCases: readonly SinkCase[] = [
  [
    'registry: what clients do arrives, with who did it, where, and the URL of the content',
    async (stage) => {
      const opened = await stage.open();
      const at = await stage.serve(opened);
      await makeTalk(at, ['one']);
      await arriveFrom(opened.setup, at);
      const received = each(await opened.setup.received());
      assert.deepEqual(received.map(({ action }) => action).sort(), [...ACTIONS].sort());
      for (const { actor, action, target, request } of received) {
        assert.deepEqual(actor, { name: CLIENT });
        assert.equal(request.useragent, 'conformance/1.0');
        assert.equal(target.repository, action === 'mount' ? TWO : ONE);
        assert.equal(target.fromRepository, action === 'mount' ? ONE : undefined);
        if (action !== 'delete') assert.ok(target.url?.startsWith(`${at.root}${target.repository}/`), target.url);
      }
      assert.deepEqual(at.errors, []);
    },
  ],
  [
    'registry: what happens while the far end is away delays nobody, and arrives when it is back, in order',
    async (stage) => {
      const opened = await stage.open();
      const at = await stage.serve(opened);
      await makeTalk(at, ['before']);
      await arriveFrom(opened.setup, at);
      const repair = await stage.fail(opened.setup, 'away');
      await inTime(makeTalk(at, ['meanwhile']), 'clients wait for the far end');
      await repair?.();
      await makeTalk(at, ['after']);
      await arriveFrom(opened.setup, at);
    },
  ],
  [
    'log: holds no option that is marked secret, nor does an error or the plugin, whatever becomes of the events',
    async (stage) => {
      const opened = await stage.open();
      const { setup, log } = opened;
      const failures: unknown[] = [];
      const note = (error: unknown) => void failures.push(error);
      const host = await stage.start(opened);
      const at = await stage.serve(opened);
      await makeTalk(at, ['well']);
      for (const how of ['away', 'slow'] as const) {
        const repair = await stage.fail(setup, how);
        await host.write([anEvent()]).catch(note);
        const check = async () => host.sink.check?.({ signal: AbortSignal.timeout(1_000) });
        await inTime(check(), 'a check that does not end').catch(note);
        await makeTalk(at, [how]);
        failures.push(await at.registry.health());
        await repair?.();
      }
      await at.close();
      const secrets = [...secretsOf(setup.sink), ...(setup.secrets ?? [])];
      assertUnseen(secrets, log, 'the log');
      assertUnseen(secrets, at.errors, 'an error of the application');
      assertUnseen(secrets, failures, 'an error of the sink');
      assertUnseen(secrets, [inspect(setup.sink), JSON.stringify(setup.sink)], 'the plugin, printed');
    },
  ],
  [
    'close: a closed registry has closed its sink, once, without complaint, after the last event',
    async (stage) => {
      const opened = await stage.open();
      const at = await stage.serve(opened);
      await makeTalk(at, ['one']);
      await arriveFrom(opened.setup, at);
      await makeTalk(at, ['two']);
      await at.registry.close();
      await at.registry.close();
      assert.equal(at.observation.closed, 1);
      assert.equal(at.observation.signal?.aborted, true);
      const complaints = opened.log.filter(({ message }) => message === 'plugin failed to close');
      assert.deepEqual(complaints, []);
      assertEvents(each(await opened.setup.received()), at.heard);
    },
  ],
  [
    'close: comes to an end while the far end is away, or does not answer',
    async (stage) => {
      for (const how of ['away', 'slow'] as const) {
        const opened = await stage.open();
        const at = await stage.serve(opened, { drainTimeout: 200 });
        await at.registry.ready();
        const repair = await stage.fail(opened.setup, how);
        await makeTalk(at, ['one']);
        await inTime(at.close(), 'a registry that does not close');
        await repair?.();
      }
    },
  ],
  [
    'close: may come first',
    async (stage) => {
      const host = await stage.start();
      const closed = host.close().catch((error: unknown) => assert.fail(`close rejects: ${String(error)}`));
      await inTime(closed, 'close does not end');
    },
  ],
  [
    'at once: two sinks have a far end each, and each has its own events',
    async (stage) => {
      const [first, second] = [await stage.start(), await stage.start()];
      const told = [events(20), events(20)] as const;
      await Promise.all([first.deliver(told[0]), second.deliver(told[1])]);
      assertEvents(await first.received(), told[0]);
      assertEvents(await second.received(), told[1]);
    },
  ],
  [
    'at once: of two sinks one goes on while the other’s far end does not answer',
    async (stage) => {
      const [first, second] = [await stage.start(), await stage.start()];
      const told = events(5);
      await first.deliver([anEvent()]);
      await stage.fail(first.setup, 'slow');
      const patience = new AbortController();
      const hanging = first.write([anEvent()], patience.signal).catch(() => undefined);
      try {
        await inTime(second.deliver(told), 'one sink waits for the other');
      } finally {
        patience.abort(new Error('given up'));
        await hanging;
      }
      assertEvents(await second.received(), told);
    },
  ],
  [
    'at once: two registries with the same plugin have a sink each, and one outlives the other',
    async (stage) => {
      const opened = await stage.open();
      const [one, other] = [await stage.serve(opened), await stage.serve(opened)];
      await Promise.all([makeTalk(one, ['a', 'b']), makeTalk(other, ['c', 'd'])]);
      await arriveFrom(opened.setup, one, other);
      assert.notEqual(one.observation.sinks[0], other.observation.sinks[0], 'the two share a sink');
      await other.close();
      await makeTalk(one, ['e']);
      await arriveFrom(opened.setup, one, other);
    },
  ],
];
