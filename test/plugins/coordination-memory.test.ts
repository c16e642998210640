// The coordination that a registry has when it is given none: the published suite over it, its order, and
// the suite itself over coordinators that break one promise each.
import { strict as assert } from 'node:assert';
import { type AcquireOptions, type Coordinator, definePlugin, type Lease } from 'koa-registry';
import { coordinationSuite } from 'koa-registry/conformance';
import { suite } from 'uvu';
import { z } from 'zod';
import { MemoryCoordinator } from '../../lib/services/memory-coordinator.js';

function pluginOf(create: () => Coordinator) {
  return definePlugin({ kind: 'coordination', name: 'memory', options: z.strictObject({}), create });
}

const conformance = suite('coordination in memory: conformance');
coordinationSuite(conformance, () => pluginOf(() => new MemoryCoordinator())(), {}, { shared: false });
conformance.run();

/** A coordinator that does one thing its own way. */
function sound(own: Partial<Coordinator> = {}, memory = new MemoryCoordinator()): Coordinator {
  return {
    acquire: (name, options) => memory.acquire(name, options),
    notes: memory.notes,
    close: () => memory.close(),
    ...own,
  };
}

/** One whose leases are changed on their way out. */
function leasing(change: (lease: Lease, options: AcquireOptions) => Lease | undefined): Coordinator {
  const memory = new MemoryCoordinator();
  const acquire: Coordinator['acquire'] = async (name, options) => {
    const lease = await memory.acquire(name, options);
    return lease && change(lease, options);
  };
  return sound({ acquire }, memory);
}

const lease = (token: number): Lease => ({
  token,
  signal: new AbortController().signal,
  confirm: async () => undefined,
  release: async () => undefined,
});

let tokens = 0;
const everybody = (): Coordinator => sound({ acquire: async () => lease(++tokens) });

/** Forgets what it should keep, and keeps what it should forget. */
function noting(change: (notes: MemoryCoordinator['notes']) => Partial<MemoryCoordinator['notes']>): Coordinator {
  const { notes } = new MemoryCoordinator();
  const whole = {
    get: (name: string) => notes.get(name),
    set: (name: string, text: string, ttl: number) => notes.set(name, text, ttl),
    delete: (name: string) => notes.delete(name),
  };
  return sound({ notes: { ...whole, ...change(notes) } });
}

const deaf = (options: AcquireOptions): AcquireOptions => ({ ttl: options.ttl, wait: Math.min(options.wait, 200) });

/** A promise, and a coordinator that breaks it. */
const FAULTS: readonly (readonly [promise: string, create: () => Coordinator])[] = [
  ['acquire: nobody else gets the name before it is given back, and then they do', everybody],
  [
    'acquire: names do not get in each other’s way',
    () => {
      const memory = new MemoryCoordinator();
      return sound({ acquire: (name, options) => memory.acquire(name.toLowerCase(), options) }, memory);
    },
  ],
  [
    'acquire: each token is greater than all before it',
    () => leasing(({ token, ...rest }) => ({ ...rest, token: Math.floor(token / 2) })),
  ],
  ['acquire: fifty who want one name at a time have it one after the other', everybody],
  [
    'lease: goes on for longer than its time to live',
    () =>
      leasing((held, { ttl }) => {
        setTimeout(() => void held.release(), ttl).unref();
        return held;
      }),
  ],
  [
    'confirm: resolves while the lease is held, and rejects when it was given back',
    () => leasing((held) => ({ ...held, confirm: async () => undefined })),
  ],
  [
    'release: may be repeated, and never takes the name from whoever has it then',
    () => {
      const held = new Set<string>();
      const acquire = async (name: string) => {
        if (held.has(name)) return undefined;
        held.add(name);
        return { ...lease(++tokens), release: async () => void held.delete(name) };
      };
      return sound({ acquire });
    },
  ],
  ['acquire: whoever waits gets the name when it is given back', everybody],
  ['acquire: whoever has waited in vain gets undefined, and is in nobody’s way', everybody],
  [
    'acquire: a signal ends the waiting with its reason, and whoever left is in nobody’s way',
    () => {
      const memory = new MemoryCoordinator();
      return sound({ acquire: (name, options) => memory.acquire(name, deaf(options)) }, memory);
    },
  ],
  [
    'acquire: a signal that is aborted already rejects with its reason, and takes nothing',
    () => {
      const memory = new MemoryCoordinator();
      return sound({ acquire: (name, options) => memory.acquire(name, deaf(options)) }, memory);
    },
  ],
  [
    'acquire: its signal does not end the lease',
    () => leasing((held, { signal }) => ({ ...held, ...(signal && { signal }) })),
  ],
  ['check: resolves while leases can be had', () => sound({ check: () => Promise.reject(new Error('away')) })],
  ['notes: what was never noted is undefined', () => noting(() => ({ get: async () => '' }))],
  [
    'notes: a text is answered as it was set, also an empty one and one of some kilobytes',
    () => noting((notes) => ({ get: async (name) => (await notes.get(name)) || undefined })),
  ],
  [
    'notes: the last text is the one that counts, and each name has its own',
    () =>
      noting((notes) => ({
        set: async (name, text, ttl) => {
          if ((await notes.get(name)) === undefined) await notes.set(name, text, ttl);
        },
      })),
  ],
  ['notes: what was deleted is gone', () => noting(() => ({ delete: async () => undefined }))],
  [
    'notes: a text is forgotten when its time is over, and one that was set again is not',
    () => noting((notes) => ({ set: (name, text) => notes.set(name, text, 500) })),
  ],
  ['two hosts: what one has the other does not get before it is given back', () => sound()],
  ['two hosts: fifty who want one name at a time have it one after the other', () => sound()],
  ['two hosts: each sees the other’s notes, and that they were deleted', () => sound()],
];

const test = suite('the suite over coordinators that break a promise');
for (const [promise, create] of FAULTS) {
  test(promise, async () => {
    const cases = new Map<string, () => Promise<void>>();
    coordinationSuite((name, body) => cases.set(name, body), pluginOf(create));
    const body = cases.get(promise);
    assert.ok(body !== undefined, 'no such case');
    await assert.rejects(body(), 'the broken promise was not noticed');
  });
}
test.run();

const order = suite('coordination in memory: order');

order('first come, first served', async () => {
  const memory = new MemoryCoordinator();
  const options = { ttl: 1, wait: 60_000 };
  const first = await memory.acquire('name', options);
  const served: number[] = [];
  const all = [1, 2, 3, 4, 5].map(async (number) => {
    const mine = await memory.acquire('name', options);
    served.push(number);
    await mine?.release();
  });
  await first?.release();
  await Promise.all(all);
  assert.deepEqual(served, [1, 2, 3, 4, 5]);
});

order.run();
