// The suite for sinks, tested itself: over short sinks that keep every promise, and over sinks that break one
// promise each, which have to fail at that promise.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  definePlugin,
  deliveryOptions,
  type NotificationSink,
  type PluginHost,
  type RegistryEvent,
  secret,
} from 'koa-registry';
import { type FarEndFailure, notificationSinkSuite, type SinkPlaces, type SinkSetup } from 'koa-registry/conformance';
import { suite } from 'uvu';
import { z } from 'zod';

type Open = (places: SinkPlaces) => SinkSetup | Promise<SinkSetup>;
type Write = NotificationSink['write'];

/** A far end in this process. */
class FarEnd {
  readonly received: RegistryEvent[] = [];
  failing: FarEndFailure | undefined;

  /** Takes events, as the sink of a network would pass them on: as copies, once that is possible. */
  async take(events: readonly RegistryEvent[], signal: AbortSignal): Promise<void> {
    await this.reach(signal);
    this.received.push(...structuredClone(events));
  }

  async reach(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.failing === 'away') throw new Error('nobody is there');
    while (this.failing === 'slow') await sleep(60_000, undefined, { ref: false, ...(signal && { signal }) });
  }

  async fail(how: FarEndFailure): Promise<() => Promise<void>> {
    this.failing = how;
    return async () => {
      this.failing = undefined;
    };
  }
}

/** A sink and its far end, as a setup. */
function setupOf(
  end: FarEnd,
  create: (host: PluginHost) => NotificationSink,
  more: Partial<SinkSetup> = {},
): SinkSetup {
  const options = z.strictObject({});
  const detour = definePlugin({ kind: 'notification', name: 'detour', options, create: (_, host) => create(host) });
  return { sink: detour(), received: async () => end.received, fail: (how) => end.fail(how), ...more };
}

const soundly =
  (end: FarEnd): Write =>
  (events, { signal }) =>
    end.take(events, signal);

/** A setup whose sink does this, and all else as it should be. */
function writing(write: (end: FarEnd, host: PluginHost) => Write): Open {
  return () => {
    const end = new FarEnd();
    return setupOf(end, (host) => ({ write: write(end, host) }));
  };
}

/** A setup whose sink passes on something else than it is given. */
function passing(change: (events: readonly RegistryEvent[]) => readonly RegistryEvent[]): Open {
  return writing(
    (end) =>
      (events, { signal }) =>
        end.take(change(events), signal),
  );
}

/** A setup with these besides `write`. */
function besides(more: (end: FarEnd) => Partial<NotificationSink>): Open {
  return () => {
    const end = new FarEnd();
    return setupOf(end, () => ({ write: soundly(end), ...more(end) }));
  };
}

const KIND = { kind: 'notification', name: 'optional' } as const;

/** A sink with the options of a delivery, of which it hands back what it likes. */
function delivered(
  handBack: (delivery: NonNullable<NotificationSink['delivery']>) => NotificationSink['delivery'],
): Open {
  return () => {
    const end = new FarEnd();
    const plugin = definePlugin({
      ...KIND,
      options: z.strictObject({ ...deliveryOptions({ batch: 3 }), token: secret(z.string()) }),
      create: ({ token: _, ...delivery }) => ({ delivery: handBack(delivery), write: soundly(end) }),
    });
    return {
      sink: plugin({ token: 'canary-of-a-sink' }),
      received: async () => end.received,
      fail: (how) => end.fail(how),
    };
  };
}

const SOUND: Readonly<Record<string, Open>> = {
  'passes on what it gets': writing(soundly),
  'can be checked, and closed': besides((end) => ({
    check: (options) => end.reach(options?.signal),
    close: async () => undefined,
  })),
  'has options for its delivery': delivered((delivery) => delivery),
  'cannot fail': () => {
    const end = new FarEnd();
    return { sink: setupOf(end, () => ({ write: soundly(end) })).sink, received: async () => end.received };
  },
  'looks at no signal': () => {
    const end = new FarEnd();
    const { fail: _, ...setup } = setupOf(end, () => ({
      write: async (events) => void end.received.push(...events),
    }));
    return setup;
  },
  'writes to the log': ({ log }) => {
    const options = z.strictObject({});
    const create = (_: object, { logger }: PluginHost): NotificationSink => ({
      write: async (events) => {
        for (const event of events) logger.info({ event }, 'happened');
      },
    });
    const received = async () => log.flatMap(({ fields: { event } }) => (event ? [event as RegistryEvent] : []));
    return { sink: definePlugin({ kind: 'notification', name: 'logs', options, create })(), received };
  },
};

for (const [what, open] of Object.entries(SOUND)) {
  const sound = suite(`the suite for sinks over one that ${what}`);
  notificationSinkSuite(sound, open);
  sound.run();
}

/** The suite's tests, each to be run when it is wanted. */
function casesOver(open: Open): ReadonlyMap<string, () => Promise<void>> {
  const cases = new Map<string, () => Promise<void>>();
  notificationSinkSuite((name, body) => cases.set(name, body), open);
  return cases;
}

/** A sink that is lost once its far end has failed; it answers, and passes nothing on. */
const resigned = (how: FarEndFailure): Open =>
  writing((end) => {
    let failed = false;
    return async (events, { signal }) => {
      failed ||= end.failing === how;
      if (!failed || end.failing !== undefined) await end.take(events, signal);
    };
  });

const stubborn = new FarEnd();
const shared: NotificationSink = { write: soundly(stubborn) };
let lastEnd = new FarEnd();

/** A promise, and a sink that breaks it. */
const FAULTS: readonly (readonly [promise: string, open: Open])[] = [
  [
    'write: an event arrives whole, with every field',
    passing((events) => events.map(({ target: { fromRepository: _, ...target }, ...event }) => ({ ...event, target }))),
  ],
  [
    'write: what an event leaves out is left out, and what is empty is empty',
    passing((events) => events.map(({ actor, ...event }) => ({ ...event, actor: { name: actor.name ?? '' } }))),
  ],
  [
    'write: texts of any script arrive as they are',
    passing((events) =>
      events.map(({ actor: { name = '' }, ...event }) => ({
        ...event,
        actor: { name: Buffer.from(name, 'latin1').toString('latin1') },
      })),
    ),
  ],
  [
    'write: an event with a hundred references arrives whole',
    passing((events) =>
      events.map(({ target: { references = [], ...target }, ...event }) => ({
        ...event,
        target: { ...target, references: references.slice(0, 50) },
      })),
    ),
  ],
  [
    'write: events arrive in the order of the writes',
    writing((end) => {
      let held: readonly RegistryEvent[] = [];
      return async (events, { signal }) => {
        const now = held.length > 0 ? [...events, ...held] : [];
        held = held.length > 0 ? [] : events;
        await end.take(now, signal);
      };
    }),
  ],
  [
    'write: a batch arrives in its order, and the next one after it',
    () => {
      const end = new FarEnd();
      const write: Write = (events, { signal }) => end.take([...events].reverse(), signal);
      return setupOf(end, () => ({ delivery: { batch: 5 }, write }));
    },
  ],
  [
    'write: events that come again, as they do after a restart, are no failure',
    writing((end) => async (events, { signal }) => {
      if (events.some(({ id }) => end.received.some((known) => known.id === id))) throw new Error('known already');
      await end.take(events, signal);
    }),
  ],
  [
    'write: changes nothing of what it is given, nor of its options',
    writing((end) => async (events, { signal }) => {
      await end.take(events, signal);
      for (const { request } of events) Reflect.deleteProperty(request, 'addr');
    }),
  ],
  ['delivery: has valid values, those that the options give', delivered(({ ignore: _, ...delivery }) => delivery)],
  [
    'write: with a signal that is aborted it ends, and resolves only where the events have arrived',
    writing((end) => async (events, { signal }) => {
      if (!signal.aborted) await end.take(events, signal);
    }),
  ],
  [
    'away: every write rejects, and comes to an end',
    writing((end) => async (events, { signal }) => {
      if (end.failing !== 'away') await end.take(events, signal);
    }),
  ],
  ['away: the same write succeeds when the far end is back, and what follows arrives after it', resigned('away')],
  [
    'slow: a write rejects soon when its signal is aborted',
    writing((end) => (events, { signal }) => {
      return end.failing === 'slow' ? new Promise(() => undefined) : end.take(events, signal);
    }),
  ],
  ['slow: a write that was given up succeeds when it comes again, and what follows arrives after it', resigned('slow')],
  [
    'check: resolves while the far end is there, rejects while it is away, and resolves again',
    besides(() => ({ check: async () => undefined })),
  ],
  [
    'registry: what clients do arrives, with who did it, where, and the URL of the content',
    passing((events) => events.map((event) => (event.action === 'mount' ? { ...event, action: 'push' } : event))),
  ],
  [
    'registry: what happens while the far end is away delays nobody, and arrives when it is back, in order',
    writing((end) => {
      const held: RegistryEvent[] = [];
      return async (events, { signal }) => {
        if (end.failing === 'away') held.push(...events);
        else await end.take([...events, ...held.splice(0)], signal);
      };
    }),
  ],
  [
    'log: holds no option that is marked secret, nor does an error or the plugin, whatever becomes of the events',
    () => {
      const end = new FarEnd();
      const plugin = definePlugin({
        ...KIND,
        options: z.strictObject({ token: secret(z.string()) }),
        create: ({ token }) => ({
          write: async (events, { signal }) => {
            if (end.failing === 'away') throw new Error(`nobody is there who knows ${token}`);
            await end.take(events, signal);
          },
        }),
      });
      const sink = plugin({ token: 'canary-of-a-sink' });
      return { sink, received: async () => end.received, fail: (how) => end.fail(how) };
    },
  ],
  [
    'close: a closed registry has closed its sink, once, without complaint, after the last event',
    besides(() => ({ close: () => Promise.reject(new Error('cannot close')) })),
  ],
  [
    'close: comes to an end while the far end is away, or does not answer',
    besides((end) => ({ close: () => (end.failing === 'slow' ? new Promise(() => undefined) : Promise.resolve()) })),
  ],
  [
    'close: may come first',
    besides((end) => ({
      close: async () => assert.ok(end.received.length > 0, 'nothing to close'),
    })),
  ],
  [
    'at once: two sinks have a far end each, and each has its own events',
    () => {
      const end = new FarEnd();
      return setupOf(end, () => {
        lastEnd = end;
        return { write: (events, { signal }) => lastEnd.take(events, signal) };
      });
    },
  ],
  [
    'at once: of two sinks one goes on while the other’s far end does not answer',
    (() => {
      let turn = Promise.resolve();
      return writing((end) => (events, { signal }) => {
        const own = turn.then(() => end.take(events, signal));
        turn = own.catch(() => undefined);
        return own;
      });
    })(),
  ],
  [
    'at once: two registries with the same plugin have a sink each, and one outlives the other',
    () => setupOf(stubborn, () => shared),
  ],
];

const faults = suite('the suite for sinks over sinks that break a promise');

async function breaks(promise: string, open: Open): Promise<void> {
  const body = casesOver(open).get(promise) ?? assert.fail('no such test');
  await assert.rejects(body(), (error) => error instanceof assert.AssertionError);
}

/** All at once: to find that something never ends takes a while. */
let found: ReadonlyMap<string, Promise<void>>;

faults.before(() => {
  found = new Map(FAULTS.map(([promise, open]) => [promise, breaks(promise, open)]));
  for (const finding of found.values()) finding.catch(() => undefined);
});

for (const [promise] of FAULTS) faults(promise, async () => found.get(promise));

faults('there is a fault for each test of the suite', () => {
  const promises = [...casesOver(writing(soundly)).keys()];
  assert.deepEqual(FAULTS.map(([promise]) => promise).sort(), promises.sort());
});

faults('a delivery of invalid values is found, and one of which the queue knows nothing', async () => {
  for (const delivery of [{ batch: 0 }, { timeout: Number.NaN }, { retries: 3 }]) {
    await breaks(
      'delivery: has valid values, those that the options give',
      besides(() => ({ delivery })),
    );
  }
});

faults('a skip that names no test is an error, so that none outlives its test', () => {
  const open = writing(soundly);
  assert.throws(() => notificationSinkSuite(faults, open, { 'no such promise': 'why not' }), /no such promise/);
});

faults('what the setup has started is ended after each test, also where it fails', async () => {
  let opened = 0;
  let ended = 0;
  const cases = casesOver(() => {
    opened++;
    const close = async () => void ended++;
    return setupOf(new FarEnd(), () => assert.fail('broken'), { close });
  });
  for (const promise of ['write: events arrive in the order of the writes', 'close: may come first']) {
    await cases
      .get(promise)?.()
      .catch(() => undefined);
  }
  assert.deepEqual([opened, ended], [2, 2]);
});

faults.run();
