// What two hosts see of a queue that they share: they take turns at delivering, and both append at any time.
import { strict as assert } from 'node:assert';
import { aSink, drained, type EventQueueCase, events, holds, idsOf, takes } from './event-queue-case.js';

export const sharedQueueCases: readonly EventQueueCase[] = [
  [
    'two hosts: each sees what the other appends, in one order',
    async (start) => {
      const [sink, list] = [aSink(), events(12)];
      const first = await (await start()).open(sink);
      const second = await (await start()).open(sink);
      for (const [index, event] of list.entries()) await (index % 2 === 0 ? first : second).append([event]);
      assert.deepEqual(idsOf(await first.peek(20)), idsOf(list));
      await holds(second, list);
    },
  ],
  [
    'two hosts: what one has removed the other does not see again',
    async (start) => {
      const [sink, list] = [aSink(), events(12)];
      const first = await (await start()).holding(list, sink);
      const second = await (await start()).open(sink);
      await takes(first, 3);
      assert.deepEqual(idsOf(await takes(second, 3)), idsOf(list.slice(3, 6)));
      assert.deepEqual(idsOf(await takes(first, 3)), idsOf(list.slice(6, 9)));
      await holds(second, list.slice(9));
      assert.deepEqual(await first.peek(5), []);
    },
  ],
  [
    'two hosts: what both remove is gone once, and nothing else is',
    async (start) => {
      const [sink, list] = [aSink(), events(6)];
      const first = await (await start()).holding(list, sink);
      const second = await (await start()).open(sink);
      const both = [await first.peek(3), await second.peek(3)] as const;
      await first.remove(both[0]);
      await second.remove(both[1]);
      await holds(first, list.slice(3));
    },
  ],
  [
    'look: brings the length and the bytes up to date with what another host has appended and removed',
    async (start) => {
      const [sink, list] = [aSink(), events(12)];
      const first = await (await start()).open(sink);
      const second = await (await start()).open(sink);
      // Where a host always knows there is nothing to look for.
      await first.append(list);
      await second.look?.();
      assert.deepEqual([second.length, second.bytes], [12, first.bytes]);
      await takes(second, 5);
      await first.look?.();
      assert.deepEqual([first.length, first.bytes], [7, second.bytes]);
      await drained(first);
      await second.look?.();
      assert.deepEqual([second.length, second.bytes], [0, 0]);
    },
  ],
  [
    'two hosts: what both append at once stays together, and none is lost',
    async (start) => {
      const sink = aSink();
      const queues = [await (await start()).open(sink), await (await start()).open(sink)];
      const batches = Array.from({ length: 40 }, () => events(3));
      await Promise.all(batches.map((batch, index) => queues[index % 2]?.append(batch)));
      const found = idsOf(queues[0] === undefined ? [] : await drained(queues[0], 100));
      assert.equal(found.length, 120, 'events are lost, or there twice');
      for (const batch of batches) {
        const at = found.indexOf(idsOf(batch)[0] ?? '');
        assert.deepEqual(found.slice(at, at + 3), idsOf(batch), 'a batch was torn');
      }
    },
  ],
];
