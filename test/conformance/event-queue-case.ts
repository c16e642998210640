// What the tests of the suite for queues have in common: their form, stores at work, events that nobody else has,
// and ways to see what waits.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import {
  digestOf,
  type EventQueue,
  type EventQueueStore,
  type QueuedEvent,
  type RegistryEvent,
  type Started,
} from 'koa-registry';

/** One promise, and the test that fails where it is broken. `start` makes a host that is at work. */
export type EventQueueCase = readonly [promise: string, body: (start: () => Promise<QueueHost>) => Promise<void>];

/** A store, and the close of its plugin. */
export class QueueHost {
  readonly store: EventQueueStore;
  readonly #stop: () => Promise<void>;
  readonly #open = new Set<EventQueue>();

  constructor({ instance, close }: Started<'queue'>) {
    this.store = instance;
    this.#stop = close;
  }

  async open(sink = aSink()): Promise<EventQueue> {
    const queue = await this.store.open(sink);
    this.#open.add(queue);
    return queue;
  }

  /** A queue of its own, with events in it. */
  async holding(events: readonly RegistryEvent[], sink = aSink()): Promise<EventQueue> {
    const queue = await this.open(sink);
    await queue.append(events);
    return queue;
  }

  async shut(queue: EventQueue): Promise<void> {
    this.#open.delete(queue);
    await queue.close?.();
  }

  /** As a registry does: the queues first. */
  async close(): Promise<void> {
    for (const queue of this.#open) await this.shut(queue);
    await this.#stop();
  }
}

/** A sink that no other test has. */
export function aSink(): string {
  return `Sink_${randomUUID().slice(0, 8)}.conformance`;
}

/** An event with all that one may have. */
export function anEvent(target: Partial<RegistryEvent['target']> = {}): RegistryEvent {
  const size = 1234;
  return {
    id: randomUUID(),
    timestamp: new Date().toISOString(),
    action: 'push',
    target: {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size,
      length: size,
      digest: digestOf(Buffer.from(randomUUID())),
      repository: 'conformance/app',
      url: 'http://127.0.0.1/v2/conformance/app/manifests/latest',
      tag: 'latest',
      ...target,
    },
    request: { id: randomUUID(), addr: '127.0.0.1:1234', host: '127.0.0.1', method: 'PUT', useragent: 'conformance' },
    actor: { name: 'somebody' },
    source: { addr: 'host:5000', instanceID: randomUUID() },
  };
}

export function events(count: number): RegistryEvent[] {
  return Array.from({ length: count }, (_, index) => anEvent({ tag: `tag-${index}` }));
}

/** Takes the first events out, as a delivery does. */
export async function takes(queue: EventQueue, count: number): Promise<readonly QueuedEvent[]> {
  const first = await queue.peek(count);
  await queue.remove(first);
  return first;
}

/** Takes everything out, a few events at a time, and answers it. A queue that never ends is given up. */
export async function drained(queue: EventQueue, atOnce = 10): Promise<RegistryEvent[]> {
  const all: RegistryEvent[] = [];
  for (let tries = 0; tries < 10_000; tries++) {
    const first = await takes(queue, atOnce);
    if (first.length === 0) return all;
    assert.ok(first.length <= atOnce, `${first.length} events are answered to a look at ${atOnce}`);
    all.push(...first.map(({ event }) => event));
  }
  return assert.fail('the queue does not become empty');
}

/** Asserts what waits, by taking it out. */
export async function holds(queue: EventQueue, expected: readonly RegistryEvent[], atOnce?: number): Promise<void> {
  assert.deepEqual(idsOf(await drained(queue, atOnce)), idsOf(expected));
}

export function idsOf(list: readonly (RegistryEvent | QueuedEvent)[]): string[] {
  return list.map((each) => ('event' in each ? each.event : each).id);
}
