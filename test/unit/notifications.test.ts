// Events on their way to sinks: in order, again and again, within bounds, and no sink in another's way.
import * as assert from 'node:assert/strict';
import { RegistryError, type RegistryEvent, SinkGoneError } from 'koa-registry';
import { test } from 'uvu';
import { Pauses } from '../../lib/notifications/pauses.js';
import { eventOf, ObservedSink, occurrenceOf, until, worldOf } from './notifications-fixture.js';

/** Never settles, unless its signal does. */
const hang = (_events: readonly RegistryEvent[], signal: AbortSignal) =>
  new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

const ids = (events: readonly RegistryEvent[]) => events.map(({ id }) => id);

test('events arrive in their order, one by one unless batches are wanted', async () => {
  const single = new ObservedSink({ name: 'single' });
  const batched = new ObservedSink({ name: 'batched', batch: 4 });
  const { events } = worldOf([single, batched]);
  const all = Array.from({ length: 10 }, () => eventOf());
  for (const event of all) events.emit(occurrenceOf(event));
  await until(() => single.ids.length === 10 && batched.ids.length === 10, 'not delivered');
  assert.deepEqual(single.ids, ids(all));
  assert.deepEqual(batched.ids, ids(all));
  assert.ok(single.writes.every((write) => write.length === 1));
  assert.ok(batched.writes.some((write) => write.length === 4));
  await events.close(1000);
});

test('what fails comes again, the same and before all that follows, and is counted', async () => {
  const sink = new ObservedSink();
  let failures = 5;
  const taken: string[] = [];
  sink.act = async (events) => {
    if (failures-- > 0) throw new Error('500');
    taken.push(...ids(events));
  };
  const { events } = worldOf([sink]);
  const all = [eventOf(), eventOf(), eventOf()];
  for (const event of all) events.emit(occurrenceOf(event));
  await until(() => taken.length === 3, 'not delivered');
  assert.deepEqual(taken, ids(all));
  assert.ok(sink.ids.slice(0, 6).every((id) => id === all[0]?.id));
  await until(() => events.metrics().sink?.delivered === 3, 'not counted');
  const { state, failed, retried, pending, dropped, oldestAge } = events.metrics().sink ?? assert.fail();
  assert.deepEqual(
    { state, failed, retried, pending, dropped, oldestAge },
    { state: 'ok', failed: 5, retried: 5, pending: 0, dropped: 0, oldestAge: 0 },
  );
  await events.close(1000);
});

test('a sink that hangs delays no other, and is left when its time is over', async () => {
  const hanging = new ObservedSink({ name: 'hanging', timeout: 20 });
  hanging.act = () => new Promise(() => undefined);
  const other = new ObservedSink({ name: 'other' });
  const { events } = worldOf([hanging, other]);
  for (let count = 0; count < 20; count++) events.emit(occurrenceOf(eventOf()));
  await until(() => other.ids.length === 20, 'the other sink waits');
  await until(() => hanging.writes.length >= 3, 'never tried again');
  assert.ok(hanging.signals[0]?.aborted);
  assert.ok((events.metrics().hanging?.oldestAge ?? 0) > 0);
  assert.equal(events.metrics().hanging?.pending, 20);
  assert.equal(events.metrics().hanging?.state, 'failing');
  await events.close(1);
});

test('the log says once that a sink is away, and once that it is back', async () => {
  const sink = new ObservedSink({ threshold: 3 });
  let away = true;
  sink.act = async () => {
    if (away) throw new Error('ECONNREFUSED');
  };
  const { events, said } = worldOf([sink]);
  events.emit(occurrenceOf(eventOf()));
  await until(() => sink.writes.length > 8, 'not tried often');
  assert.deepEqual(said('warn'), ['the sink takes no events']);
  away = false;
  await until(() => events.metrics().sink?.delivered === 1, 'not delivered');
  assert.deepEqual(said('info'), ['the sink takes events again']);
  await events.close(1000);
});

test('pauses are short at first, then double up to the longest, and chance is in them', () => {
  const pauses = new Pauses({ threshold: 3, backoff: 1000, maxBackoff: 10_000 });
  const bounds = [50, 50, 1000, 2000, 4000, 8000, 10_000, 10_000];
  for (const [index, longest] of bounds.entries()) {
    const pause = pauses.failed();
    assert.ok(pause >= longest / 2 && pause <= longest, `${index}: ${pause}`);
  }
  for (let count = 0; count < 5000; count++) assert.ok(pauses.failed() <= 10_000);
  pauses.succeeded();
  assert.ok(pauses.failed() <= 50);
});

test('beyond the bound the oldest events are dropped, counted and spoken of', async () => {
  const sink = new ObservedSink();
  sink.act = hang;
  const { events, lines } = worldOf([sink], { bounds: { maxEvents: 10, maxBytes: 2 ** 30, overflow: 'drop-oldest' } });
  const all = Array.from({ length: 35 }, () => eventOf());
  for (const event of all) events.emit(occurrenceOf(event));
  assert.equal(events.metrics().sink?.pending, 10);
  assert.equal(events.metrics().sink?.dropped, 25);
  const drops = lines.filter(({ message }) => message === 'events were dropped');
  assert.equal(drops.length, 1);
  const taken: string[] = [];
  sink.act = async (events) => void taken.push(...ids(events));
  await events.close(5000);
  assert.deepEqual(taken.slice(-10), ids(all.slice(-10)));
  const said = lines
    .filter(({ message }) => message === 'events were dropped')
    .map(({ fields }) => fields.dropped as number);
  assert.equal(
    said.reduce((sum, count) => sum + count, 0),
    25,
  );
});

test('or the newest are', async () => {
  const sink = new ObservedSink();
  sink.act = hang;
  const { events } = worldOf([sink], { bounds: { maxEvents: 10, maxBytes: 2 ** 30, overflow: 'drop-newest' } });
  const all = Array.from({ length: 35 }, () => eventOf());
  for (const event of all) events.emit(occurrenceOf(event));
  assert.equal(events.metrics().sink?.dropped, 25);
  const taken: string[] = [];
  sink.act = async (events) => void taken.push(...ids(events));
  await events.close(5000);
  assert.deepEqual([...new Set(taken)], ids(all.slice(0, 10)));
});

test('the bound is one of bytes, too, and a manifest with many references counts for what it is', async () => {
  const sink = new ObservedSink();
  sink.act = hang;
  const { events } = worldOf([sink], { bounds: { maxEvents: 1000, maxBytes: 100_000, overflow: 'drop-oldest' } });
  const references = Array.from({ length: 100 }, () => ({ mediaType: 'x/y', digest: 'sha256:0', size: 1 })) as never;
  for (let count = 0; count < 50; count++) events.emit(occurrenceOf(eventOf('push', { references })));
  const { pending = 0, pendingBytes = 0 } = events.metrics().sink ?? {};
  assert.ok(pending > 0 && pending < 10, String(pending));
  assert.ok(pendingBytes < 130_000, String(pendingBytes));
  await events.close(1);
});

test('hold: changes wait for room and are then let in; what they cause is not dropped, but pulls are', async () => {
  const sink = new ObservedSink();
  sink.act = hang;
  const { events } = worldOf([sink], { bounds: { maxEvents: 2, maxBytes: 2 ** 30, overflow: 'hold' } });
  assert.equal(events.room(), undefined);
  for (let count = 0; count < 3; count++) events.emit(occurrenceOf(eventOf()));
  events.emit(occurrenceOf(eventOf('pull')));
  assert.equal(events.metrics().sink?.pending, 3);
  assert.equal(events.metrics().sink?.dropped, 1);
  let admitted = false;
  const room = Promise.resolve(events.room()).then(() => {
    admitted = true;
  });
  await new Promise(setImmediate);
  assert.equal(admitted, false);
  sink.act = async () => undefined;
  sink.signals[0]?.dispatchEvent(new Event('abort'));
  await room;
  assert.ok((events.metrics().sink?.pending ?? 9) < 2);
  await events.close(1000);
});

test('a sink that is gone for good gets nothing more, and holds nobody', async () => {
  const sink = new ObservedSink();
  sink.act = async () => {
    throw new SinkGoneError('410');
  };
  const { events, said } = worldOf([sink], { bounds: { maxEvents: 2, maxBytes: 2 ** 30, overflow: 'hold' } });
  for (let count = 0; count < 3; count++) events.emit(occurrenceOf(eventOf()));
  await events.room();
  await until(() => events.metrics().sink?.state === 'stopped', 'not stopped');
  events.emit(occurrenceOf(eventOf()));
  assert.equal(sink.writes.length, 1);
  assert.equal(events.metrics().sink?.pending, 0);
  assert.equal(events.metrics().sink?.dropped, 4);
  assert.equal(said('error').length, 1);
  await events.close(1000);
});

test('after maxAttempts events are dead letters, and those that follow get their turn', async () => {
  const sink = new ObservedSink({ maxAttempts: 3 });
  const taken: string[] = [];
  const dead = new ObservedSink();
  const all = [eventOf(), eventOf()];
  sink.act = async (events) => {
    if (events[0]?.id === all[0]?.id) throw new Error('400');
    taken.push(...ids(events));
  };
  const { events, lines } = worldOf([sink], { deadLetters: dead });
  for (const event of all) events.emit(occurrenceOf(event));
  await until(() => taken.length === 1 && dead.ids.length === 1, 'not given up');
  assert.deepEqual(taken, [all[1]?.id]);
  assert.deepEqual(dead.ids, [all[0]?.id]);
  assert.equal(sink.writes.length, 4);
  assert.equal(events.metrics().sink?.deadLetters, 1);
  const line = lines.find(({ message }) => message === 'events were given up');
  assert.deepEqual(line?.fields.events, [all[0]?.id]);
  await events.close(1000);
});

test('of events that failed together each is tried alone before it is given up', async () => {
  const sink = new ObservedSink({ batch: 10, maxAttempts: 3 });
  const dead = new ObservedSink();
  const all = Array.from({ length: 6 }, () => eventOf());
  const poison = all[2]?.id;
  const taken: string[] = [];
  sink.act = async (events) => {
    if (events.some(({ id }) => id === poison)) throw new Error('400');
    taken.push(...ids(events));
  };
  const { events } = worldOf([sink], { deadLetters: dead });
  for (const event of all) events.emit(occurrenceOf(event));
  await until(() => taken.length === 5 && dead.ids.length === 1, 'not given up');
  assert.deepEqual(dead.ids, [poison]);
  assert.deepEqual(
    taken,
    ids(all).filter((id) => id !== poison),
  );
  const triesOf = (id: string) => sink.writes.filter((write) => write.some((event) => event.id === id)).length;
  assert.ok(triesOf(poison ?? '') >= 3);
  await events.close(1000);
});

test('what failed comes again just as it was, though others have come since', async () => {
  const sink = new ObservedSink({ batch: 10 });
  let failures = 3;
  sink.act = async () => {
    if (failures-- > 0) throw new Error('500');
  };
  const { events } = worldOf([sink]);
  events.emit(occurrenceOf(eventOf()));
  await until(() => sink.writes.length > 0, 'not tried');
  for (let count = 0; count < 5; count++) events.emit(occurrenceOf(eventOf()));
  await until(() => events.metrics().sink?.delivered === 6, 'not delivered');
  assert.ok(sink.writes.slice(0, 4).every((write) => write.length === 1));
  await events.close(1000);
});

test('a sink that is away while the registry closes makes no dead letters', async () => {
  const sink = new ObservedSink({ maxAttempts: 4, threshold: 1, backoff: 60_000, maxBackoff: 60_000 });
  const dead = new ObservedSink();
  sink.act = async () => {
    throw new Error('away');
  };
  const { events } = worldOf([sink], { deadLetters: dead });
  events.emit(occurrenceOf(eventOf()));
  await until(() => sink.writes.length === 1, 'not tried');
  await events.close(200);
  assert.equal(dead.writes.length, 0);
  assert.ok(sink.writes.length <= 3, String(sink.writes.length));
});

test('dead letters go as the options of their sink say, and are tried again', async () => {
  const sink = new ObservedSink({ maxAttempts: 1 });
  sink.act = async () => {
    throw new Error('400');
  };
  const dead = new ObservedSink({ maxAttempts: 5 });
  let failures = 3;
  dead.act = async () => {
    if (failures-- > 0) throw new Error('500');
  };
  const { events } = worldOf([sink], { deadLetters: dead });
  const all = [eventOf(), eventOf()];
  for (const event of all) events.emit(occurrenceOf(event));
  await until(() => events.metrics().sink?.deadLetters === 2, 'not given up');
  assert.deepEqual([...new Set(dead.ids)], ids(all));
  assert.equal(dead.writes.length, 5);
  await events.close(1000);
});

test('a write that throws before it begins is a failure like any other, also at the end', async () => {
  const sink = new ObservedSink();
  sink.write = () => {
    throw new Error('not even a promise');
  };
  const { events } = worldOf([sink]);
  events.emit(occurrenceOf(eventOf()));
  await until(() => (events.metrics().sink?.failed ?? 0) > 1, 'not failed');
  await events.close(1);
  events.emit(occurrenceOf(eventOf()));
  assert.equal(events.metrics().sink?.dropped, 1, 'after the end');
});

test('of those who wait for room as many are let in as there are places', async () => {
  const sink = new ObservedSink({ timeout: 60_000 });
  let release: () => void = () => undefined;
  sink.act = () => new Promise((resolve) => (release = resolve));
  const { events } = worldOf([sink], { bounds: { maxEvents: 2, maxBytes: 2 ** 30, overflow: 'hold' } });
  for (let count = 0; count < 2; count++) events.emit(occurrenceOf(eventOf()));
  let admitted = 0;
  const waiting = Array.from({ length: 10 }, () =>
    Promise.resolve(events.room())
      .then(() => admitted++)
      .catch(() => undefined),
  );
  await until(() => sink.writes.length === 1, 'not tried');
  release();
  await until(() => admitted > 0, 'nobody is let in');
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(admitted, 1);
  sink.act = async () => undefined;
  release();
  await Promise.all(waiting);
  await events.close(1000);
});

test('a sink is not told what its filter names', async () => {
  const ignore = { mediaTypes: ['x/ignored'], actions: ['pull' as const], repositories: ['tmp/**', 'scratch'] };
  const sink = new ObservedSink({ ignore });
  const { events } = worldOf([sink]);
  events.emit(occurrenceOf(eventOf('pull')));
  events.emit(occurrenceOf(eventOf('push', { mediaType: 'x/ignored' })));
  events.emit(occurrenceOf(eventOf('push', { repository: 'tmp/a/b' })));
  events.emit(occurrenceOf(eventOf('delete', { repository: 'scratch' })));
  const told = [eventOf('push', { repository: 'tmp' }), eventOf('mount')];
  for (const event of told) events.emit(occurrenceOf(event));
  await until(() => sink.ids.length === 2, 'not told');
  assert.deepEqual(sink.ids, ids(told));
  assert.equal(events.metrics().sink?.events, 2);
  await events.close(1000);
});

test('closing delivers what is pending, and gives up when the time is over', async () => {
  const sink = new ObservedSink({ backoff: 60_000, maxBackoff: 60_000, threshold: 1 });
  let away = true;
  sink.act = async () => {
    if (away) throw new Error('away');
  };
  const { events } = worldOf([sink]);
  events.emit(occurrenceOf(eventOf()));
  await until(() => sink.writes.length === 1, 'not tried');
  away = false;
  await events.close(60_000);
  assert.equal(events.metrics().sink?.delivered, 1);

  const dead = new ObservedSink();
  dead.act = hang;
  const other = worldOf([dead]);
  for (let count = 0; count < 3; count++) other.events.emit(occurrenceOf(eventOf()));
  await other.events.close(30);
  assert.ok(dead.signals.every(({ aborted }) => aborted));
  assert.deepEqual(other.said('warn'), ['events were not delivered before the end']);
});

test('listeners hear of what they want, soon and in order; one that throws harms nobody', async () => {
  const { events, listeners, said } = worldOf([]);
  assert.equal(events.isHeard, false);
  const heard: string[] = [];
  listeners.on('push', () => {
    throw new Error('a bug of the host application');
  });
  listeners.on('*', async () => {
    throw new Error('another');
  });
  listeners.on('push', ({ id }) => heard.push(id));
  const end = listeners.on('pull', ({ id }) => heard.push(id));
  assert.equal(events.isHeard, true);
  const all = [eventOf('push'), eventOf('pull'), eventOf('delete'), eventOf('push')];
  for (const event of all) events.emit(occurrenceOf(event));
  assert.deepEqual(heard, []);
  await until(() => heard.length === 3, 'not heard');
  assert.deepEqual(heard, [all[0]?.id, all[1]?.id, all[3]?.id]);
  end();
  events.emit(occurrenceOf(eventOf('pull')));
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.equal(heard.length, 3);
  assert.ok(said('error').every((message) => message === 'a listener for events has failed'));
  assert.ok(said('error').length >= 5);
  assert.throws(() => listeners.on('push', undefined as never), TypeError);
});

test('waiting for room ends with a 503', async () => {
  const { mock } = await import('node:test');
  const sink = new ObservedSink();
  sink.act = hang;
  const { events } = worldOf([sink], { bounds: { maxEvents: 1, maxBytes: 2 ** 30, overflow: 'hold' } });
  events.emit(occurrenceOf(eventOf()));
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const room = assert.rejects(
      Promise.resolve(events.room()),
      (error) => error instanceof RegistryError && error.code === 'UNAVAILABLE',
    );
    mock.timers.tick(10_000);
    await room;
  } finally {
    mock.timers.reset();
  }
  await events.close(1);
});

test.run();
