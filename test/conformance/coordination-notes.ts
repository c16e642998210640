// Notes: small texts by name, which are forgotten in time and not before.
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { aName, type CoordinationCase, type CoordinationHost, LONG } from './coordination-case.js';

/** A case for those that have notes. */
function noting(
  promise: string,
  body: (notes: NonNullable<CoordinationHost['coordinator']['notes']>) => Promise<void>,
): CoordinationCase {
  return [
    promise,
    async (start) => {
      const { notes } = (await start()).coordinator;
      if (notes !== undefined) await body(notes);
    },
  ];
}

/** Waits, for half a minute at most, until a note is forgotten. */
async function forgets(read: () => Promise<string | undefined>): Promise<void> {
  for (const end = performance.now() + 30_000; performance.now() < end; await delay(50)) {
    if ((await read()) === undefined) return;
  }
  assert.fail('a note is not forgotten');
}

export const noteCases: readonly CoordinationCase[] = [
  noting('notes: what was never noted is undefined', async (notes) => {
    assert.equal(await notes.get(aName()), undefined);
    await notes.delete(aName());
  }),
  noting('notes: a text is answered as it was set, also an empty one and one of some kilobytes', async (notes) => {
    const texts = ['', 'a', '{"a":"ü\\n\u{1f600}"}', 'line\r\nbreak\t\0', 'é'.repeat(4_000)];
    for (const text of texts) {
      const name = aName();
      await notes.set(name, text, LONG);
      assert.equal(await notes.get(name), text);
    }
  }),
  noting('notes: the last text is the one that counts, and each name has its own', async (notes) => {
    const [name, other] = [aName(), aName()];
    await notes.set(name, 'first', LONG);
    await notes.set(other, 'other', LONG);
    await notes.set(name, 'second', LONG);
    assert.deepEqual([await notes.get(name), await notes.get(other)], ['second', 'other']);
  }),
  noting('notes: what was deleted is gone', async (notes) => {
    const [name, other] = [aName(), aName()];
    await notes.set(name, 'text', LONG);
    await notes.set(other, 'other', LONG);
    await notes.delete(name);
    await notes.delete(name);
    assert.deepEqual([await notes.get(name), await notes.get(other)], [undefined, 'other']);
  }),
  noting('notes: a text is forgotten when its time is over, and one that was set again is not', async (notes) => {
    const [short, long, prolonged] = [aName(), aName(), aName()];
    await notes.set(long, 'long', LONG);
    await notes.set(prolonged, 'first', 500);
    await notes.set(prolonged, 'second', LONG);
    await notes.set(short, 'short', 500);
    await forgets(() => notes.get(short));
    assert.deepEqual([await notes.get(long), await notes.get(prolonged)], ['long', 'second']);
  }),
  [
    'notes: a lease of the same name is another thing',
    async (start) => {
      const host = await start();
      const { notes } = host.coordinator;
      const name = aName();
      await notes?.set(name, 'text', LONG);
      const lease = await host.takes(name, { wait: 0 });
      await notes?.delete(name);
      await host.cannotTake(name);
      await lease.release();
    },
  ],
];

export const sharedNoteCases: readonly CoordinationCase[] = [
  [
    'two hosts: each sees the other’s notes, and that they were deleted',
    async (start) => {
      const [first, second] = [(await start()).coordinator.notes, (await start()).coordinator.notes];
      if (first === undefined || second === undefined) return;
      const name = aName();
      await first.set(name, 'of the first', LONG);
      assert.equal(await second.get(name), 'of the first');
      await second.set(name, 'of the second', LONG);
      assert.equal(await first.get(name), 'of the second');
      await first.delete(name);
      assert.equal(await second.get(name), undefined);
      await first.set(name, 'short', 500);
      await forgets(() => second.get(name));
    },
  ],
];
