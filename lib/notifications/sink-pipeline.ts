// The way of events to one sink: its filter, the bounds of what waits for it, and what is counted. Nothing here is
// waited for by another sink.
import type { Logger } from '../contracts/logger.js';
import type { Delivery } from '../contracts/notification.js';
import { DropLog } from './drop-log.js';
import type { Occurrence } from './occurrence.js';
import type { Bound, PendingEvents } from './pending-events.js';
import { SinkDelivery, type SinkDeliveryParts, type SinkState } from './sink-delivery.js';

/** What becomes of events for which there is no room: the oldest go, the new one does, or whoever causes them waits. */
export type Overflow = 'drop-oldest' | 'drop-newest' | 'hold';

export interface QueueBounds {
  readonly maxEvents: number;
  /** In bytes, about. */
  readonly maxBytes: number;
  readonly overflow: Overflow;
}

/** How soon after some were let in others are, where there is still room; in milliseconds. */
const AGAIN = 50;

/** How many more may wait than may, until the oldest are dropped. */
const MOST_OVER = 1_000;

/** Of one sink since the start of the process. */
export interface SinkMetrics {
  /** `failing` from a failed write until the next one that succeeds; `stopped` for good. */
  readonly state: SinkState;
  /** How many it was to be told; those that its filter ignores are not counted. */
  readonly events: number;
  /** How many wait now; with those that an earlier process has left. */
  readonly pending: number;
  /** What they take up, in bytes, about. */
  readonly pendingBytes: number;
  readonly delivered: number;
  /** How many writes have failed. */
  readonly failed: number;
  /** How many writes were of events that had failed before. */
  readonly retried: number;
  /** How many the bounds of the queue, or the end of the sink, have cost; a few of them may have been delivered. */
  readonly dropped: number;
  /** How many were given up after `maxAttempts`. */
  readonly deadLetters: number;
  /** The age of the event that waits longest, in milliseconds; 0 where none does. */
  readonly oldestAge: number;
}

export interface SinkPipelineParts extends Omit<SinkDeliveryParts, 'onRoom' | 'onGone'> {
  readonly bounds: QueueBounds;
  isIgnored(occurrence: Occurrence): boolean;
  readonly clock: () => number;
}

export class SinkPipeline {
  readonly #bounds: QueueBounds;
  readonly #pending: PendingEvents;
  readonly #delivery: SinkDelivery;
  readonly #options: Delivery;
  readonly #isIgnored: (occurrence: Occurrence) => boolean;
  readonly #clock: () => number;
  readonly #drops: DropLog;
  readonly #bound: Bound;
  #isClosed = false;
  #again: NodeJS.Timeout | undefined;
  readonly #log: Logger;
  /** Those who wait for room. */
  readonly #waiting = new Set<() => void>();
  #events = 0;
  #dropped = 0;

  constructor(parts: SinkPipelineParts) {
    this.#bounds = parts.bounds;
    this.#pending = parts.pending;
    this.#options = parts.delivery;
    this.#isIgnored = parts.isIgnored;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#drops = new DropLog(parts.log, parts.delivery.name);
    const onGone = () => {
      // What is durable is tried once more after the next start.
      if (!this.#pending.isDurable) this.#pending.trim({ ...this.#bound, isOver: () => true });
      this.#admit();
    };
    this.#bound = {
      // One event has room, however large.
      isOver: () => {
        const { length, bytes } = this.#pending;
        return length > this.#bounds.maxEvents || (bytes > this.#bounds.maxBytes && length > 1);
      },
      excess: () => Math.max(1, this.#pending.length - this.#bounds.maxEvents),
      onDropped: (count) => this.#noteDropped(count),
    };
    this.#delivery = new SinkDelivery({ ...parts, onRoom: () => this.#admit(), onGone });
  }

  get name(): string {
    return this.#options.name;
  }

  /** What the sink has lately failed with; `undefined` while it is well. */
  get failure(): unknown {
    return this.#delivery.failure;
  }

  metrics(): SinkMetrics {
    const { state, counted, oldest } = this.#delivery;
    return {
      state,
      events: this.#events,
      pending: this.#pending.length,
      pendingBytes: this.#pending.bytes,
      ...counted,
      dropped: this.#dropped,
      oldestAge: oldest === undefined ? 0 : Math.max(0, this.#clock() - Date.parse(oldest)),
    };
  }

  /** Adds an event; answers what to wait for, where it has to be stored first. Never throws, never rejects. */
  offer(occurrence: Occurrence): Promise<void> | undefined {
    if (this.#isIgnored(occurrence)) return undefined;
    this.#events += 1;
    if (!this.#takes(occurrence)) {
      this.#noteDropped(1);
      return undefined;
    }
    const added = this.#pending.add(occurrence);
    if (this.#bounds.overflow === 'drop-oldest' && this.#bound.isOver()) this.#pending.trim(this.#bound);
    this.#delivery.wake();
    return added;
  }

  #takes({ action }: Occurrence): boolean {
    if (this.#isClosed || this.#delivery.state === 'stopped') return false;
    const { overflow, maxEvents } = this.#bounds;
    // Where the oldest cannot be dropped as fast as others come.
    if (overflow === 'drop-oldest') return this.#pending.length < maxEvents + MOST_OVER;
    // Whoever changes something has been let in, and is told to nobody else.
    return !this.#isFull() || (overflow === 'hold' && action !== 'pull');
  }

  #isFull(): boolean {
    const { maxEvents, maxBytes } = this.#bounds;
    return this.#pending.length >= maxEvents || this.#pending.bytes >= maxBytes;
  }

  #noteDropped(count: number): void {
    this.#dropped += count;
    // Of a sink that is gone the log has been told.
    if (count > 0 && this.#delivery.state !== 'stopped') this.#drops.note(count);
  }

  /** Whether whoever causes events has to wait. */
  get isHolding(): boolean {
    return this.#bounds.overflow === 'hold' && this.#delivery.state !== 'stopped' && this.#isFull();
  }

  /** Where whoever causes events is held, what to wait for until there is room. */
  room(signal: AbortSignal): Promise<void> | undefined {
    if (!this.isHolding) return undefined;
    return new Promise((resolve, reject) => {
      const admit = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        this.#waiting.delete(admit);
        reject(signal.reason);
      };
      if (signal.aborted) return giveUp();
      this.#waiting.add(admit);
      this.#delivery.hurry();
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Lets in whoever waits, as many as there is room for. Those who are let in may cause nothing after all. */
  #admit(): void {
    const isStopped = this.#delivery.state === 'stopped';
    let places = isStopped ? Number.POSITIVE_INFINITY : this.#bounds.maxEvents - this.#pending.length;
    for (const admit of this.#waiting) {
      if (places <= 0 || this.isHolding) break;
      places -= 1;
      this.#waiting.delete(admit);
      admit();
    }
    if (this.#waiting.size === 0 || this.#again !== undefined) return;
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#admit();
    }, AGAIN).unref();
  }

  /** Takes up what an earlier process has left. */
  start(): void {
    this.#delivery.wake();
  }

  /** Delivers what is pending until the signal is aborted. */
  drain(signal: AbortSignal): Promise<void> {
    return this.#delivery.drain(signal);
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#delivery.close();
    const { length, isDurable } = this.#pending;
    const fields = { sink: this.name, events: length };
    if (length > 0 && isDurable) this.#log.info(fields, 'events wait for the next start');
    else if (length > 0) this.#log.warn(fields, 'events were not delivered before the end');
    await this.#pending.close().catch((err: unknown) => {
      this.#log.error({ err, sink: this.name }, 'the queue of a sink could not be closed');
    });
    this.#drops.close();
  }
}
