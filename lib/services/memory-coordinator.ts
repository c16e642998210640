// The coordination that a registry uses when it is given none: among the requests of this process.
import type { AcquireOptions, Coordinator, Lease, Notes } from '../contracts/coordination.js';
import { MemoryNotes } from './memory-notes.js';

/** Somebody who waits for a name. */
type Waiter = (lease: Lease | undefined) => void;

/** A lease of this process ends with its holder. */
const NEVER = new AbortController().signal;

export class MemoryCoordinator implements Coordinator {
  readonly notes: Notes;
  /** Who waits for the names that somebody has, in the order of their coming. */
  readonly #waiting = new Map<string, Set<Waiter>>();
  #tokens = 0;

  constructor(clock: () => number = Date.now) {
    this.notes = new MemoryNotes(clock);
  }

  async acquire(name: string, { wait, signal }: AcquireOptions): Promise<Lease | undefined> {
    signal?.throwIfAborted();
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) {
      this.#waiting.set(name, new Set());
      return this.#lease(name);
    }
    return wait === 0 ? undefined : this.#turn(waiting, wait, signal);
  }

  /** Whoever still waits has waited in vain. */
  async close(): Promise<void> {
    for (const waiting of this.#waiting.values()) for (const mine of waiting) mine(undefined);
  }

  #turn(waiting: Set<Waiter>, wait: number, signal: AbortSignal | undefined): Promise<Lease | undefined> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        waiting.delete(mine);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const mine: Waiter = (lease) => {
        leave();
        resolve(lease);
      };
      const abort = () => {
        leave();
        reject(signal?.reason);
      };
      const timer = setTimeout(() => mine(undefined), wait);
      signal?.addEventListener('abort', abort);
      waiting.add(mine);
    });
  }

  #lease(name: string): Lease {
    let held = true;
    return {
      token: ++this.#tokens,
      signal: NEVER,
      confirm: async () => {
        if (!held) throw new Error(`the lease on ${name} was given back`);
      },
      release: async () => {
        if (!held) return;
        held = false;
        this.#pass(name);
      },
    };
  }

  /** To whoever has waited longest; a name that nobody wants is forgotten. */
  #pass(name: string): void {
    const [next] = this.#waiting.get(name) ?? [];
    if (next === undefined) this.#waiting.delete(name);
    else next(this.#lease(name));
  }
}
