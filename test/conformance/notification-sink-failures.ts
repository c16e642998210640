// That nothing is lost while the far end fails: a write says so, and succeeds when it comes again.
import { strict as assert } from 'node:assert';
import type { RegistryEvent } from 'koa-registry';
import {
  inTime,
  rejected,
  type SinkCase,
  type SinkHost,
  type SinkStage,
  untilResolved,
} from './notification-sink-case.js';
import { anEvent, assertEvents, each, events } from './notification-sink-events.js';
import type { FarEndFailure } from './notification-sink-setup.js';

const RESOLVED = 'a write has resolved whose events have not arrived';

/** A sink that has delivered, a far end that fails now, and how that ends; nothing where it cannot fail. */
async function failing(stage: SinkStage, how: FarEndFailure) {
  const host = await stage.start(undefined, { batch: 10 });
  const before = anEvent();
  await host.deliver([before]);
  const repair = await stage.fail(host.setup, how);
  return repair && { host, before, repair };
}

/** Some events for one write. */
function batchFor({ batch }: SinkHost): RegistryEvent[] {
  return events(Math.min(batch, 3));
}

function noAssertion(error: unknown): true {
  if (error instanceof assert.AssertionError) throw error;
  return true;
}

/** A write that is given up, as the queue does it, once it is under way. */
async function giveUp(host: SinkHost, batch: readonly RegistryEvent[]): Promise<void> {
  const patience = new AbortController();
  const written = host.write(batch, patience.signal);
  setTimeout(() => patience.abort(new Error('given up')), 100);
  await rejected(written, RESOLVED);
}

export const failureCases: readonly SinkCase[] = [
  [
    'write: with a signal that is aborted it ends, and resolves only where the events have arrived',
    async (stage) => {
      const host = await stage.start();
      const [first, second] = [anEvent(), anEvent()];
      await host.deliver([first]);
      const aborted = AbortSignal.abort(new Error('given up'));
      const isRejected = await host.write([second], aborted).then(() => false, noAssertion);
      const ids = (await host.received()).map(({ id }) => id);
      assert.ok(isRejected || ids.includes(second.id), RESOLVED);
      await host.deliver([second]);
      assertEvents(each(await host.received()), [first, second]);
    },
  ],
  [
    'away: every write rejects, and comes to an end',
    async (stage) => {
      const at = await failing(stage, 'away');
      if (at === undefined) return;
      for (let tries = 0; tries < 3; tries++) await rejected(at.host.write(batchFor(at.host)), RESOLVED);
    },
  ],
  [
    'away: the same write succeeds when the far end is back, and what follows arrives after it',
    async (stage) => {
      const at = await failing(stage, 'away');
      if (at === undefined) return;
      const { host, before, repair } = at;
      const [batch, after] = [batchFor(host), events(2)];
      for (let tries = 0; tries < 2; tries++) await rejected(host.write(batch), RESOLVED);
      await repair();
      await host.deliver([...batch, ...after]);
      assertEvents(await host.received(), [before, ...batch, ...after]);
    },
  ],
  [
    'slow: a write rejects soon when its signal is aborted',
    async (stage) => {
      const at = await failing(stage, 'slow');
      if (at !== undefined) await giveUp(at.host, batchFor(at.host));
    },
  ],
  [
    'slow: a write that was given up succeeds when it comes again, and what follows arrives after it',
    async (stage) => {
      const at = await failing(stage, 'slow');
      if (at === undefined) return;
      const { host, before, repair } = at;
      const [batch, after] = [batchFor(host), events(2)];
      for (let tries = 0; tries < 2; tries++) await giveUp(host, batch);
      await repair();
      await host.deliver([...batch, ...after]);
      assertEvents(await host.received(), [before, ...batch, ...after]);
    },
  ],
  [
    'check: resolves while the far end is there, rejects while it is away, and resolves again',
    async (stage) => {
      const host = await stage.start();
      const check = async () => host.sink.check?.();
      if (host.sink.check === undefined) return;
      await untilResolved(check, 'check rejects, and the far end is there');
      const repair = await stage.fail(host.setup, 'away');
      if (repair === undefined) return;
      await rejected(inTime(check(), 'a check that does not end'), 'check resolves, and the far end is away');
      await repair();
      await untilResolved(check, 'check rejects, and the far end is back');
    },
  ],
];
