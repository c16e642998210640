// The delivery of events to one sink: in order, one write after another, each again and again until it succeeds.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../contracts/logger.js';
import type { Delivery, NotificationSink, QueuedEvent, RegistryEvent } from '../contracts/notification.js';
import { SinkGoneError } from '../errors.js';
import { Attempts } from './attempts.js';
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

/** Runs `work` when it is this host's turn, `signal` being aborted when that is lost; `false` when it is another one's. */
export type InTurn = (work: (signal: AbortSignal) => Promise<void>) => Promise<boolean>;

export interface SinkDeliveryParts {
  readonly sink: NotificationSink;
  readonly delivery: Delivery;
  readonly pending: PendingEvents;
  /** Where several hosts share what is pending. */
  readonly inTurn?: InTurn | undefined;
  /** Takes events that were given up after `maxAttempts`. Never rejects. */
  giveUp(events: readonly RegistryEvent[], cause: unknown): Promise<void>;
  /** What may be logged of a failure of the sink. */
  report(error: unknown): unknown;
  /** There may be more room than before. */
  onRoom(): void;
  /** The sink wants no more. */
  onGone(): void;
  readonly log: Logger;
}

export type SinkState = 'ok' | 'failing' | 'stopped';

export class SinkDelivery {
  readonly counted = { delivered: 0, failed: 0, retried: 0, deadLetters: 0 };
  readonly #parts: SinkDeliveryParts;
  readonly #pauses: Pauses;
  readonly #away: AwayLog;
  readonly #attempts: Attempts;
  readonly #closing = new AbortController();
  /** Ends a pause early. */
  #awake = new AbortController();
  #isRunning = false;
  #running: Promise<void> | undefined;
  /** Whether what is pending was looked at: an earlier process may have left something. */
  #hasLooked = false;
  #isDraining = false;
  #failure: unknown;
  #gone = false;

  constructor(parts: SinkDeliveryParts) {
    const { delivery, log, report } = parts;
    this.#parts = parts;
    this.#pauses = new Pauses(delivery);
    this.#attempts = new Attempts(delivery);
    this.#away = new AwayLog({ log, sink: delivery.name, threshold: delivery.threshold, report });
  }

  get state(): SinkState {
    if (this.#gone) return 'stopped';
    return this.#pauses.failures > 0 ? 'failing' : 'ok';
  }

  /** What the latest write has failed with; `undefined` once one has succeeded. */
  get failure(): unknown {
    return this.#failure;
  }

  /** When the event that waits longest happened, as far as is known. */
  get oldest(): string | undefined {
    return this.#parts.pending.length > 0 ? this.#attempts.head?.timestamp : undefined;
  }

  get #isOver(): boolean {
    return this.#closing.signal.aborted || this.#gone;
  }

  /** There is something to deliver. */
  wake(): void {
    if (this.#isRunning || this.#isOver) return;
    this.#isRunning = true;
    this.#running = this.#run();
  }

  /** Somebody waits: ends the pause that there may be. */
  hurry(): void {
    this.#awake.abort();
    this.wake();
  }

  /** Ends the pause that there may be, and waits until all is delivered, or the signal is aborted. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#isDraining = true;
    this.hurry();
    while (this.#parts.pending.length > 0 && !this.#isOver && !signal.aborted) {
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
      const pause = inTurn === undefined ? await this.#deliverOnce() : await this.#inTurn(inTurn);
      if (pause !== undefined && !this.#isOver) await this.#pause(pause);
    }
    // Without a pause after the look at what is pending: whoever adds more would find this running.
    this.#isRunning = false;
  }

  /** Delivers for a while, where it is this host's turn; answers how long to stay away. Never rejects. */
  async #inTurn(inTurn: InTurn): Promise<number> {
    const { pending, log, delivery } = this.#parts;
    let pause: number | undefined;
    const work = async (signal: AbortSignal) => {
      const until = performance.now() + TURN;
      do pause = await this.#deliverOnce(signal);
      while (pause === undefined && pending.length > 0 && performance.now() < until && !this.#isOver);
    };
    const hadTurn = await inTurn(work).catch((err: unknown) => {
      log.debug({ err, sink: delivery.name }, 'a turn at delivering was lost');
      return false;
    });
    if (!hadTurn) await pending.look();
    this.#parts.onRoom();
    // Whoever waits for its turn has it meanwhile.
    return pause ?? (hadTurn && pending.length > 0 ? SOON : POLL);
  }

  /** Delivers the first events that wait, or fails to; answers how long to pause, if at all. Never rejects. */
  async #deliverOnce(turn?: AbortSignal): Promise<number | undefined> {
    const { delivery, sink, pending } = this.#parts;
    try {
      const batch = await pending.peek(this.#attempts.count);
      this.#hasLooked = true;
      this.#away.readable();
      // It is on its way: a loop without a pause would let nothing arrive.
      if (batch.length === 0) return pending.length > 0 ? SOON : undefined;
      if (this.#attempts.begin(batch) > 0) this.counted.retried += 1;
      const signals = [this.#closing.signal, ...(turn === undefined ? [] : [turn])];
      const events = batch.map(({ event }) => event);
      return await this.#settle(batch, writeInTime(sink, events, { timeout: delivery.timeout, signals }), turn);
    } catch (error) {
      if (this.#isOver) return undefined;
      this.#away.unreadable(error);
      return Math.max(POLL, this.#pauses.failed());
    }
  }

  /** @throws whatever the queue does. */
  async #settle(
    batch: readonly QueuedEvent[],
    written: Promise<void>,
    turn?: AbortSignal,
  ): Promise<number | undefined> {
    const { pending, onRoom } = this.#parts;
    try {
      await written;
    } catch (error) {
      if (this.#closing.signal.aborted || turn?.aborted) return undefined;
      return this.#failed(batch, error);
    }
    this.#failure = undefined;
    this.#away.succeeded();
    this.#pauses.succeeded();
    this.#attempts.succeeded();
    // What is delivered and cannot be removed is delivered again.
    await pending.remove(batch);
    this.counted.delivered += batch.length;
    onRoom();
    return undefined;
  }

  async #failed(batch: readonly QueuedEvent[], error: unknown): Promise<number | undefined> {
    this.#failure = error;
    if (error instanceof SinkGoneError) {
      this.#gone = true;
      this.#away.gone(error);
      this.#parts.onGone();
      return undefined;
    }
    this.counted.failed += 1;
    const pause = this.#pauses.failed();
    this.#away.failed(error, this.#pauses.failures);
    // At the end a sink that is away with us is tried often, which says nothing about the events.
    if (!this.#isDraining && this.#attempts.failed()) {
      const events = batch.map(({ event }) => event);
      await this.#parts.giveUp(events, error);
      this.counted.deadLetters += batch.length;
      await this.#parts.pending.remove(batch);
      this.#parts.onRoom();
    }
    return pause;
  }

  async #pause(time: number): Promise<void> {
    if (this.#awake.signal.aborted) this.#awake = new AbortController();
    if (this.#closing.signal.aborted) return;
    await sleep(time, undefined, { signal: this.#awake.signal }).catch(() => undefined);
  }
}
