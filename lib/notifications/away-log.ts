// Says in the log once that a sink takes no events, and once that it does again.
import type { Logger } from '../contracts/logger.js';

export interface AwayLogParts {
  readonly log: Logger;
  readonly sink: string;
  /** After so many failures in a row it is worth a warning. */
  readonly threshold: number;
  /** What may be logged of a failure. */
  report(error: unknown): unknown;
}

export class AwayLog {
  readonly #parts: AwayLogParts;
  #isTold = false;
  #isUnreadable = false;

  constructor(parts: AwayLogParts) {
    this.#parts = parts;
  }

  /** @param failures how many in a row. */
  failed(error: unknown, failures: number): void {
    const { log, sink, threshold, report } = this.#parts;
    if (failures < threshold || this.#isTold) {
      log.debug({ err: report(error), sink }, 'events could not be delivered');
      return;
    }
    this.#isTold = true;
    log.warn({ err: report(error), sink, failures }, 'the sink takes no events');
  }

  succeeded(): void {
    if (this.#isTold) this.#parts.log.info({ sink: this.#parts.sink }, 'the sink takes events again');
    this.#isTold = false;
  }

  /** What waits cannot be read, or what was delivered not be removed. */
  unreadable(err: unknown): void {
    const { log, sink } = this.#parts;
    log[this.#isUnreadable ? 'debug' : 'warn'](
      { err, sink },
      'the queue before the sink cannot be read, or not be changed',
    );
    this.#isUnreadable = true;
  }

  readable(): void {
    this.#isUnreadable = false;
  }

  gone(error: unknown): void {
    const { log, sink, report } = this.#parts;
    log.error({ err: report(error), sink }, 'the sink wants no more events, and gets none until the next start');
  }
}
