// What the tests of the coordination suite have in common: their form, names that nobody else uses, and
// ways to take a lease that must, or must not, be had.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import type { AcquireOptions, Coordinator, Lease, Started } from 'koa-registry';

/** One promise, and the test that fails where it is broken. `start` makes a host that is at work. */
export type CoordinationCase = readonly [
  promise: string,
  body: (start: () => Promise<CoordinationHost>) => Promise<void>,
];

/** Longer than any test holds a lease, in milliseconds. */
export const LONG = 60_000;

export class CoordinationHost {
  readonly coordinator: Coordinator;
  readonly close: () => Promise<void>;

  constructor({ instance, close }: Started<'coordination'>) {
    this.coordinator = instance;
    this.close = close;
  }

  /** The lease, which has to be had. */
  async takes(name: string, options: Partial<AcquireOptions> = {}): Promise<Lease> {
    const lease = await this.coordinator.acquire(name, { ttl: LONG, wait: LONG, ...options });
    assert.ok(lease !== undefined, 'the lease was not to be had');
    assert.ok(Number.isSafeInteger(lease.token), `the token ${lease.token} is no whole number`);
    assert.equal(lease.signal.aborted, false, 'the lease was lost when it was given');
    return lease;
  }

  /** Asserts that somebody else has it. */
  async cannotTake(name: string, wait = 0): Promise<void> {
    const lease = await this.coordinator.acquire(name, { ttl: LONG, wait });
    assert.equal(lease, undefined, 'two have the lease');
  }
}

/** What is awaited later, if nothing goes wrong before. */
export function meanwhile<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}

/** A name as the registry makes them: `upload:<repository>:<session>`. */
export function aName(): string {
  return `conformance:some/repository:${randomUUID()}`;
}

/** Has many take turns on a name, and asserts that no two overlap and that tokens grow. */
export async function takeTurns(hosts: readonly CoordinationHost[], count: number): Promise<void> {
  const name = aName();
  const tokens: number[] = [];
  let inside = 0;
  const work = async (host: CoordinationHost): Promise<void> => {
    const lease = await host.takes(name, { ttl: 10_000 });
    inside += 1;
    tokens.push(lease.token);
    assert.equal(inside, 1, 'two have the lease');
    await new Promise(setImmediate);
    assert.equal(inside, 1, 'two have the lease');
    inside -= 1;
    await lease.release();
  };
  await Promise.all(Array.from({ length: count }, (_, index) => work(hosts[index % hosts.length] as CoordinationHost)));
  assert.equal(tokens.length, count);
  assertGrowing(tokens);
}

export function assertGrowing(tokens: readonly number[]): void {
  for (const [index, token] of tokens.entries()) {
    const before = tokens[index - 1] ?? Number.NEGATIVE_INFINITY;
    assert.ok(token > before, `the token ${token} comes after ${before}`);
  }
}
