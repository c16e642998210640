// Events that wait in memory: a ring, so that adding one and dropping the oldest cost the same however many wait.
import type { QueuedEvent, RegistryEvent } from '../contracts/notification.js';
import { type Occurrence, sizeOf } from './occurrence.js';
import type { Bound, PendingEvents } from './pending-events.js';

/** What is written together, in bytes, about. */
const TOGETHER = 1024 * 1024;

/** It doubles when it is full. */
const FIRST_CAPACITY = 64;

class Waiting implements QueuedEvent {
  readonly occurrence: Occurrence;
  readonly position: number;

  constructor(occurrence: Occurrence, position: number) {
    this.occurrence = occurrence;
    this.position = position;
  }

  get event(): RegistryEvent {
    return this.occurrence.event;
  }
}

export class MemoryQueue implements PendingEvents {
  readonly isDurable = false;
  #ring: (Waiting | undefined)[] = new Array(FIRST_CAPACITY);
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
    this.#ring[this.#next % this.#ring.length] = new Waiting(occurrence, this.#next);
    this.#next += 1;
    this.#bytes += sizeOf(occurrence);
  }

  #grow(): void {
    const ring: (Waiting | undefined)[] = new Array(2 * this.#ring.length);
    for (let position = this.#first; position < this.#next; position++) {
      ring[position % ring.length] = this.#ring[position % this.#ring.length];
    }
    this.#ring = ring;
  }

  peek(count: number): readonly QueuedEvent[] {
    const events: QueuedEvent[] = [];
    const end = Math.min(this.#next, this.#first + count);
    for (let position = this.#first, bytes = 0; position < end && bytes < TOGETHER; position++) {
      const waiting = this.#ring[position % this.#ring.length] as Waiting;
      bytes += sizeOf(waiting.occurrence);
      events.push(waiting);
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
    const waiting = this.#ring[index];
    if (waiting !== undefined) this.#bytes -= sizeOf(waiting.occurrence);
    this.#ring[index] = undefined;
    this.#first += 1;
  }

  async close(): Promise<void> {
    while (this.length > 0) this.#dropOldest();
  }
}
