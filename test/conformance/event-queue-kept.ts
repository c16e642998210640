// What a store keeps: queues that know nothing of each other, and what waited in them when they were closed.
import { strict as assert } from 'node:assert';
import { aSink, type EventQueueCase, events, holds, idsOf, takes } from './event-queue-case.js';

export const storeCases: readonly EventQueueCase[] = [
  [
    'open: two sinks do not see each other’s events',
    async (start) => {
      const host = await start();
      const sink = aSink();
      const [one, two] = [events(5), events(7)];
      const first = await host.holding(one, sink);
      const second = await host.holding(two, `${sink}-2`);
      assert.deepEqual([first.length, second.length], [5, 7]);
      await takes(first, 2);
      assert.equal(second.length, 7);
      await holds(second, two);
      assert.equal(first.length, 3);
      await holds(first, one.slice(2));
    },
  ],
  [
    'check: resolves while the store can be used',
    async (start) => {
      await (await start()).store.check?.();
    },
  ],
  [
    'close: what is closed complains of nothing',
    async (start) => {
      const host = await start();
      await host.shut(await host.open());
      await host.shut(await host.holding(events(3)));
      await host.close();
    },
  ],
];

/** Of stores whose queues outlive them. */
export const durableCases: readonly EventQueueCase[] = [
  [
    'close: a queue that is opened again has what waited, in order, and its length',
    async (start) => {
      const host = await start();
      const [sink, list] = [aSink(), events(30)];
      const before = await host.holding(list, sink);
      await takes(before, 11);
      await host.shut(before);
      const queue = await host.open(sink);
      // A host may have to look before it knows.
      await queue.peek(1);
      assert.equal(queue.length, 19);
      assert.ok(queue.bytes >= 19 * 200, `${queue.bytes} bytes for 19 events`);
      await holds(queue, list.slice(11));
    },
  ],
  [
    'close: so has another host, when the one before it has closed',
    async (start) => {
      const [sink, list] = [aSink(), events(30)];
      const first = await start();
      await takes(await first.holding(list, sink), 11);
      await first.close();
      const queue = await (await start()).open(sink);
      await queue.peek(1);
      assert.equal(queue.length, 19);
      await holds(queue, list.slice(11));
    },
  ],
  [
    'close: what was removed does not come again, also when all was',
    async (start) => {
      const host = await start();
      const sink = aSink();
      for (const list of [events(3), events(5)]) {
        const queue = await host.holding(list, sink);
        await holds(queue, list);
        await host.shut(queue);
      }
      const queue = await host.open(sink);
      assert.deepEqual(await queue.peek(10), []);
      assert.deepEqual([queue.length, queue.bytes], [0, 0]);
    },
  ],
  [
    'close: what was peeked and not removed comes again',
    async (start) => {
      const host = await start();
      const [sink, list] = [aSink(), events(5)];
      const before = await host.holding(list, sink);
      await before.peek(4);
      await host.shut(before);
      await holds(await host.open(sink), list);
    },
  ],
  [
    'close: what is appended to a queue that was opened again comes after what waited',
    async (start) => {
      const host = await start();
      const [sink, list] = [aSink(), events(40)];
      for (let at = 0; at < list.length; at += 8) {
        const queue = await host.holding(list.slice(at, at + 8), sink);
        const [taken] = await takes(queue, 1);
        assert.deepEqual(idsOf(taken === undefined ? [] : [taken]), idsOf(list.slice(at / 8, at / 8 + 1)));
        await host.shut(queue);
      }
      await holds(await host.open(sink), list.slice(5));
    },
  ],
];
