// Events that wait in memory: a ring, so that adding one and dropping the oldest cost the same however many wait.
import type { QueuedEvent } from '../contracts/notification.js';
import { type Occurrence, sizeOf } from './occurrence.js';
import type { Bound, PendingEvents } from './pending-events.js';

/** What is written together, in bytes, about. */
const TOGETHER = 1024 * 1024;

/** It doubles when it is full. */
const FIRST_CAPACITY = 64;

interface Waiting extends QueuedEvent {
  readonly position: number;
}

export class MemoryQueue implements PendingEvents {
  readonly isDurable = false;
  /** Nothing is made for an event that waits but the event itself: most of them live too short for it. */
  #ring: (Occurrence | undefined)[] = new Array(FIRST_CAPACITY);
  /** Of each in the ring: the oldest is dropped without a look at what nobody has looked at for long. */
  #sizes = new Float64Array(FIRST_CAPACITY);
  /** They count all that ever came; the ring holds what is between them. */
  #first = 0;
  #next = 0;
  #bytes = 0;

  get length(): number {
    return this.#next - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(occurrence: Occurrence): undefined {
    if (this.length === this.#ring.length) this.#grow();
    const index = this.#next % this.#ring.length;
    const size = sizeOf(occurrence);
    this.#ring[index] = occurrence;
    this.#sizes[index] = size;
    this.#next += 1;
    this.#bytes += size;
  }

  #grow(): void {
    const capacity = this.#ring.length;
    const ring: (Occurrence | undefined)[] = new Array(2 * capacity);
    const sizes = new Float64Array(2 * capacity);
    for (let position = this.#first; position < this.#next; position++) {
      ring[position % ring.length] = this.#ring[position % capacity];
      sizes[position % ring.length] = this.#sizes[position % capacity] ?? 0;
    }
    this.#ring = ring;
    this.#sizes = sizes;
  }

  peek(count: number): readonly QueuedEvent[] {
    const events: Waiting[] = [];
    const end = Math.min(this.#next, this.#first + count);
    for (let position = this.#first, bytes = 0; position < end && bytes < TOGETHER; position++) {
      const occurrence = this.#ring[position % this.#ring.length] as Occurrence;
      bytes += sizeOf(occurrence);
      events.push({ event: occurrence.event, position });
    }
    return events;
  }

  /** Those that were dropped meanwhile are gone already. */
  remove(events: readonly QueuedEvent[]): undefined {
    const last = events.at(-1) as Waiting | undefined;
    while (last !== undefined && this.#first <= last.position) this.#dropOldest();
  }

  trim(bound: Bound): void {
    while (bound.isOver() && this.length > 0) {
      this.#dropOldest();
      bound.onDropped(1);
    }
  }

  /** Nobody else is there. */
  async look(): Promise<void> {}

  #dropOldest(): void {
    if (this.length === 0) return;
    const index = this.#first % this.#ring.length;
    this.#bytes -= this.#sizes[index] ?? 0;
    this.#ring[index] = undefined;
    this.#first += 1;
  }

  async close(): Promise<void> {
    while (this.length > 0) this.#dropOldest();
  }
}
