// The plugins of one registry from start to close: started in order when first needed, again and
// again while a backend is away, and closed in reverse.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contracts, Logger, PluginKind } from '../contracts/index.js';
import { OptionsError, type OptionsProblem } from '../errors.js';
import { checkOptions } from './check-options.js';
import { type Plugin, pluginLabel } from './define-plugin.js';
import { type FailureReport, reportFailure } from './failure-report.js';
import { type Started, type StartOptions, startPlugin } from './start-plugin.js';
import { settleWithin, untilAborted } from './waiting.js';

/** Plugins by the name of the option that holds them; started in the order of the keys. */
export type PluginSet = Readonly<Record<string, Plugin | readonly Plugin[] | undefined>>;

type InstanceOf<P> =
  P extends Plugin<infer K> ? Contracts[K] : P extends readonly Plugin<infer K>[] ? readonly Contracts[K][] : undefined;

/** What the plugins of a set stand for, under the same names. */
export type Instances<P extends PluginSet> = { readonly [Name in keyof P]: InstanceOf<P[Name]> };

export interface Backoff {
  /** The longest pause after the first failure, in milliseconds; it doubles with each. Default: 1 s. */
  readonly first?: number;
  /** The longest pause of all, in milliseconds. Default: 30 s. */
  readonly longest?: number;
}

export interface LifecycleOptions extends Omit<StartOptions, 'signal' | 'logger'> {
  readonly logger: Logger;
  readonly backoff?: Backoff;
  /** How long each plugin may take to close, in milliseconds. Default: 10 s. */
  readonly closeTimeout?: number;
}

/** Why the plugins are not all up. */
export interface LifecycleFailure extends FailureReport {
  /** `storage/gcs`. */
  readonly plugin: string;
  /** How often it has failed in a row. */
  readonly attempts: number;
  /** When it is tried again, in milliseconds since 1970. */
  readonly retryAt: number;
}

/**
 * The plugins of one registry. Nothing happens before {@link start} or {@link ready}, and nothing
 * that it waits for keeps the process alive.
 */
export class Lifecycle<P extends PluginSet> {
  /** What it starts. */
  readonly plugins: P;
  readonly #options: LifecycleOptions;
  readonly #closing = new AbortController();
  /** In the order in which they were started. */
  readonly #started: { readonly plugin: Plugin; readonly close: Started<PluginKind>['close'] }[] = [];
  #starting: Promise<Instances<P>> | undefined;
  #closed: Promise<readonly Error[]> | undefined;
  #current: Instances<P> | undefined;
  #failure: LifecycleFailure | undefined;

  /** @throws OptionsError with all that is wrong with the plugins' options. */
  constructor(plugins: P, options: LifecycleOptions) {
    const problems = checkPlugins(plugins);
    if (problems.length > 0) throw new OptionsError(problems);
    this.plugins = plugins;
    this.#options = options;
  }

  /** What the plugins stand for, once all of them are up and until they are closed. */
  current(): Instances<P> | undefined {
    return this.#current;
  }

  /** The latest failure, while there is one: what a 503 and its `Retry-After` are made of. */
  failure(): LifecycleFailure | undefined {
    return this.#failure;
  }

  /** Begins to start the plugins, unless that was done before. */
  start(): void {
    void this.#start();
  }

  /**
   * Starts the plugins where that was not done before, and resolves when all are up, however long it
   * takes.
   *
   * @param options.signal ends the waiting, not the starting.
   * @throws the signal's reason; an error when the registry is closed.
   */
  async ready(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Instances<P>> {
    this.#closing.signal.throwIfAborted();
    options.signal?.throwIfAborted();
    return untilAborted(this.#start(), options.signal);
  }

  /**
   * Gives up what is being started and closes what was, in reverse order. Resolves, also when called
   * again, with the errors that were met, which are logged too.
   */
  close(): Promise<readonly Error[]> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #start(): Promise<Instances<P>> {
    if (this.#starting === undefined) {
      this.#starting = this.#startAll();
      // Whoever waits in ready() hears of it; nobody has to.
      this.#starting.catch(() => undefined);
    }
    return this.#starting;
  }

  async #startAll(): Promise<Instances<P>> {
    const instances: Record<string, unknown> = {};
    for (const [name, held] of Object.entries(this.plugins)) {
      if (held === undefined) continue;
      const started: unknown[] = [];
      for (const plugin of pluginsIn(held)) started.push(await this.#startOne(plugin));
      instances[name] = isSeveral(held) ? started : started[0];
    }
    this.#current = Object.freeze(instances) as Instances<P>;
    return this.#current;
  }

  /** Tries until it succeeds or the registry is closed. */
  async #startOne(plugin: Plugin): Promise<Contracts[PluginKind]> {
    const { signal } = this.#closing;
    const reported = new Set<string>();
    for (let attempts = 1; ; attempts++) {
      try {
        const { instance, close } = await startPlugin(plugin, { ...this.#options, signal });
        this.#started.push({ plugin, close });
        if (attempts > 1) this.#options.logger.info({ plugin: pluginLabel(plugin), attempts }, 'plugin started');
        this.#failure = undefined;
        return instance;
      } catch (error) {
        signal.throwIfAborted();
        const pause = this.#noteFailure(plugin, error, attempts, reported);
        await sleep(pause, undefined, { signal, ref: false }).catch(() => signal.throwIfAborted());
      }
    }
  }

  /** Remembers a failure, logs it if it is news, and answers how long to wait. */
  #noteFailure(plugin: Plugin, error: unknown, attempts: number, reported: Set<string>): number {
    const { logger, clock = Date.now, backoff } = this.#options;
    const pause = pauseAfter(attempts, backoff);
    const report = reportFailure(plugin, error);
    const label = pluginLabel(plugin);
    this.#failure = { ...report, plugin: label, attempts, retryAt: clock() + pause };
    const log = reported.has(report.message) ? 'debug' : 'error';
    reported.add(report.message);
    logger[log]({ plugin: label, err: report, attempts, retryIn: pause }, 'plugin cannot start, trying again');
    return pause;
  }

  async #close(): Promise<readonly Error[]> {
    const { closeTimeout = 10_000 } = this.#options;
    this.#closing.abort(new Error('the registry is closed'));
    this.#current = undefined;
    this.#failure = undefined;
    // A plugin that is still being made comes first: it is the last one. Should it never be made, the rest is closed all the same.
    await settleWithin(closeTimeout, 'starting', async () => this.#starting).catch(() => undefined);
    const errors: Error[] = [];
    for (const { plugin, close } of this.#started.reverse()) {
      await settleWithin(closeTimeout, 'closing', close).catch((error: unknown) => {
        const report = reportFailure(plugin, error);
        const label = pluginLabel(plugin);
        errors.push(new Error(`${label}: ${report.message}`, { cause: error }));
        this.#options.logger.error({ plugin: label, err: report }, 'plugin failed to close');
      });
    }
    return errors;
  }
}

function isSeveral(held: Plugin | readonly Plugin[]): held is readonly Plugin[] {
  return Array.isArray(held);
}

function pluginsIn(held: Plugin | readonly Plugin[] | undefined): readonly Plugin[] {
  if (held === undefined) return [];
  return isSeveral(held) ? held : [held];
}

/** Everything that is wrong with the options of a set's plugins: `storage.gcs.bucket`, `formats[0].schema1.keys`. */
export function checkPlugins(plugins: PluginSet): readonly OptionsProblem[] {
  return Object.entries(plugins).flatMap(([name, held]) =>
    pluginsIn(held).flatMap((plugin, index) => {
      const path = held !== undefined && isSeveral(held) ? `${name}[${index}]` : name;
      return checkOptions(plugin.definition.options, plugin.options, `${path}.${plugin.name}`).problems ?? [];
    }),
  );
}

/** Grows exponentially; half of it is chance, so that many hosts do not come back to a backend at the same moment. */
function pauseAfter(attempts: number, { first = 1_000, longest = 30_000 }: Backoff = {}): number {
  const pause = Math.min(longest, first * 2 ** (attempts - 1));
  return Math.ceil(pause * (0.5 + Math.random() / 2));
}
