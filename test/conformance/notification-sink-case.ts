// What the tests of the suite for sinks have in common: their form, sinks at work, and patience.
import { strict as assert } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  checkOptions,
  type Delivery,
  definePlugin,
  deliveryOptions,
  type NotificationSink,
  type Plugin,
  type RegistryEvent,
  startPlugin,
} from 'koa-registry';
import { type LogLine, recorder } from './layer-log.js';
import { each } from './notification-sink-events.js';
import { type RegistryTraits, SinkRegistry } from './notification-sink-registry.js';
import type { FarEndFailure, SinkPlaces, SinkSetup } from './notification-sink-setup.js';

/** One promise, and the test that fails where it is broken. */
export type SinkCase = readonly [promise: string, body: (stage: SinkStage) => Promise<void>];

export type OpenSetup = (places: SinkPlaces) => SinkSetup | Promise<SinkSetup>;

/** How long anything may take that has to come to an end, in milliseconds. */
const PATIENCE = 10_000;

/** How long a sink may take until it is at work, or is so again, in milliseconds. */
const WARM_UP = 20_000;

/** A setup, and what was logged of it. */
export interface OpenSink {
  readonly setup: SinkSetup;
  readonly log: LogLine[];
}

/** Everything that a test starts; all of it ends with the test. */
export class SinkStage {
  readonly #open: OpenSetup;
  readonly #endings: (() => Promise<void>)[] = [];

  constructor(open: OpenSetup) {
    this.#open = open;
  }

  /** A setup whose sink nobody has started. */
  async open(): Promise<OpenSink> {
    const log: LogLine[] = [];
    const setup = await this.#open({ log });
    this.#endings.push(async () => setup.close?.());
    return { setup, log };
  }

  /** A sink at work, without a registry. */
  async start(opened?: OpenSink, more: Partial<Delivery> = {}): Promise<SinkHost> {
    const { setup, log } = opened ?? (await this.open());
    const plugin = delivering(setup.sink, more) ?? setup.sink;
    const { instance, close } = await startPlugin(plugin, { logger: recorder(log) });
    this.#endings.push(close);
    return new SinkHost(setup, log, instance, close);
  }

  /** A registry with the sink, in a Koa application. */
  async serve({ setup, log }: OpenSink, traits: RegistryTraits = {}): Promise<SinkRegistry> {
    const at = await SinkRegistry.open(setup.sink, log, traits);
    this.#endings.push(() => at.close());
    return at;
  }

  /** Makes a far end fail, until it is brought back or the test is over; `undefined` where it cannot. */
  async fail(setup: SinkSetup, how: FarEndFailure): Promise<(() => Promise<void>) | undefined> {
    const repair = await setup.fail?.(how);
    if (repair === undefined) return undefined;
    let repaired: Promise<void> | undefined;
    const once = () => {
      repaired ??= repair();
      return repaired;
    };
    this.#endings.push(once);
    return once;
  }

  async close(): Promise<void> {
    for (const end of this.#endings.reverse()) await end();
  }
}

/** A sink at work. */
export class SinkHost {
  readonly setup: SinkSetup;
  readonly log: readonly LogLine[];
  readonly sink: NotificationSink;
  /** Ends the plugin, and with it the sink; a second call changes nothing. */
  readonly close: () => Promise<void>;
  #failures = 0;

  constructor(setup: SinkSetup, log: readonly LogLine[], sink: NotificationSink, close: () => Promise<void>) {
    this.setup = setup;
    this.log = log;
    this.sink = sink;
    this.close = close;
  }

  /** The most events of one write. */
  get batch(): number {
    return this.sink.delivery?.batch ?? 1;
  }

  /** One write, which has as much time as the queue before the sink would give it. */
  async write(events: readonly RegistryEvent[], signal?: AbortSignal): Promise<void> {
    const timeout = this.sink.delivery?.timeout ?? 1_000;
    try {
      const written = this.sink.write(events, { signal: signal ?? AbortSignal.timeout(timeout) });
      await inTime(written, 'a write that neither resolves nor rejects', timeout + PATIENCE);
    } catch (error) {
      this.#failures += 1;
      throw error;
    }
  }

  /** Writes until that succeeds, as the queue does. */
  async deliver(events: readonly RegistryEvent[]): Promise<void> {
    for (let start = 0; start < events.length; start += this.batch) {
      const batch = events.slice(start, start + this.batch);
      await untilResolved(() => this.write(batch), 'events that could not be delivered');
    }
  }

  /** What has arrived; only a write that failed may have had something passed on that comes again. */
  async received(): Promise<readonly RegistryEvent[]> {
    const received = await this.setup.received();
    return this.#failures === 0 ? received : each(received);
  }
}

/** The same plugin with some of the options of `deliveryOptions`; `undefined` where it does not have all of those. */
export function delivering(
  { definition, options }: Plugin<'notification'>,
  more: Partial<Delivery>,
): Plugin<'notification'> | undefined {
  const { value } = checkOptions(definition.options, options);
  const { name, maxAttempts, ...given } = deliveryOptions();
  if (!isObject(value) || !Object.keys(given).every((key) => key in value)) return undefined;
  const plugin = definePlugin(definition)({ ...(options as object), ...more });
  // A sink may bound them more closely.
  return checkOptions(definition.options, plugin.options).problems === undefined ? plugin : undefined;
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** What comes of a promise, as long as something comes of it. */
export async function inTime<T>(promise: Promise<T>, failure: string, patience = PATIENCE): Promise<T> {
  const over = new AbortController();
  const late = sleep(patience, undefined, { signal: over.signal }).then(() => assert.fail(failure));
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
    late.catch(() => undefined);
  }
}

/** Asserts that a promise is rejected, and not by an assertion. */
export async function rejected(promise: Promise<unknown>, failure: string): Promise<void> {
  const [outcome] = await Promise.allSettled([promise] as const);
  if (outcome.status === 'fulfilled') assert.fail(failure);
  if (outcome.reason instanceof assert.AssertionError) throw outcome.reason;
}

/** Tries until it succeeds: what was away may need a moment to be back. */
export async function untilResolved(attempt: () => Promise<unknown>, failure: string): Promise<void> {
  let reason: unknown;
  for (const end = performance.now() + WARM_UP; performance.now() < end; await sleep(20)) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      reason = error;
    }
  }
  assert.fail(`${failure}: ${String(reason)}`);
}

/** Waits until something is so. */
export async function until(isSo: () => boolean | Promise<boolean>, failure: string): Promise<void> {
  for (const end = performance.now() + WARM_UP; performance.now() < end; await sleep(20)) if (await isSo()) return;
  assert.fail(failure);
}
