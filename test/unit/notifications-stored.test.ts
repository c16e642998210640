// Events that wait in a store: appended together, kept in memory while the store is away, and delivered by one of those
// who share it.
import * as assert from 'node:assert/strict';
import type { EventQueue, EventQueueStore, QueuedEvent, RegistryEvent } from 'koa-registry';
import { test } from 'uvu';
import { Gate } from '../faults/gate.js';
import { eventOf, ObservedSink, occurrenceOf, until, worldOf } from './notifications-fixture.js';

/** A store that a test can take away; what is in it outlives the queues. */
class ObservedStore implements EventQueueStore {
  shared = false;
  away = false;
  readonly kept: RegistryEvent[] = [];
  readonly appends: number[] = [];
  /** Holds back the next append. */
  gate: Gate | undefined;

  async open(): Promise<EventQueue> {
    this.#assertThere();
    return this;
  }

  get length(): number {
    return this.kept.length;
  }

  get bytes(): number {
    return this.kept.length * 500;
  }

  async append(events: readonly RegistryEvent[]): Promise<void> {
    await this.gate?.pass();
    this.#assertThere();
    this.appends.push(events.length);
    this.kept.push(...events);
  }

  async peek(count: number): Promise<readonly QueuedEvent[]> {
    this.#assertThere();
    return this.kept.slice(0, count).map((event) => ({ event }));
  }

  async remove(events: readonly QueuedEvent[]): Promise<void> {
    this.#assertThere();
    for (const { event } of events) {
      const index = this.kept.indexOf(event);
      if (index >= 0) this.kept.splice(index, 1);
    }
  }

  #assertThere(): void {
    if (this.away) throw new Error('the store is away');
  }
}

const ids = (events: readonly RegistryEvent[]) => events.map(({ id }) => id);
const never = () => new Promise<void>(() => undefined);

test('a change is acknowledged once its event is stored, and what comes meanwhile is stored together', async () => {
  const store = new ObservedStore();
  const sink = new ObservedSink({ timeout: 60_000 });
  sink.act = never;
  const { events } = worldOf([sink], { store });
  const gate = new Gate();
  store.gate = gate;
  let acknowledged = 0;
  const all = Array.from({ length: 20 }, () => eventOf());
  const waiting = all.map(async (event) => {
    await events.emit(occurrenceOf(event));
    acknowledged += 1;
  });
  await gate.reached;
  await new Promise(setImmediate);
  assert.equal(acknowledged, 0);
  store.gate = undefined;
  gate.open();
  await Promise.all(waiting);
  assert.deepEqual(ids(store.kept), ids(all));
  assert.deepEqual(store.appends, [1, 19]);
  await events.close(1);
});

test('what an earlier process has left is delivered first', async () => {
  const store = new ObservedStore();
  const left = [eventOf(), eventOf()];
  store.kept.push(...left);
  const sink = new ObservedSink();
  const { events } = worldOf([sink], { store });
  await until(() => sink.ids.length === 2, 'not delivered');
  const later = eventOf();
  await events.emit(occurrenceOf(later));
  await until(() => store.kept.length === 0, 'not removed');
  assert.deepEqual(sink.ids, ids([...left, later]));
  await events.close(1000);
});

test('also where the store is away at the start', async () => {
  const store = new ObservedStore();
  store.away = true;
  store.kept.push(eventOf());
  const sink = new ObservedSink();
  const { events } = worldOf([sink], { store });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(sink.ids.length, 0);
  store.away = false;
  await until(() => store.kept.length === 0, 'not delivered');
  assert.equal(sink.ids.length, 1);
  await events.close(1000);
});

test('while the store is away events wait in memory, nobody waits for it, and all are delivered in order', async () => {
  const store = new ObservedStore();
  const sink = new ObservedSink();
  const { events, said } = worldOf([sink], { store });
  store.away = true;
  const all = Array.from({ length: 10 }, () => eventOf());
  for (const event of all) await events.emit(occurrenceOf(event));
  assert.equal(events.metrics().sink?.pending, 10);
  assert.deepEqual(said('error'), ['events cannot be stored, and wait in memory meanwhile']);
  store.away = false;
  await until(() => events.metrics().sink?.delivered === 10, 'not delivered');
  assert.deepEqual(sink.ids, ids(all));
  assert.deepEqual(said('info'), ['events are stored again']);
  await events.close(1000);
});

test('the bound holds for what is stored and for what could not be', async () => {
  const store = new ObservedStore();
  const sink = new ObservedSink({ timeout: 60_000 });
  sink.act = never;
  const bounds = { maxEvents: 5, maxBytes: 2 ** 30, overflow: 'drop-oldest' } as const;
  const { events } = worldOf([sink], { store, bounds });
  const all = Array.from({ length: 12 }, () => eventOf());
  for (const event of all) await events.emit(occurrenceOf(event));
  await until(() => store.kept.length <= 5, 'the oldest are not dropped');
  assert.deepEqual(ids(store.kept), ids(all.slice(-5)));
  store.away = true;
  for (let count = 0; count < 12; count++) await events.emit(occurrenceOf(eventOf()));
  await until(() => (events.metrics().sink?.pending ?? 99) <= 6, 'those in memory are not dropped');
  assert.ok((events.metrics().sink?.dropped ?? 0) >= 18);
  await events.close(1);
});

test('the bound holds for events that come at once, too', async () => {
  const store = new ObservedStore();
  const sink = new ObservedSink({ timeout: 60_000 });
  sink.act = never;
  const bounds = { maxEvents: 10, maxBytes: 2 ** 30, overflow: 'drop-oldest' } as const;
  const { events } = worldOf([sink], { store, bounds });
  for (let round = 0; round < 10; round++)
    await Promise.all(Array.from({ length: 20 }, () => events.emit(occurrenceOf(eventOf()))));
  const counted = () => events.metrics().sink ?? assert.fail();
  await until(() => counted().pending <= 10 && counted().pending + counted().dropped === 200, 'not within the bound');
  await events.close(1);
});

test('what was delivered and could not be removed comes again', async () => {
  const store = new ObservedStore();
  const sink = new ObservedSink();
  const { events } = worldOf([sink], { store });
  let first = true;
  sink.act = async () => {
    if (first) store.away = true;
    first = false;
  };
  await events.emit(occurrenceOf(eventOf()));
  await until(() => store.away, 'not delivered');
  store.away = false;
  await until(() => store.kept.length === 0, 'not removed');
  assert.ok(sink.ids.length >= 1);
  await events.close(1000);
});

test('closing leaves in the store what was not delivered', async () => {
  const store = new ObservedStore();
  const sink = new ObservedSink();
  sink.act = never;
  const { events, said } = worldOf([sink], { store });
  const event = eventOf();
  await events.emit(occurrenceOf(event));
  await events.close(10);
  assert.deepEqual(ids(store.kept), [event.id]);
  assert.ok(said('info').includes('events wait for the next start'));
  const next = new ObservedSink();
  const again = worldOf([next], { store });
  await until(() => next.ids.length === 1, 'not delivered after the start');
  await again.events.close(1000);
});

test('closing does not wait for a store that is away, and says what is lost', async () => {
  const store = new ObservedStore();
  const gate = new Gate();
  store.gate = gate;
  const { events, said } = worldOf([new ObservedSink()], { store });
  void events.emit(occurrenceOf(eventOf()));
  await gate.reached;
  const closed = events.close(1);
  store.away = true;
  gate.open();
  await closed;
  assert.ok(said('error').includes('events could not be stored before the end'));
});

test('of hosts that share a store one delivers at a time, and what the other has added, too', async () => {
  const store = new ObservedStore();
  store.shared = true;
  let holder: string | undefined;
  const overlaps: string[] = [];
  const turnOf = (host: string) => async (_name: string, work: (signal: AbortSignal) => Promise<void>) => {
    if (holder !== undefined) return false;
    holder = host;
    await work(new AbortController().signal);
    if (holder !== host) overlaps.push(host);
    holder = undefined;
    return true;
  };
  const delivered: string[] = [];
  const sinks = ['one', 'two'].map(() => {
    const sink = new ObservedSink();
    sink.act = async (events) => void delivered.push(...ids(events));
    return sink;
  });
  const hosts = sinks.map((sink, index) => worldOf([sink], { store, inTurn: turnOf(String(index)) }));
  const all = Array.from({ length: 20 }, () => eventOf());
  for (const [index, event] of all.entries()) await hosts[index % 2]?.events.emit(occurrenceOf(event));
  await until(() => store.kept.length === 0, 'not delivered');
  assert.deepEqual(delivered, ids(all));
  assert.deepEqual(overlaps, []);
  for (const { events } of hosts) await events.close(1000);
});

test.run();
