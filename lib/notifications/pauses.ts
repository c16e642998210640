// How long to wait between two tries: shortly at first, and longer and longer once a sink seems to be away.
import type { Delivery } from '../contracts/notification.js';

/** Before the threshold, in milliseconds. */
const SHORT = 50;

export class Pauses {
  readonly #delivery: Pick<Delivery, 'threshold' | 'backoff' | 'maxBackoff'>;
  #failures = 0;

  constructor(delivery: Pick<Delivery, 'threshold' | 'backoff' | 'maxBackoff'>) {
    this.#delivery = delivery;
  }

  /** How many tries in a row have failed. */
  get failures(): number {
    return this.#failures;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** Notes a failure; answers how long to wait, in milliseconds: somewhere between the half and the whole. */
  failed(): number {
    const { threshold, backoff, maxBackoff } = this.#delivery;
    const beyond = this.#failures++ - threshold + 1;
    // Beyond 2^30 the bound has long been reached.
    const pause = beyond < 0 ? SHORT : Math.min(backoff * 2 ** Math.min(beyond, 30), maxBackoff);
    return pause * (0.5 + Math.random() / 2);
  }
}
