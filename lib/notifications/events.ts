// What happens in a registry, told to its listeners and sinks.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from '../contracts/logger.js';
import type { EventQueueStore, NotificationSink } from '../contracts/notification.js';
import { RegistryError } from '../errors.js';
import type { DeadLetters } from './dead-letters.js';
import { deliveryOf } from './delivery.js';
import type { EventListeners } from './event-listeners.js';
import { MemoryQueue } from './memory-queue.js';
import type { Occurrence } from './occurrence.js';
import { type QueueBounds, type SinkMetrics, SinkPipeline } from './sink-pipeline.js';
import { StoredQueue } from './stored-queue.js';

/** How long a change waits for room in the queues, in milliseconds. */
const HOLD = 10_000;

export interface EventsParts {
  readonly listeners: EventListeners;
  readonly sinks: readonly NotificationSink[];
  /** What the sinks' plugins are called, where a sink does not say. */
  readonly names: readonly string[];
  /** What may be logged of a failure of the sink at this place: none of its plugin's secrets. */
  report(error: unknown, index: number): unknown;
  /** Where events wait; in memory where it is left out. */
  readonly store?: EventQueueStore | undefined;
  readonly bounds: QueueBounds;
  /** Takes what was given up. */
  readonly deadLetters: DeadLetters;
  /** Whether HEAD is a pull, too. */
  readonly includeHead: boolean;
  /** Whether a repository's name is matched by one of the globs. */
  matcher(globs: readonly string[]): (name: string) => boolean;
  /** Runs a turn of a name, of those that all hosts know; `false` when it is another one's. */
  inTurn(name: string, work: (signal: AbortSignal) => Promise<void>): Promise<boolean>;
  readonly log: Logger;
  readonly clock: () => number;
}

export class Events {
  readonly includeHead: boolean;
  readonly source = { host: hostname(), instanceID: randomUUID() };
  readonly #listeners: EventListeners;
  readonly #pipelines: readonly SinkPipeline[];
  readonly #parts: EventsParts;
  readonly #deadLetters: DeadLetters;

  constructor(parts: EventsParts) {
    this.includeHead = parts.includeHead;
    this.#parts = parts;
    this.#deadLetters = parts.deadLetters;
    this.#listeners = parts.listeners;
    this.#pipelines = parts.sinks.map((sink, index) => this.#pipeline(sink, index));
  }

  #pipeline(sink: NotificationSink, index: number): SinkPipeline {
    const { names, store, bounds, log, clock, matcher, inTurn } = this.#parts;
    const delivery = deliveryOf(sink, names[index] ?? 'sink');
    const report = (error: unknown) => this.#parts.report(error, index);
    const { mediaTypes, actions, repositories } = delivery.ignore;
    const isElsewhere = repositories.length > 0 ? matcher(repositories) : () => false;
    return new SinkPipeline({
      sink,
      delivery,
      bounds,
      pending: store ? new StoredQueue(store, delivery.name, log) : new MemoryQueue(),
      isIgnored: ({ action, mediaType, repository }) =>
        actions.includes(action) ||
        (mediaType !== undefined && mediaTypes.includes(mediaType)) ||
        isElsewhere(repository),
      inTurn: store?.shared ? (work) => inTurn(`notifications/${delivery.name}`, work) : undefined,
      giveUp: (events, cause) => this.#deadLetters.take(delivery.name, events, report(cause)),
      report,
      log,
      clock,
    });
  }

  /** Whether an event would reach anybody. */
  get isHeard(): boolean {
    return this.#pipelines.length > 0 || this.#listeners.any;
  }

  start(): void {
    for (const pipeline of this.#pipelines) pipeline.start();
  }

  /** Tells to all what has happened; answers what to wait for before what has happened may be acknowledged. Never rejects. */
  emit(occurrence: Occurrence): Promise<unknown> | undefined {
    if (this.#listeners.any) this.#listeners.tell(occurrence.event);
    const stored: Promise<void>[] = [];
    for (const pipeline of this.#pipelines) {
      const added = pipeline.offer(occurrence);
      if (added !== undefined) stored.push(added);
    }
    return stored.length === 0 ? undefined : Promise.all(stored);
  }

  /**
   * Waits until the queues take another event, where they hold those who cause them.
   *
   * @throws RegistryError `UNAVAILABLE` when that takes longer than ten seconds.
   */
  room(): Promise<void> | undefined {
    const full = this.#pipelines.some((pipeline) => pipeline.isHolding);
    return full ? this.#awaitRoom() : undefined;
  }

  async #awaitRoom(): Promise<void> {
    const patience = new AbortController();
    const reason = new Error('the queues of sinks for notifications are full: notifications.queue.overflow is hold');
    const timer = setTimeout(() => patience.abort(reason), HOLD);
    try {
      await Promise.all(this.#pipelines.map((pipeline) => pipeline.room(patience.signal)));
    } catch (cause) {
      throw new RegistryError('UNAVAILABLE', { problem: 'too many notifications wait for their delivery' }, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the sinks have lately failed with, each at its place; `undefined` for those that are well. */
  failures(): readonly unknown[] {
    return this.#pipelines.map(({ failure }) => failure);
  }

  /** By the sinks' names. */
  metrics(): Readonly<Record<string, SinkMetrics>> {
    return Object.fromEntries(this.#pipelines.map((pipeline) => [pipeline.name, pipeline.metrics()]));
  }

  /** Delivers what is pending, for `patience` milliseconds at most, and ends. What is durable is delivered after the next start. */
  async close(patience: number): Promise<void> {
    const time = new AbortController();
    const timer = setTimeout(() => time.abort(), patience);
    try {
      await Promise.all(this.#pipelines.map((pipeline) => pipeline.drain(time.signal)));
    } finally {
      clearTimeout(timer);
    }
    await Promise.all(this.#pipelines.map((pipeline) => pipeline.close()));
  }
}
