// What a delivery needs of the events that wait, wherever they do.
import type { QueuedEvent } from '../contracts/notification.js';
import type { Occurrence } from './occurrence.js';

/** What a queue is kept within. */
export interface Bound {
  /** Whether more waits than may. */
  isOver(): boolean;
  /** How many events are too many, one at least while {@link Bound.isOver}. */
  excess(): number;
  /** So many of the oldest were dropped. */
  onDropped(count: number): void;
}

export interface PendingEvents {
  /** Whether what waits is there again after a restart. */
  readonly isDurable: boolean;
  readonly length: number;
  readonly bytes: number;

  /** Adds an event; where there is something to wait for before it is safe, that. Never rejects. */
  add(occurrence: Occurrence): Promise<void> | undefined;

  /** The first events; rejects where they cannot be read now. */
  peek(count: number): readonly QueuedEvent[] | Promise<readonly QueuedEvent[]>;

  remove(events: readonly QueuedEvent[]): Promise<void> | undefined;

  /** Drops the oldest until the bound is kept: at once, or as soon as it can. Nobody waits for it. */
  trim(bound: Bound): void;

  /** Finds out what other hosts have added and removed. Never rejects. */
  look(): Promise<void>;

  close(): Promise<void>;
}
