// One lease that this process holds: renewed until it is given back or lost.
import { type Lease, RegistryError } from 'koa-registry';
import type { RedisConnection } from 'koa-registry/plugins/redis/connection';
import { giveBack, keep, type LeaseName } from './scripts.js';

/** What a lease was given for. */
export interface Terms {
  readonly name: LeaseName;
  /** The holder's secret. */
  readonly owner: string;
  readonly token: number;
  readonly ttl: number;
  /** When it was asked for, by `performance.now()`. */
  readonly asked: number;
}

/** What part of its time the holder counts on: Redis's clock may be faster. */
const SURE = 0.99;

export class RedisLease implements Lease {
  readonly token: number;
  readonly #redis: RedisConnection;
  readonly #terms: Terms;
  readonly #lost = new AbortController();
  readonly #ended: () => void;
  #until: number;
  #renewal: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #released: Promise<void> | undefined;

  /** @param ended called once, when it was given back or lost. */
  constructor(redis: RedisConnection, terms: Terms, ended: () => void) {
    this.token = terms.token;
    this.#redis = redis;
    this.#terms = terms;
    this.#ended = ended;
    this.#until = terms.asked + terms.ttl * SURE;
    this.#watch();
    this.#renewLater(terms.ttl / 3);
  }

  /** Looks at the clock, too: after a pause whoever asks is told before any timer. */
  get signal(): AbortSignal {
    if (this.#active && performance.now() >= this.#until) this.#lose('it could not be renewed in time');
    return this.#lost.signal;
  }

  async confirm(): Promise<void> {
    if (this.#released !== undefined) throw new Error(`${this.#what} was given back`);
    this.signal.throwIfAborted();
    await this.#renew();
    this.signal.throwIfAborted();
  }

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  /** Says that it is held before anybody else asks: Redis may have forgotten. */
  renewNow(): void {
    if (this.#active) this.#renewLater(0);
  }

  get #active(): boolean {
    return this.#released === undefined && !this.#lost.signal.aborted;
  }

  get #what(): string {
    return `the lease ${JSON.stringify(this.#terms.name.text)}`;
  }

  async #release(): Promise<void> {
    if (this.#lost.signal.aborted) return;
    this.#stop();
    await this.#giveBack();
    this.#ended();
  }

  async #giveBack(): Promise<void> {
    const { name, owner } = this.#terms;
    await this.#redis.ask((client) => giveBack(client, name, owner)).catch(() => undefined);
  }

  #lose(why: string): void {
    if (!this.#active) return;
    this.#stop();
    this.#lost.abort(new Error(`${this.#what} was lost: ${why}`));
    this.#ended();
    // A renewal that was late may have kept it for nobody.
    void this.#giveBack();
  }

  #stop(): void {
    clearTimeout(this.#renewal);
    clearTimeout(this.#expiry);
  }

  #watch(): void {
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.signal.aborted || this.#watch(), this.#until - performance.now()).unref();
  }

  #renewLater(pause: number): void {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => void this.#renewInTime(), pause).unref();
  }

  /** Begins in good time, and tries again for as long as there is some. */
  async #renewInTime(): Promise<void> {
    const { ttl } = this.#terms;
    if (this.signal.aborted) return;
    const pause = await this.#renew().then(
      () => ttl / 3,
      () => ttl / 12,
    );
    if (this.#active) this.#renewLater(pause);
  }

  /** @throws RegistryError `UNAVAILABLE` when Redis does not say whether it is still held. */
  async #renew(): Promise<void> {
    const asked = performance.now();
    const kept = await this.#redis
      .run((client) => keep(client, this.#terms))
      .catch((cause: unknown) => {
        throw new RegistryError('UNAVAILABLE', undefined, { cause });
      });
    if (!kept) this.#lose('somebody else has it');
    if (!this.#active) return;
    this.#until = Math.max(this.#until, asked + this.#terms.ttl * SURE);
    this.#watch();
  }
}
