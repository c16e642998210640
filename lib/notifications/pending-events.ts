// What a delivery needs of the events that wait, wherever they do.
import type { QueuedEvent } from '../contracts/notification.js';
import type { Occurrence } from './occurrence.js';

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

  /** Answers whether there was one. Never rejects. */
  dropOldest(): Promise<boolean> | boolean;

  close(): Promise<void>;
}
