// Events that wait in a store: what comes while the store is at work is appended together when it is done, and what
// cannot be stored waits in memory until it can.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../contracts/logger.js';
import type { EventQueue, EventQueueStore, QueuedEvent, RegistryEvent } from '../contracts/notification.js';
import { type Occurrence, sizeOf } from './occurrence.js';
import type { Bound, PendingEvents } from './pending-events.js';

/** The most events of one append. */
const TOGETHER = 1000;

/** Between two tries to store what could not be stored, in milliseconds; it doubles up to the last. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;

/** How long a call to the store may take, in milliseconds. */
const PATIENCE = 5_000;

interface Unstored {
  readonly event: RegistryEvent;
  readonly size: number;
  /** Tells whoever waits that the event is stored, or cannot be now. */
  settle?: (() => void) | undefined;
}

export class StoredQueue implements PendingEvents {
  readonly isDurable = true;
  readonly #store: EventQueueStore;
  readonly #sink: string;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  #queue: EventQueue | undefined;
  #opening: Promise<EventQueue> | undefined;
  /** The first `#writing` of them are being appended. */
  readonly #unstored: Unstored[] = [];
  #writing = 0;
  #unstoredBytes = 0;
  /** The latest try; resolves with whether it succeeded. */
  #appending: Promise<boolean> | undefined;
  #working: Promise<void> | undefined;
  #failing = false;
  #trimming: Promise<void> | undefined;

  constructor(store: EventQueueStore, sink: string, log: Logger) {
    this.#store = store;
    this.#sink = sink;
    this.#log = log;
  }

  get length(): number {
    return (this.#queue?.length ?? 0) + this.#unstored.length;
  }

  get bytes(): number {
    return (this.#queue?.bytes ?? 0) + this.#unstoredBytes;
  }

  /** Resolves when the event is stored, or when a try to store it has failed: nobody waits for a store that is away. */
  add(occurrence: Occurrence): Promise<void> | undefined {
    const unstored: Unstored = { event: occurrence.event, size: sizeOf(occurrence) };
    this.#unstored.push(unstored);
    this.#unstoredBytes += unstored.size;
    this.#working ??= this.#work();
    if (this.#failing) return undefined;
    return new Promise((settle) => {
      unstored.settle = settle;
    });
  }

  /** Stores what is not yet, until nothing is left. */
  async #work(): Promise<void> {
    let pause = FIRST_PAUSE;
    while (this.#unstored.length > 0) {
      this.#appending = this.#append();
      if (await this.#appending) pause = FIRST_PAUSE;
      else if (this.#closing.signal.aborted) break;
      else {
        await sleep(pause * (0.5 + Math.random() / 2), undefined, { signal: this.#closing.signal }).catch(
          () => undefined,
        );
        pause = Math.min(2 * pause, LONGEST_PAUSE);
      }
    }
    this.#working = undefined;
  }

  async #append(): Promise<boolean> {
    const batch = this.#unstored.slice(0, TOGETHER);
    this.#writing = batch.length;
    try {
      const queue = await this.#open();
      await inTime(queue.append(batch.map(({ event }) => event)));
      this.#unstored.splice(0, batch.length);
      for (const { size, settle } of batch) {
        this.#unstoredBytes -= size;
        settle?.();
      }
      if (this.#failing) this.#log.info({ sink: this.#sink }, 'events are stored again');
      this.#failing = false;
      return true;
    } catch (err) {
      if (!this.#failing && !this.#closing.signal.aborted) {
        this.#log.error({ err, sink: this.#sink }, 'events cannot be stored, and wait in memory meanwhile');
      }
      this.#failing = true;
      for (const unstored of this.#unstored) unstored.settle?.();
      return false;
    } finally {
      this.#writing = 0;
    }
  }

  async #open(): Promise<EventQueue> {
    if (this.#queue !== undefined) return this.#queue;
    this.#opening ??= inTime(this.#store.open(this.#sink)).finally(() => {
      this.#opening = undefined;
    });
    this.#queue = await this.#opening;
    return this.#queue;
  }

  /** Waits for what is just being stored, where nothing else is there. */
  async peek(count: number): Promise<readonly QueuedEvent[]> {
    const queue = await this.#open();
    const events = await inTime(queue.peek(count));
    if (events.length > 0 || this.#unstored.length === 0) return events;
    if (!(await this.#appending)) throw new Error('nothing is stored yet of what waits');
    return inTime(queue.peek(count));
  }

  async remove(events: readonly QueuedEvent[]): Promise<void> {
    if (this.#queue !== undefined) await inTime(this.#queue.remove(events));
  }

  /** By one worker, in batches: each event that comes would otherwise wait for one that goes. */
  trim(bound: Bound): void {
    this.#trimming ??= this.#trim(bound).finally(() => {
      this.#trimming = undefined;
    });
  }

  async #trim(bound: Bound): Promise<void> {
    try {
      while (bound.isOver() && !this.#closing.signal.aborted) {
        const queue = await this.#open();
        const oldest = await inTime(queue.peek(Math.min(bound.excess(), TOGETHER)));
        if (oldest.length === 0) break;
        await inTime(queue.remove(oldest));
        bound.onDropped(oldest.length);
      }
    } catch {
      // What is in memory is all that can be dropped while the store is away.
    }
    while (bound.isOver() && this.#unstored.length > this.#writing) {
      const [dropped] = this.#unstored.splice(this.#writing, 1);
      this.#unstoredBytes -= dropped?.size ?? 0;
      dropped?.settle?.();
      bound.onDropped(1);
    }
  }

  async look(): Promise<void> {
    await this.#open()
      .then((queue) => queue.look && inTime(queue.look()))
      .catch(() => undefined);
  }

  /** Waits for what is being stored; what could not be is lost, and said to be. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#working, this.#trimming]);
    if (this.#unstored.length > 0) {
      this.#log.error({ sink: this.#sink, lost: this.#unstored.length }, 'events could not be stored before the end');
    }
    await inTime(Promise.resolve(this.#queue?.close?.()));
  }
}

/** @throws Error when the store takes longer than it may. */
async function inTime<T>(call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the store has not answered within ${PATIENCE} ms`)), PATIENCE);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
