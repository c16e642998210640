// What was given up: named in the log, and handed to a sink that is there for it, one write after the other.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../contracts/logger.js';
import type { NotificationSink, RegistryEvent } from '../contracts/notification.js';
import { deliveryOf } from './delivery.js';
import { Pauses } from './pauses.js';
import { writeInTime } from './write-in-time.js';

/** How often it is tried, unless the sink says. */
const ATTEMPTS = 3;

/** No pause is longer, in milliseconds: events that wait behind these wait as well. */
const LONGEST_PAUSE = 1_000;

export interface DeadLettersParts {
  readonly sink?: NotificationSink | undefined;
  /** What may be logged of a failure of that sink. */
  report(error: unknown): unknown;
  readonly log: Logger;
}

export class DeadLetters {
  readonly #parts: DeadLettersParts;
  #latest: Promise<void> = Promise.resolve();

  constructor(parts: DeadLettersParts) {
    this.#parts = parts;
  }

  /** Resolves when they are passed on, or cannot be. Never rejects. @param cause as it may be logged. */
  take(from: string, events: readonly RegistryEvent[], cause: unknown): Promise<void> {
    const { log, sink } = this.#parts;
    log.error({ err: cause, sink: from, events: events.map(({ id }) => id) }, 'events were given up');
    if (sink === undefined) return Promise.resolve();
    this.#latest = this.#latest.then(() => this.#pass(sink, from, events));
    return this.#latest;
  }

  async #pass(sink: NotificationSink, from: string, events: readonly RegistryEvent[]): Promise<void> {
    const { log, report } = this.#parts;
    const delivery = deliveryOf(sink, 'deadLetters');
    const { batch, timeout, maxAttempts = ATTEMPTS } = delivery;
    const pauses = new Pauses({ ...delivery, maxBackoff: Math.min(delivery.maxBackoff, LONGEST_PAUSE) });
    for (let start = 0; start < events.length; start += batch) {
      const some = events.slice(start, start + batch);
      for (let attempt = 1; ; attempt++) {
        try {
          await writeInTime(sink, some, { timeout, signals: [] });
          break;
        } catch (error) {
          if (attempt >= maxAttempts) {
            log.error({ err: report(error), sink: from }, 'dead letters could not be passed on');
            break;
          }
          await sleep(pauses.failed());
        }
      }
    }
  }
}
