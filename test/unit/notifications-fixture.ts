// Events, and sinks that do as a test says, for tests of what is between the two.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Delivery, EventTarget, NotificationSink, RegistryEvent } from 'koa-registry';
import { DeadLetters } from '../../lib/notifications/dead-letters.js';
import { EventListeners } from '../../lib/notifications/event-listeners.js';
import { Events, type EventsParts } from '../../lib/notifications/events.js';
import type { Occurrence } from '../../lib/notifications/occurrence.js';
import { repositoryMatcher } from '../../lib/plugin/index.js';
import type { LogLine } from '../support/registry.js';

/** An event that is there already, as something that has happened. */
export function occurrenceOf(event: RegistryEvent): Occurrence {
  const { action, target } = event;
  const { repository, mediaType, references = [] } = target;
  return { action, repository, mediaType, references: references.length, event };
}

export function eventOf(action: RegistryEvent['action'] = 'push', target: Partial<EventTarget> = {}): RegistryEvent {
  return {
    id: randomUUID(),
    timestamp: new Date().toISOString(),
    action,
    target: { mediaType: 'application/octet-stream', repository: 'a', ...target },
    request: { id: 'r', addr: '127.0.0.1:1', host: 'registry.example', method: 'PUT', useragent: 'test' },
    actor: {},
    source: { addr: 'host:5000', instanceID: 'i' },
  };
}

/** A sink whose writes wait for the test, or fail when it says so. */
export class ObservedSink implements NotificationSink {
  readonly delivery: Partial<Delivery>;
  /** Every write that was tried. */
  readonly writes: RegistryEvent[][] = [];
  readonly signals: AbortSignal[] = [];
  /** What each write does. */
  act: (events: readonly RegistryEvent[], signal: AbortSignal) => Promise<void> = async () => undefined;

  constructor(delivery: Partial<Delivery> = {}) {
    this.delivery = { name: 'sink', backoff: 5, maxBackoff: 20, ...delivery };
  }

  /** The ids of all that were written successfully or not, in order. */
  get ids(): string[] {
    return this.writes.flat().map(({ id }) => id);
  }

  write(events: readonly RegistryEvent[], { signal }: { readonly signal: AbortSignal }): Promise<void> {
    this.writes.push([...events]);
    this.signals.push(signal);
    return this.act(events, signal);
  }
}

export interface World {
  readonly events: Events;
  readonly listeners: EventListeners;
  readonly lines: LogLine[];
  /** Messages of the log from a level on. */
  said(level: LogLine['level']): string[];
}

/** Events on their way to sinks; bounds and the rest as for one that has room. */
/** What a test says instead of the fixture. */
export interface WorldOptions extends Partial<Omit<EventsParts, 'deadLetters'>> {
  readonly deadLetters?: NotificationSink;
}

export function worldOf(sinks: readonly NotificationSink[], { deadLetters, ...parts }: WorldOptions = {}): World {
  const lines: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) =>
    void lines.push({ level, fields, message });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  const listeners = new EventListeners(log);
  const events = new Events({
    listeners,
    sinks,
    names: sinks.map(({ delivery }) => delivery?.name ?? 'sink'),
    report: (error) => error,
    bounds: { maxEvents: 1000, maxBytes: 2 ** 30, overflow: 'drop-oldest' },
    includeHead: false,
    matcher: repositoryMatcher,
    inTurn: async (_name, work) => {
      await work(new AbortController().signal);
      return true;
    },
    deadLetters: new DeadLetters({ sink: deadLetters, report: (error) => error, log }),
    log,
    clock: Date.now,
    ...parts,
  });
  events.start();
  return {
    events,
    listeners,
    lines,
    said: (level) => lines.filter((line) => line.level === level).map(({ message }) => message),
  };
}

/** Waits for what has to come true, for a minute at most. */
export async function until(what: () => boolean, message: string): Promise<void> {
  for (let turn = 0; turn < 12_000; turn++) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(message);
}
