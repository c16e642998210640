// Says in the log that events were dropped: the first at once, and what follows together.
import type { Logger } from '../contracts/logger.js';

/** In milliseconds. */
const EVERY = 10_000;

export class DropLog {
  readonly #log: Logger;
  readonly #sink: string;
  #unsaid = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Logger, sink: string) {
    this.#log = log;
    this.#sink = sink;
  }

  note(count: number): void {
    this.#unsaid += count;
    if (this.#timer !== undefined) return;
    this.flush();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#unsaid > 0) this.note(0);
    }, EVERY).unref();
  }

  flush(): void {
    if (this.#unsaid > 0) this.#log.warn({ sink: this.#sink, dropped: this.#unsaid }, 'events were dropped');
    this.#unsaid = 0;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.flush();
  }
}
