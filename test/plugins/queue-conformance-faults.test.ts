// The suite for queues, tested itself: over the shortest store that keeps every promise, and over stores that break
// one promise each, which have to fail at that promise.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import {
  definePlugin,
  type EventQueue,
  type EventQueueStore,
  type Plugin,
  type QueuedEvent,
  type RegistryEvent,
} from 'koa-registry';
import { eventQueueSuite } from 'koa-registry/conformance';
import { suite } from 'uvu';
import { z } from 'zod';

/** What waits for one sink, as every host knows it: events are what they were written as. */
class Log {
  texts: string[] = [];
  removed = 0;

  get length(): number {
    return this.texts.length;
  }
}

interface Waiting extends QueuedEvent {
  readonly position: number;
}

/** Keeps every promise. */
class SoundQueue implements EventQueue {
  protected readonly log: Log;

  constructor(log: Log) {
    this.log = log;
  }

  get length(): number {
    return this.log.length;
  }

  get bytes(): number {
    return this.log.texts.join('').length;
  }

  async append(events: readonly RegistryEvent[]): Promise<void> {
    this.log.texts.push(...events.map((event) => JSON.stringify(event)));
  }

  async peek(count: number): Promise<readonly QueuedEvent[]> {
    return this.log.texts
      .slice(0, count)
      .map((text, index): Waiting => ({ event: JSON.parse(text), position: this.log.removed + index }));
  }

  async remove(events: readonly QueuedEvent[]): Promise<void> {
    const last = events.at(-1) as Waiting | undefined;
    const count = last === undefined ? 0 : Math.max(0, last.position + 1 - this.log.removed);
    this.drop(count);
  }

  protected drop(count: number): void {
    this.log.removed += count;
    this.log.texts.splice(0, count);
  }
}

type Logs = Map<string, Log>;

/** A store of such queues; all hosts have the same logs. */
function storeOf(
  Queue: new (log: Log) => EventQueue,
  { logs = new Map(), ...more }: { readonly logs?: Logs } & Partial<EventQueueStore> = {},
): () => EventQueueStore {
  const open = async (sink: string) => {
    const log = logs.get(sink) ?? new Log();
    logs.set(sink, log);
    return new Queue(log);
  };
  return () => ({ shared: true, open, ...more });
}

const sound = () => storeOf(SoundQueue);

function pluginOf(create: () => EventQueueStore): () => Plugin<'queue'> {
  return definePlugin({ kind: 'queue', name: 'ledger', options: z.strictObject({}), create });
}

const soundly = suite('the suite for queues over a sound store');
eventQueueSuite(soundly, pluginOf(sound()), {}, { shared: true });
soundly.run();

/** A queue that differs from a sound one, which it is given, in a method or two. */
function queueWith(
  methods: (sound: SoundQueue, log: Log) => Partial<Pick<EventQueue, 'append' | 'peek' | 'remove' | 'close'>>,
) {
  return class extends SoundQueue {
    constructor(log: Log) {
      super(log);
      Object.assign(this, methods(new SoundQueue(log), log));
    }
  };
}

const withQueue = (methods: Parameters<typeof queueWith>[0]) => storeOf(queueWith(methods));

/** Knows only what it has read when it was opened. */
class Forgetful extends SoundQueue {
  constructor(log: Log) {
    super(Object.assign(new Log(), { texts: [...log.texts] }));
  }
}

/** Writes event by event, and lets others in between. */
async function oneByOne(queue: SoundQueue, events: readonly RegistryEvent[]): Promise<void> {
  for (const event of events) {
    await queue.append([event]);
    await turn();
  }
}

const isOdd = ({ actor }: RegistryEvent) => (actor.name?.length ?? 0) > 20;

/** Knows how much waits only from what it has done itself. */
class Secluded extends SoundQueue {
  #length = 0;

  override get length(): number {
    return this.#length;
  }

  async look(): Promise<void> {}

  override async append(events: readonly RegistryEvent[]): Promise<void> {
    await super.append(events);
    this.#length = this.log.length;
  }

  protected override drop(count: number): void {
    super.drop(count);
    this.#length = this.log.length;
  }
}

/** A promise, and a store that breaks it. */
const FAULTS: readonly (readonly [promise: string, create: () => EventQueueStore])[] = [
  [
    'open: a new queue is empty',
    storeOf(
      class extends SoundQueue {
        override get bytes() {
          return super.bytes + 64;
        }
      },
    ),
  ],
  [
    'append: events come in their order, and those of a later append after them',
    withQueue((_, log) => ({
      append: async (events) => void log.texts.unshift(...events.map((event) => JSON.stringify(event))),
    })),
  ],
  [
    'append: no events change nothing',
    withQueue((queue) => ({
      append: (events) => (events.length === 0 ? Promise.reject(new Error('nothing to do')) : queue.append(events)),
    })),
  ],
  [
    'append: of many at once each stays together, and none is lost',
    withQueue((queue) => ({ append: (events) => oneByOne(queue, events) })),
  ],
  [
    'append: while others are taken out, nothing is lost and the order stays',
    withQueue((queue, log) => ({
      append: async (events) => {
        const before = [...log.texts];
        await turn();
        log.texts = before;
        await queue.append(events);
      },
    })),
  ],
  [
    'peek: events stay, and are answered again from the first on',
    withQueue((queue) => ({
      peek: async (count) => {
        const first = await queue.peek(count);
        await queue.remove(first);
        return first;
      },
    })),
  ],
  [
    'peek: never more than were asked for, and no more than there are',
    withQueue((queue) => ({ peek: (count) => queue.peek(Math.max(count, 1)) })),
  ],
  [
    'peek: sees what was appended after the queue was found empty',
    withQueue((queue) => {
      let ended = false;
      const peek = async (count: number) => {
        const first = await queue.peek(count);
        ended ||= first.length === 0;
        return ended ? [] : first;
      };
      return { peek };
    }),
  ],
  [
    'peek: an event is what was appended, whatever its texts are',
    withQueue((queue) => ({
      append: (events) =>
        queue.append(
          events.map((event) => (isOdd(event) ? JSON.parse(JSON.stringify(event).replaceAll('\u2028', '\\n')) : event)),
        ),
    })),
  ],
  [
    'peek: large events are whole, between small ones',
    withQueue((queue) => ({
      append: (events) => queue.append(events.filter((event) => JSON.stringify(event).length < 1e5)),
    })),
  ],
  [
    'remove: what was removed does not come again, and what follows is the first',
    withQueue((queue, log) => ({
      remove: async (events) => {
        await queue.remove(events);
        if (events.length > 1) log.texts.splice(0, 1);
      },
    })),
  ],
  [
    'remove: the first few of what was peeked leaves the others',
    withQueue((queue) => {
      let peeked: readonly QueuedEvent[] = [];
      const peek = async (count: number) => {
        peeked = await queue.peek(count);
        return peeked;
      };
      return { peek, remove: () => queue.remove(peeked) };
    }),
  ],
  [
    'remove: may be repeated, also where events were peeked twice',
    withQueue((_, log) => ({
      remove: async (events) => {
        log.removed += events.length;
        log.texts.splice(0, events.length);
      },
    })),
  ],
  [
    'length and bytes: follow what is appended and removed',
    storeOf(
      class extends SoundQueue {
        override get length() {
          return this.log.length + this.log.removed;
        }
      },
    ),
  ],
  [
    'open: two sinks do not see each other’s events',
    () => {
      const log = new Log();
      return { shared: true, open: async () => new SoundQueue(log) };
    },
  ],
  [
    'check: resolves while the store can be used',
    storeOf(SoundQueue, { check: () => Promise.reject(new Error('away')) }),
  ],
  [
    'close: what is closed complains of nothing',
    withQueue(() => ({ close: () => Promise.reject(new Error('cannot close')) })),
  ],
  ['close: a queue that is opened again has what waited, in order, and its length', storeOf(Forgetful)],
  [
    'close: so has another host, when the one before it has closed',
    () => {
      const own: Logs = new Map();
      return storeOf(SoundQueue, { logs: own })();
    },
  ],
  [
    'close: what was removed does not come again, also when all was',
    withQueue((queue, log) => {
      const all = [...log.texts];
      const append = (events: readonly RegistryEvent[]) => {
        all.push(...events.map((event) => JSON.stringify(event)));
        return queue.append(events);
      };
      const close = async () => {
        log.texts = all;
      };
      return { append, close };
    }),
  ],
  [
    'close: what was peeked and not removed comes again',
    withQueue((queue) => {
      let peeked: readonly QueuedEvent[] = [];
      const peek = async (count: number) => {
        peeked = await queue.peek(count);
        return peeked;
      };
      return { peek, close: () => queue.remove(peeked) };
    }),
  ],
  [
    'close: what is appended to a queue that was opened again comes after what waited',
    withQueue((_, log) => ({
      append: async (events) => void log.texts.unshift(...events.map((event) => JSON.stringify(event))),
    })),
  ],
  ['two hosts: each sees what the other appends, in one order', storeOf(Forgetful)],
  [
    'two hosts: what one has removed the other does not see again',
    withQueue((queue) => {
      let first: readonly QueuedEvent[] = [];
      const peek = async (count: number) => {
        if (first.length === 0) first = await queue.peek(100);
        return first.slice(0, count);
      };
      const remove = async (events: readonly QueuedEvent[]) => {
        first = first.slice(events.length);
        await queue.remove(events);
      };
      return { peek, remove };
    }),
  ],
  [
    'two hosts: what both remove is gone once, and nothing else is',
    withQueue((_, log) => ({
      remove: async (events) => {
        log.removed += events.length;
        log.texts.splice(0, events.length);
      },
    })),
  ],
  [
    'look: brings the length and the bytes up to date with what another host has appended and removed',
    storeOf(Secluded),
  ],
  [
    'two hosts: what both append at once stays together, and none is lost',
    withQueue((queue) => ({ append: (events) => oneByOne(queue, events) })),
  ],
];

/** The suite's tests, each to be run when it is wanted. */
function casesOver(create: () => EventQueueStore): ReadonlyMap<string, () => Promise<void>> {
  const cases = new Map<string, () => Promise<void>>();
  eventQueueSuite((name, body) => cases.set(name, body), pluginOf(create), {}, { shared: true });
  return cases;
}

const faults = suite('the suite for queues over stores that break a promise');

for (const [promise, create] of FAULTS) {
  faults(promise, async () => {
    const body = casesOver(create).get(promise) ?? assert.fail('no such test');
    await assert.rejects(body(), 'the broken promise was not noticed');
  });
}

faults('there is a fault for each test of the suite', () => {
  assert.deepEqual(
    FAULTS.map(([promise]) => promise),
    [...casesOver(sound()).keys()],
  );
});

faults('a store whose hosts have nothing in common passes what is not about two of them', () => {
  const names: string[] = [];
  eventQueueSuite((name) => names.push(name), pluginOf(sound()));
  assert.ok(names.length > 0);
  assert.deepEqual(
    names.filter((name) => name.startsWith('two hosts')),
    [],
  );
});

faults('a skip that names no test is an error, so that none outlives its test', () => {
  const skips = { 'no such promise': 'why not' };
  assert.throws(() => eventQueueSuite(faults, pluginOf(sound()), skips), /no such promise/);
});

faults.run();
