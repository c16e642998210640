// One at a time: whoever changes the same thing takes turns, across hosts where there is coordination.
import type { Coordinator, Lease } from '../contracts/coordination.js';
import type { Logger } from '../contracts/logger.js';
import { RegistryError } from '../errors.js';
import { MemoryCoordinator } from './memory-coordinator.js';

/** How long a request waits for the one before it, in milliseconds. */
const PATIENCE = 10_000;

export interface TurnOptions {
  /** How long to wait for the work before it, in milliseconds; 0 not at all. Default: 10 s. */
  readonly wait?: number;
}

/** How long a lease outlives a host that dies, in milliseconds: less than whoever comes next waits. */
const TTL = 8_000;

export class Leases {
  readonly #coordinator: Coordinator;
  readonly #log: Logger;
  /** Stands in while leases cannot be had. */
  readonly #alone = new MemoryCoordinator();
  #outage = false;

  constructor(coordinator: Coordinator, log: Logger) {
    this.#coordinator = coordinator;
    this.#log = log;
  }

  /**
   * Runs `work` when all earlier work of the same name is done; `undefined` when that takes too long.
   *
   * @throws RegistryError `UNAVAILABLE` when `work` finds that its lease was lost; what else `work` throws.
   */
  async take<T>(
    name: string,
    work: (lease: Lease) => Promise<T>,
    { wait = PATIENCE }: TurnOptions = {},
  ): Promise<{ readonly result: T } | undefined> {
    const lease = await this.#acquire(name, wait);
    if (lease === undefined) return undefined;
    try {
      return { result: await work(lease) };
    } catch (error) {
      const isLost = lease.signal.aborted && error === lease.signal.reason;
      throw isLost ? new RegistryError('UNAVAILABLE', 'another request came between', { cause: error }) : error;
    } finally {
      await lease.release();
    }
  }

  /**
   * Without coordination requests of this process still take turns, and those of different hosts are
   * kept apart by the store: of two appends at one offset one wins, and what is published has the size that was sealed.
   */
  async #acquire(name: string, wait: number): Promise<Lease | undefined> {
    const options = { ttl: TTL, wait };
    try {
      const lease = await this.#coordinator.acquire(name, options);
      this.#note(false);
      return lease;
    } catch (error) {
      if (!(error instanceof RegistryError) || error.code !== 'UNAVAILABLE') throw error;
      this.#note(true, error);
      return this.#alone.acquire(name, options);
    }
  }

  /** Says once that coordination is away, and once that it is back. */
  #note(outage: boolean, err?: unknown): void {
    if (outage === this.#outage) return;
    this.#outage = outage;
    if (outage) this.#log.warn({ err }, 'coordination is away; only requests of this process take turns');
    else this.#log.info({}, 'coordination is back');
  }
}
