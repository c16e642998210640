// The delivery of events to one sink: in order, one write after another, each again and again until it succeeds.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../contracts/logger.js';
import type { Delivery, NotificationSink, QueuedEvent, RegistryEvent } from '../contracts/notification.js';
import { SinkGoneError } from '../errors.js';
import { AwayLog } from './away-log.js';
import { Pauses } from './pauses.js';
import type { PendingEvents } from './pending-events.js';
import { writeInTime } from './write-in-time.js';

/** How long a host waits for its turn, or for events that another one has added, in milliseconds. */
const POLL = 500;

/** How long to wait for events that are just being stored, in milliseconds. */
const SOON = 20;

/** For how long a host delivers before another one may, in milliseconds. */
const TURN = 1_000;

export interface SinkDeliveryParts {
  readonly sink: NotificationSink;
  readonly delivery: Delivery;
  readonly pending: PendingEvents;
  /**
   * Runs a turn, where several hosts share what is pending; resolves with `false` when it is another one's turn.
   * Left out where nobody else delivers.
   */
  readonly inTurn?: ((work: () => Promise<void>) => Promise<boolean>) | undefined;
  /** Takes events that were given up after `maxAttempts`. */
  giveUp(events: readonly RegistryEvent[], cause: unknown): void;
  /** What may be logged of a failure of the sink. */
  report(error: unknown): unknown;
  /** There is more room than before. */
  onRoom(): void;
  /** The sink wants no more, and what was pending for it is gone. */
  onGone(dropped: number): void;
  readonly log: Logger;
}

export type SinkState = 'ok' | 'failing' | 'stopped';

export class SinkDelivery {
  readonly counted = { delivered: 0, failed: 0, retried: 0, deadLetters: 0 };
  readonly #parts: SinkDeliveryParts;
  readonly #pauses: Pauses;
  readonly #away: AwayLog;
  readonly #closing = new AbortController();
  /** Ends a pause early. */
  #awake = new AbortController();
  #isRunning = false;
  #running: Promise<void> | undefined;
  /** Whether what is pending was looked at: an earlier process may have left something. */
  #hasLooked = false;
  #head: QueuedEvent | undefined;
  /** How often the events from `#head` on have failed. */
  #attempts = 0;
  #gone = false;

  constructor(parts: SinkDeliveryParts) {
    this.#parts = parts;
    const { delivery, log, report } = parts;
    this.#pauses = new Pauses(delivery);
    this.#away = new AwayLog({ log, sink: delivery.name, threshold: delivery.threshold, report });
  }

  get state(): SinkState {
    if (this.#gone) return 'stopped';
    return this.#pauses.failures > 0 ? 'failing' : 'ok';
  }

  /** When the event that waits longest happened, as far as is known. */
  get oldest(): string | undefined {
    return this.#parts.pending.length > 0 ? this.#head?.event.timestamp : undefined;
  }

  /** There is something to deliver. */
  wake(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#running = this.#run();
  }

  /** Does not wait for the end of a pause, and delivers what is pending, until the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    while (this.#parts.pending.length > 0 && !this.#isOver && !signal.aborted) {
      this.#awake.abort();
      this.wake();
      await sleep(SOON, undefined, { signal }).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the registry is closing'));
    this.#awake.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { pending, inTurn } = this.#parts;
    while (!this.#isOver && (pending.length > 0 || !this.#hasLooked || inTurn !== undefined)) {
      if (inTurn === undefined) await this.#deliverOnce();
      else if (!(await this.#inTurn(inTurn)) || pending.length === 0) await this.#pause(POLL);
    }
    // Without a pause after the look at what is pending: whoever adds more would find this running.
    this.#isRunning = false;
  }

  get #isOver(): boolean {
    return this.#closing.signal.aborted || this.#gone;
  }

  /** Delivers for a while, where it is this host's turn. Never rejects. */
  async #inTurn(inTurn: NonNullable<SinkDeliveryParts['inTurn']>): Promise<boolean> {
    const work = async () => {
      const until = performance.now() + TURN;
      do {
        await this.#deliverOnce();
      } while (this.#parts.pending.length > 0 && performance.now() < until && !this.#isOver);
    };
    try {
      return await inTurn(work);
    } catch (err) {
      this.#parts.log.debug({ err, sink: this.#parts.delivery.name }, 'a turn at delivering was lost');
      return false;
    }
  }

  /** Delivers the first events that wait, or fails to. Never rejects. */
  async #deliverOnce(): Promise<void> {
    const { delivery, sink } = this.#parts;
    const batch = await this.#peek();
    // It is on its way: a loop without a pause would let nothing arrive.
    if (batch.length === 0) return this.#parts.pending.length > 0 ? this.#pause(SOON) : undefined;
    try {
      this.#note(batch[0]);
      if (this.#attempts > 0) this.counted.retried += 1;
      const events = batch.map(({ event }) => event);
      await writeInTime(sink, events, { timeout: delivery.timeout, signal: this.#closing.signal });
    } catch (error) {
      if (!this.#closing.signal.aborted) await this.#failed(batch, error);
      return;
    }
    this.#succeeded();
    await this.#remove(batch);
    this.counted.delivered += batch.length;
  }

  async #peek(): Promise<readonly QueuedEvent[]> {
    const { pending, delivery, log } = this.#parts;
    try {
      const batch = await pending.peek(delivery.batch);
      this.#hasLooked = true;
      return batch;
    } catch (err) {
      log.debug({ err, sink: delivery.name }, 'events that wait cannot be read');
      await this.#pause(POLL);
      return [];
    }
  }

  /** Whether these events have failed before: what was dropped meanwhile makes others the first. */
  #note(head: QueuedEvent | undefined): void {
    if (head?.event.id !== this.#head?.event.id) this.#attempts = 0;
    this.#head = head;
  }

  #succeeded(): void {
    this.#away.succeeded();
    this.#attempts = 0;
    this.#pauses.succeeded();
  }

  async #failed(batch: readonly QueuedEvent[], error: unknown): Promise<void> {
    const { delivery } = this.#parts;
    if (error instanceof SinkGoneError) return this.#stop(error);
    this.counted.failed += 1;
    this.#attempts += 1;
    const pause = this.#pauses.failed();
    this.#away.failed(error, this.#pauses.failures);
    if (delivery.maxAttempts !== undefined && this.#attempts >= delivery.maxAttempts) {
      this.counted.deadLetters += batch.length;
      this.#parts.giveUp(
        batch.map(({ event }) => event),
        error,
      );
      await this.#remove(batch);
    }
    await this.#pause(pause);
  }

  async #stop(error: SinkGoneError): Promise<void> {
    const { pending, onGone } = this.#parts;
    this.#gone = true;
    const left = pending.length;
    this.#away.gone(error);
    for (let waiting = left; waiting > 0 && pending.length > 0; waiting--) await pending.dropOldest();
    onGone(left);
  }

  /** What is delivered and cannot be removed is delivered again. */
  async #remove(batch: readonly QueuedEvent[]): Promise<void> {
    try {
      await this.#parts.pending.remove(batch);
    } catch (err) {
      this.#parts.log.warn({ err, sink: this.#parts.delivery.name }, 'events that were delivered will be so again');
      await this.#pause(POLL);
    }
    this.#parts.onRoom();
  }

  async #pause(time: number): Promise<void> {
    if (this.#awake.signal.aborted) this.#awake = new AbortController();
    if (this.#closing.signal.aborted) return;
    await sleep(time, undefined, { signal: this.#awake.signal }).catch(() => undefined);
  }
}
