// The way of events to one sink: its filter, the bounds of what waits for it, and what is counted. Nothing here is
// waited for by another sink.
import type { Logger } from '../contracts/logger.js';
import type { Delivery } from '../contracts/notification.js';
import { DropLog } from './drop-log.js';
import type { Occurrence } from './occurrence.js';
import type { PendingEvents } from './pending-events.js';
import { SinkDelivery, type SinkDeliveryParts, type SinkState } from './sink-delivery.js';

/** What becomes of events for which there is no room: the oldest go, the new one does, or whoever causes them waits. */
export type Overflow = 'drop-oldest' | 'drop-newest' | 'hold';

export interface QueueBounds {
  readonly maxEvents: number;
  /** In bytes, about. */
  readonly maxBytes: number;
  readonly overflow: Overflow;
}

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
    const onGone = (dropped: number) => {
      this.#noteDropped(dropped);
      this.#admit();
    };
    this.#delivery = new SinkDelivery({ ...parts, onRoom: () => this.#admit(), onGone });
  }

  get name(): string {
    return this.#options.name;
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
    const { overflow } = this.#bounds;
    const isStopped = this.#delivery.state === 'stopped';
    // Whoever changes something has been let in, and is told to nobody else.
    const hasRoom = !this.#isFull() || (overflow === 'hold' && occurrence.action !== 'pull');
    if (hasRoom && !isStopped) return this.#add(occurrence);
    if (overflow === 'drop-oldest' && !isStopped) return this.#replaceOldest(occurrence);
    this.#noteDropped(1);
    return undefined;
  }

  #replaceOldest(occurrence: Occurrence): Promise<void> | undefined {
    while (this.#isFull()) {
      const dropped = this.#pending.dropOldest();
      if (dropped instanceof Promise) return dropped.then((one) => this.#afterDrop(one, occurrence));
      if (!dropped) break;
      this.#noteDropped(1);
    }
    return this.#add(occurrence);
  }

  /** Others may have come meanwhile. */
  #afterDrop(one: boolean, occurrence: Occurrence): Promise<void> | undefined {
    if (!one) return this.#add(occurrence);
    this.#noteDropped(1);
    return this.#replaceOldest(occurrence);
  }

  #add(occurrence: Occurrence): Promise<void> | undefined {
    const added = this.#pending.add(occurrence);
    this.#delivery.wake();
    return added;
  }

  #isFull(): boolean {
    const { maxEvents, maxBytes } = this.#bounds;
    return this.#pending.length >= maxEvents || this.#pending.bytes >= maxBytes;
  }

  #noteDropped(count: number): void {
    this.#dropped += count;
    if (count > 0) this.#drops.note(count);
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
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Lets in whoever waits, while there is room. */
  #admit(): void {
    for (const admit of this.#waiting) {
      if (this.#isFull() && this.#delivery.state !== 'stopped') return;
      this.#waiting.delete(admit);
      admit();
    }
  }

  /** Takes up what an earlier process has left. */
  start(): void {
    this.#delivery.wake();
  }

  /** Delivers what is pending until the signal is aborted. */
  drain(signal: AbortSignal): Promise<void> {
    return this.#delivery.drain(signal);
  }

  async close(): Promise<void> {
    await this.#delivery.close();
    const { length, isDurable } = this.#pending;
    const fields = { sink: this.name, events: length };
    if (length > 0 && isDurable) this.#log.info(fields, 'events wait for the next start');
    else if (length > 0) this.#log.warn(fields, 'events were not delivered before the end');
    await this.#pending.close();
    this.#drops.close();
  }
}
