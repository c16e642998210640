// How often the same events were tried: what failed comes again just as it was, and where it is given up, each of
// several events has had a turn of its own.
import type { Delivery, QueuedEvent, RegistryEvent } from '../contracts/notification.js';

export class Attempts {
  readonly #delivery: Pick<Delivery, 'batch' | 'maxAttempts'>;
  #head: RegistryEvent | undefined;
  /** Of what has failed. */
  #size = 0;
  #failures = 0;
  /** So many events are tried one by one, as together they have failed too often. */
  #alone = 0;

  constructor(delivery: Pick<Delivery, 'batch' | 'maxAttempts'>) {
    this.#delivery = delivery;
  }

  /** The first of the events that are being tried. */
  get head(): RegistryEvent | undefined {
    return this.#head;
  }

  /** How many events to try together. */
  get count(): number {
    if (this.#failures > 0) return this.#size;
    return this.#alone > 0 ? 1 : this.#delivery.batch;
  }

  /** Answers how often these events have failed: none where what failed is gone, and others are the first now. */
  begin(batch: readonly QueuedEvent[]): number {
    const head = batch[0]?.event;
    if (head?.id !== this.#head?.id) this.#failures = 0;
    this.#head = head;
    this.#size = batch.length;
    return this.#failures;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#head = undefined;
    this.#alone = Math.max(0, this.#alone - this.#size);
  }

  /** Answers whether these events are to be given up. */
  failed(): boolean {
    const { maxAttempts } = this.#delivery;
    this.#failures += 1;
    if (maxAttempts === undefined || this.#failures < maxAttempts) return false;
    this.#failures = 0;
    if (this.#size > 1) {
      this.#alone = this.#size;
      return false;
    }
    this.#head = undefined;
    this.#alone = Math.max(0, this.#alone - 1);
    return true;
  }
}
