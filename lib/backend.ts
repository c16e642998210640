// The registry behind its middleware: plugins that are started, what works with them, and the end of both.
import type { Logger } from './contracts/index.js';
import { RegistryError } from './errors.js';
import { federatedSites } from './federation.js';
import { type Health, healthOf } from './health.js';
import { Running, type Serving } from './http/index.js';
import { DeadLetters } from './notifications/dead-letters.js';
import type { EventListeners } from './notifications/event-listeners.js';
import { Events } from './notifications/events.js';
import type { SinkMetrics } from './notifications/sink-pipeline.js';
import { sinkName } from './options/notifications.js';
import type { ResolvedOptions } from './options.js';
import { failureWithoutSecrets, Lifecycle, type Plugin, repositoryMatcher } from './plugin/index.js';
import { createServices, type Services, sparedClients } from './services/index.js';
import { requiringNotes } from './several-hosts.js';

/** How long closing waits for requests that are under way, in milliseconds. */
const CLOSE_PATIENCE = 10_000;

/** How long a host waits for its turn at delivering events, in milliseconds. */
const TURN_PATIENCE = 1_000;

/** How long a request waits for plugins that are just being started, in milliseconds. */
const START_PATIENCE = 5_000;

/** What one process has counted, for the host application's metrics. */
export interface Counters {
  /**
   * Bytes of uploads that had to be read back from the store to know their digest, since the start: after a request
   * that broke off in its middle, and where several PATCHes without `Content-Range` meet different hosts.
   */
  readonly uploadBytesReread: number;
  /** Of each sink for notifications, by its name. */
  readonly notifications: Readonly<Record<string, SinkMetrics>>;
}

/** The plugins of a registry by the names that its health gives them, in the order of their start. */
function pluginsOf(options: ResolvedOptions) {
  const { storage, cache, coordination, auth, layer, formats, uploads } = options;
  const { sinks, deadLetters, queue } = options.notifications;
  return {
    storage,
    cache,
    coordination: coordination && (uploads.state === 'coordination' ? requiringNotes(coordination) : coordination),
    auth,
    layer,
    formats,
    queue: queue.store,
    deadLetters,
    notifications: sinks,
  };
}

type Plugins = ReturnType<typeof pluginsOf>;

type Instances = NonNullable<ReturnType<Lifecycle<Plugins>['current']>>;

export interface BackendParts {
  readonly options: ResolvedOptions;
  readonly listeners: EventListeners;
  readonly log: Logger;
  isReadOnly(): boolean;
}

/** The services from the moment on when the plugins are up. */
export class Backend {
  readonly lifecycle: Lifecycle<Plugins>;
  readonly running = new Running();
  readonly #parts: BackendParts;
  #serving: Serving | undefined;
  #closed: Promise<void> | undefined;

  constructor(parts: BackendParts) {
    const { options, log } = parts;
    this.#parts = parts;
    const registry = options.prefix === '' ? '/' : options.prefix;
    this.lifecycle = new Lifecycle(pluginsOf(options), { logger: log, registry });
  }

  /** @throws RegistryError `UNAVAILABLE` while a plugin cannot be started, and after the registry was closed. */
  services(): Serving | Promise<Serving> {
    if (this.#closed !== undefined) throw new RegistryError('UNAVAILABLE', undefined, { cause: new Error('closed') });
    const instances = this.lifecycle.current();
    if (instances === undefined) return this.#started();
    this.#serving ??= this.#serve(instances);
    return this.#serving;
  }

  /** Resolves when the plugins are up, and with them what goes on between requests. */
  async ready(): Promise<void> {
    await this.lifecycle.ready();
    await this.services();
  }

  health(): Promise<Health> {
    // Whoever sends requests only to what is healthy would otherwise wait for the first one for ever.
    if (this.#serving === undefined) void this.ready().catch(() => undefined);
    const layer = this.#parts.options.offload.onFailure === 'stream' ? ['layer'] : [];
    const dispensable = ['cache', 'coordination', 'queue', 'deadLetters', 'notifications', ...layer];
    const { offload, events } = this.#serving ?? {};
    const sinks = events?.failures().map((failure, index) => [`notifications[${index}]`, failure]) ?? [];
    return healthOf(this.lifecycle, {
      dispensable,
      failures: { layer: offload?.failure, ...Object.fromEntries(sinks) },
    });
  }

  counters(): Counters {
    const { uploads, events } = this.#serving ?? {};
    return { uploadBytesReread: uploads?.bytesReread ?? 0, notifications: events?.metrics() ?? {} };
  }

  /** Takes no more calls, lets those under way end, and then closes the plugins. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { uploadPurge, events } = this.#serving ?? {};
    await Promise.all([this.running.idle(CLOSE_PATIENCE), uploadPurge?.stop()]);
    try {
      await events?.close(this.#parts.options.notifications.drainTimeout);
    } finally {
      await this.lifecycle.close();
    }
  }

  #serve(instances: Instances): Serving {
    const services = createServices({ ...instances, ...this.#settings(), log: this.#parts.log });
    const events = this.#eventsOf(instances, services);
    services.uploadPurge?.start();
    void services.offload?.check();
    events.start();
    return { ...services, events };
  }

  #settings() {
    const { options, isReadOnly } = this.#parts;
    const { validation, failedLogins, uploads, http, federation } = options;
    const { spare, ...offload } = options.offload;
    return {
      requireReferences: validation.manifests.references,
      offload: { ...offload, isSpared: sparedClients(spare) },
      foreignUrls: validation.manifests.urls,
      federation: federatedSites(federation),
      uploadState: {
        secret: http.secret,
        noted: uploads.state === 'coordination' ? { ttl: uploads.purge.age } : undefined,
      },
      failedLogins: failedLogins.enabled ? failedLogins : undefined,
      uploadPurge: uploads.purge.enabled ? { ...uploads.purge, isReadOnly } : undefined,
    };
  }

  #eventsOf({ notifications, queue, deadLetters }: Instances, { leases }: Services): Events {
    const { options, listeners, log } = this.#parts;
    const { sinks, includeHead, queue: bounds } = options.notifications;
    return new Events({
      listeners,
      sinks: notifications,
      names: sinks.map(sinkName),
      report: (error, index) => reportOf(sinks[index], error),
      store: queue,
      bounds,
      deadLetters: new DeadLetters({
        sink: deadLetters,
        report: (error) => reportOf(options.notifications.deadLetters, error),
        log,
      }),
      includeHead,
      matcher: repositoryMatcher,
      inTurn: async (name, work) =>
        (await leases.take(name, ({ signal }) => work(signal), { wait: TURN_PATIENCE })) !== undefined,
      log,
      clock: Date.now,
    });
  }

  async #started(): Promise<Serving> {
    const failure = this.lifecycle.failure();
    if (failure === undefined) {
      try {
        await this.lifecycle.ready({ signal: AbortSignal.timeout(START_PATIENCE) });
        return this.services();
      } catch {
        throw new RegistryError('UNAVAILABLE', undefined, { cause: new Error('the plugins are not all up yet') });
      }
    }
    const seconds = Math.max(1, Math.ceil((failure.retryAt - Date.now()) / 1000));
    const cause = new Error(`${failure.plugin}: ${failure.message}`);
    throw new RegistryError('UNAVAILABLE', undefined, { cause, headers: { 'Retry-After': String(seconds) } });
  }
}

function reportOf(plugin: Plugin | undefined, error: unknown): unknown {
  return plugin === undefined ? error : failureWithoutSecrets(plugin, error);
}
