// Hands out leases: the requests of this process queue, and only the first of them asks Redis.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AcquireOptions, type Coordinator, type Lease, type Notes, RegistryError } from 'koa-registry';
import { type ConnectionOptions, type RedisClient, RedisConnection } from 'koa-registry/plugins/redis/connection';
import { RedisLease } from './lease.js';
import { RedisNotes } from './notes.js';
import { giveBack, type LeaseName, leaseName, take } from './scripts.js';
import { Turns } from './turns.js';

/** How often another host's lease is looked at, in milliseconds: from one to the other. */
const PAUSES = { first: 20, longest: 250 };

/** Leases cannot be had: what a caller gets to see of an outage. */
export function unavailable(cause: unknown): RegistryError {
  return new RegistryError('UNAVAILABLE', undefined, { cause });
}

export class RedisCoordinator implements Coordinator {
  readonly notes: Notes;
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  readonly #turns = new Turns();
  readonly #held = new Set<RedisLease>();
  /** What was asked and not answered yet. */
  readonly #asking = new Set<Promise<unknown>>();
  #closed = false;

  constructor(client: RedisClient, connection: ConnectionOptions) {
    this.#prefix = connection.keyPrefix;
    this.#redis = new RedisConnection(client, {
      ...connection,
      onBack: () => {
        for (const lease of this.#held) lease.renewNow();
      },
      onAway: (reason) => this.#turns.dismiss(unavailable(reason)),
    });
    this.notes = new RedisNotes(this.#redis, `${connection.keyPrefix}note:`);
  }

  async acquire(name: string, { ttl, wait, signal }: AcquireOptions): Promise<Lease | undefined> {
    signal?.throwIfAborted();
    const until = performance.now() + wait;
    if (!this.#redis.there) throw unavailable(this.#redis.reason);
    const pass = await this.#turns.take(name, wait, signal);
    if (pass === undefined) return undefined;
    try {
      const lease = await this.#win(leaseName(this.#prefix, name), ttl, until, pass, signal);
      if (lease === undefined) pass();
      return lease;
    } catch (error) {
      pass();
      throw error;
    }
  }

  /** Resolves when it is known whether leases can be had. */
  get started(): Promise<void> {
    return this.#redis.known;
  }

  async check(): Promise<void> {
    await this.#redis.check();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#turns.dismiss(unavailable(new Error('closed')));
    await Promise.allSettled(this.#asking);
    await Promise.all([...this.#held].map((lease) => lease.release()));
    this.#redis.close();
  }

  /** Asks until nobody else has it, or the time is up. */
  async #win(
    name: LeaseName,
    ttl: number,
    until: number,
    pass: () => void,
    signal: AbortSignal | undefined,
  ): Promise<Lease | undefined> {
    for (let pause = PAUSES.first; ; pause = Math.min(2 * pause, PAUSES.longest)) {
      const asking = this.#ask(name, ttl, pass);
      this.#asking.add(asking);
      const lease = await asking.finally(() => this.#asking.delete(asking));
      if (signal?.aborted) await lease?.release();
      signal?.throwIfAborted();
      const left = until - performance.now();
      if (lease !== undefined || left <= 0) return lease;
      const jittered = Math.max(PAUSES.first, pause * (0.5 + Math.random() / 2));
      await sleep(Math.min(jittered, left), undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  async #ask(name: LeaseName, ttl: number, pass: () => void): Promise<RedisLease | undefined> {
    if (this.#closed) throw unavailable(new Error('closed'));
    const owner = randomUUID();
    const asked = performance.now();
    try {
      const token = await this.#redis.run((client) => take(client, name, owner, ttl));
      return token === undefined ? undefined : this.#lease({ name, owner, token, ttl, asked }, pass);
    } catch (error) {
      // It may have been taken all the same.
      this.#redis.ask((client) => giveBack(client, name, owner)).catch(() => undefined);
      throw unavailable(error);
    }
  }

  #lease(terms: ConstructorParameters<typeof RedisLease>[1], pass: () => void): RedisLease {
    const lease = new RedisLease(this.#redis, terms, () => {
      this.#held.delete(lease);
      pass();
    });
    this.#held.add(lease);
    return lease;
  }
}
