// What a queue is: events that come out in the order in which they went in, whole, once they are removed and not before.
import { strict as assert } from 'node:assert';
import { digestOf, type RegistryEvent } from 'koa-registry';
import { anEvent, drained, type EventQueueCase, events, holds, idsOf, takes } from './event-queue-case.js';

export const orderCases: readonly EventQueueCase[] = [
  [
    'open: a new queue is empty',
    async (start) => {
      const queue = await (await start()).open();
      assert.deepEqual([queue.length, queue.bytes], [0, 0]);
      assert.deepEqual(await queue.peek(10), []);
      await queue.remove([]);
    },
  ],
  [
    'append: events come in their order, and those of a later append after them',
    async (start) => {
      const list = events(40);
      const queue = await (await start()).holding(list.slice(0, 7));
      for (const event of list.slice(7, 20)) await queue.append([event]);
      await queue.append(list.slice(20));
      await holds(queue, list, 9);
    },
  ],
  [
    'append: no events change nothing',
    async (start) => {
      const list = events(2);
      const queue = await (await start()).holding([]);
      assert.deepEqual([queue.length, queue.bytes], [0, 0]);
      await queue.append(list);
      await queue.append([]);
      await holds(queue, list);
    },
  ],
  [
    'append: of many at once each stays together, and none is lost',
    async (start) => {
      const queue = await (await start()).open();
      const batches = Array.from({ length: 50 }, (_, index) => events(1 + (index % 5)));
      await Promise.all(batches.map((batch) => queue.append(batch)));
      const found = idsOf(await drained(queue, 100));
      assert.equal(found.length, batches.flat().length, 'events are lost, or there twice');
      for (const batch of batches) {
        const ids = idsOf(batch);
        const at = found.indexOf(ids[0] ?? '');
        assert.deepEqual(found.slice(at, at + ids.length), ids, 'a batch was torn');
      }
    },
  ],
  [
    'append: while others are taken out, nothing is lost and the order stays',
    async (start) => {
      const queue = await (await start()).open();
      const list = events(200);
      const found: string[] = [];
      const adding = (async () => {
        for (let at = 0; at < list.length; at += 4) await queue.append(list.slice(at, at + 4));
      })();
      const taking = (async () => {
        for (const end = performance.now() + 60_000; found.length < list.length && performance.now() < end; ) {
          found.push(...idsOf(await takes(queue, 7)));
          await new Promise(setImmediate);
        }
      })();
      await Promise.all([adding, taking]);
      assert.deepEqual(found, idsOf(list));
    },
  ],
  [
    'peek: events stay, and are answered again from the first on',
    async (start) => {
      const list = events(5);
      const queue = await (await start()).holding(list);
      for (const count of [1, 3, 5, 2]) assert.deepEqual(idsOf(await queue.peek(count)), idsOf(list.slice(0, count)));
      assert.equal(queue.length, 5);
      await holds(queue, list);
    },
  ],
  [
    'peek: never more than were asked for, and no more than there are',
    async (start) => {
      const list = events(5);
      const queue = await (await start()).holding(list);
      assert.deepEqual(await queue.peek(0), []);
      assert.equal((await queue.peek(4)).length, 4);
      assert.deepEqual(idsOf(await queue.peek(1000)), idsOf(list));
    },
  ],
  [
    'peek: sees what was appended after the queue was found empty',
    async (start) => {
      const queue = await (await start()).open();
      for (const list of [events(1), events(3), events(2)]) {
        assert.deepEqual(await queue.peek(10), []);
        await queue.append(list);
        await holds(queue, list);
      }
    },
  ],
  [
    'peek: an event is what was appended, whatever its texts are',
    async (start) => {
      const useragent =
        'é \u{1f600} \u2028\u2029 \ufeff \ufffd \u0000\u0001\u001b\u007f \r\n\t "\\" </script> %00 $(x) \'; --';
      const odd: RegistryEvent[] = [
        { ...anEvent(), request: { ...anEvent().request, useragent } },
        { ...anEvent(), actor: { name: useragent }, target: { repository: 'a', url: '', tag: 'toString' } },
        { ...anEvent(), action: 'mount', actor: {}, target: { repository: 'a/b', fromRepository: '__proto__/x' } },
        anEvent({ size: Number.MAX_SAFE_INTEGER, length: 0 }),
      ];
      const queue = await (await start()).holding(odd);
      assert.deepEqual(await drained(queue, 1), odd);
    },
  ],
  [
    'peek: large events are whole, between small ones',
    async (start) => {
      const list = [anEvent(), aLargeEvent(64 * 1024), anEvent(), aLargeEvent(300 * 1024), anEvent()];
      const queue = await (await start()).open();
      for (const event of list) await queue.append([event]);
      await queue.append(list);
      assert.deepEqual(await drained(queue, 3), [...list, ...list]);
    },
  ],
  [
    'remove: what was removed does not come again, and what follows is the first',
    async (start) => {
      const list = events(10);
      const queue = await (await start()).holding(list);
      assert.deepEqual(idsOf(await takes(queue, 3)), idsOf(list.slice(0, 3)));
      assert.deepEqual(idsOf(await takes(queue, 1)), idsOf(list.slice(3, 4)));
      await holds(queue, list.slice(4));
    },
  ],
  [
    'remove: the first few of what was peeked leaves the others',
    async (start) => {
      const list = events(10);
      const queue = await (await start()).holding(list);
      const first = await queue.peek(8);
      await queue.remove(first.slice(0, 3));
      assert.equal(queue.length, 7);
      await holds(queue, list.slice(3));
    },
  ],
  [
    'remove: may be repeated, also where events were peeked twice',
    async (start) => {
      const list = events(6);
      const queue = await (await start()).holding(list);
      const [oldest, batch] = [await queue.peek(1), await queue.peek(4)];
      await queue.remove(oldest);
      await queue.remove(batch);
      await queue.remove(batch);
      await Promise.all([queue.remove(oldest), queue.remove(batch)]);
      assert.equal(queue.length, 2);
      await holds(queue, list.slice(4));
      await queue.remove(batch);
      assert.equal(queue.length, 0);
    },
  ],
  [
    'length and bytes: follow what is appended and removed',
    async (start) => {
      const queue = await (await start()).open();
      const sizes: number[] = [];
      for (const list of [events(1), events(5), events(4)]) {
        await queue.append(list);
        sizes.push(queue.bytes);
      }
      assert.equal(queue.length, 10);
      assert.ok(
        sizes.every((bytes, index) => bytes > (sizes[index - 1] ?? 0)),
        `bytes do not grow: ${sizes}`,
      );
      assert.ok(queue.bytes >= 10 * 200, `${queue.bytes} bytes for 10 events`);
      await takes(queue, 4);
      assert.equal(queue.length, 6);
      assert.ok(queue.bytes < (sizes[2] ?? 0), 'bytes do not shrink');
      await takes(queue, 6);
      assert.deepEqual([queue.length, queue.bytes], [0, 0]);
    },
  ],
];

/** About so many bytes of references. */
function aLargeEvent(bytes: number): RegistryEvent {
  const reference = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: digestOf(Buffer.from('layer')),
    size: 1,
  };
  return anEvent({ references: Array.from({ length: Math.ceil(bytes / 150) }, () => reference) });
}
