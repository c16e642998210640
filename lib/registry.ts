// A registry: options in, a Koa middleware with a life of its own out.
import type { Middleware } from 'koa';
import { pino } from 'pino';
import type { Logger } from './contracts/index.js';
import { RegistryError } from './errors.js';
import { federatedSites } from './federation.js';
import { type Health, healthOf } from './health.js';
import { createMiddleware, type HttpSettings, Running } from './http/index.js';
import { type RegistryOptions, type ResolvedOptions, resolveOptions } from './options.js';
import { Lifecycle } from './plugin/index.js';
import { createServices, type Services, sparedClients } from './services/index.js';
import { requiringNotes, warnOfSeveralHosts } from './several-hosts.js';

/** How long closing waits for requests that are under way, in milliseconds. */
const CLOSE_PATIENCE = 10_000;

/** How long a request waits for plugins that are just being started, in milliseconds. */
const START_PATIENCE = 5_000;

/** The middleware, and what the host application may ask of the registry behind it. */
export interface Registry extends Middleware {
  /**
   * Starts the plugins, unless a request already did, and resolves when all are up, however long a
   * backend is away; {@link Registry.health} tells why it does not.
   *
   * @throws when the registry is closed meanwhile.
   */
  ready(): Promise<void>;
  /** Whether the registry can serve, and what its backends say. Starts the plugins, too. Never throws. */
  health(): Promise<Health>;
  /**
   * Answers 503 to what comes from now on, waits up to 10 s for requests that are under way, and ends
   * what the plugins hold, in the reverse order of their start.
   */
  close(): Promise<void>;
  /** What this process has counted since its start. */
  counters(): Counters;
  /** Refuse every change; may be switched at any time. */
  readOnly: boolean;
}

/** What one process has counted, for the host application's metrics. */
export interface Counters {
  /**
   * Bytes of uploads that had to be read back from the store to know their digest, since the start: after a request
   * that broke off in its middle, and where several PATCHes without `Content-Range` meet different hosts.
   */
  readonly uploadBytesReread: number;
}

function toSettings(options: ResolvedOptions): HttpSettings {
  const { http, metadata, uploads, tags, catalog } = options;
  const { fallback, mirrors } = metadata;
  return {
    urls: { host: http.host, relativeUrls: http.relativeUrls },
    headers: http.headers,
    maxManifestBytes: http.maxManifestBytes,
    bodyTimeout: http.bodyTimeout,
    minChunkBytes: uploads.minChunkBytes,
    maxTags: tags.maxEntries,
    maxRepositories: catalog.maxEntries,
    deleteEnabled: options.delete.enabled,
    metadata: metadata.enabled ? { fallback, mirrors } : undefined,
    readOnly: options.readOnly,
  };
}

type Plugins = Pick<ResolvedOptions, 'storage' | 'cache' | 'coordination' | 'auth' | 'layer' | 'formats'>;

/** The services from the moment on when the plugins are up. */
class Backend {
  readonly lifecycle: Lifecycle<Plugins>;
  readonly #options: ResolvedOptions;
  readonly #log: Logger;
  readonly #isReadOnly: () => boolean;
  readonly running = new Running();
  #services: Services | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: ResolvedOptions, log: Logger, isReadOnly: () => boolean) {
    const { storage, cache, auth, layer, formats, uploads } = options;
    const { coordination: given } = options;
    const coordination = given && (uploads.state === 'coordination' ? requiringNotes(given) : given);
    this.#options = options;
    this.#log = log;
    this.#isReadOnly = isReadOnly;
    const registry = options.prefix === '' ? '/' : options.prefix;
    this.lifecycle = new Lifecycle({ storage, cache, coordination, auth, layer, formats }, { logger: log, registry });
  }

  /** @throws RegistryError `UNAVAILABLE` while a plugin cannot be started, and after the registry was closed. */
  services(): Services | Promise<Services> {
    if (this.#closed !== undefined) throw new RegistryError('UNAVAILABLE', undefined, { cause: new Error('closed') });
    const instances = this.lifecycle.current();
    if (instances === undefined) return this.#started();
    this.#services ??= this.#serve(instances);
    return this.#services;
  }

  /** Resolves when the plugins are up, and with them what goes on between requests. */
  async ready(): Promise<void> {
    await this.lifecycle.ready();
    await this.services();
  }

  health(): Promise<Health> {
    // Whoever sends requests only to what is healthy would otherwise wait for the first one for ever.
    this.lifecycle.start();
    const dispensable = this.#options.offload.onFailure === 'stream' ? ['layer'] : [];
    const layerFailure = this.#services?.offload?.failure;
    return healthOf(this.lifecycle, {
      dispensable: ['cache', 'coordination', ...dispensable],
      failures: { layer: layerFailure },
    });
  }

  counters(): Counters {
    return { uploadBytesReread: this.#services?.uploads.bytesReread ?? 0 };
  }

  /** Takes no more calls, lets those under way end, and then closes the plugins. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([this.running.idle(CLOSE_PATIENCE), this.#services?.uploadPurge?.stop()]);
    await this.lifecycle.close();
  }

  #serve(instances: NonNullable<ReturnType<Lifecycle<Plugins>['current']>>): Services {
    const { validation, failedLogins, uploads, http, federation } = this.#options;
    const { spare, ...offload } = this.#options.offload;
    const services = createServices({
      ...instances,
      requireReferences: validation.manifests.references,
      offload: { ...offload, isSpared: sparedClients(spare) },
      foreignUrls: validation.manifests.urls,
      federation: federatedSites(federation),
      uploadState: {
        secret: http.secret,
        noted: uploads.state === 'coordination' ? { ttl: uploads.purge.age } : undefined,
      },
      failedLogins: failedLogins.enabled ? failedLogins : undefined,
      uploadPurge: uploads.purge.enabled ? { ...uploads.purge, isReadOnly: this.#isReadOnly } : undefined,
      log: this.#log,
    });
    services.uploadPurge?.start();
    void services.offload?.check();
    return services;
  }

  async #started(): Promise<Services> {
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

/** Nothing else may be left that keeps the process alive; whoever waits for this does not want it to end. */
async function whileAwake(work: Promise<unknown>): Promise<void> {
  const awake = setInterval(() => undefined, 60_000);
  try {
    await work;
  } finally {
    clearInterval(awake);
  }
}

/**
 * A container registry as a Koa middleware (Docker Registry HTTP API V2, OCI Distribution 1.1).
 *
 * ```ts
 * app.use(registry({ storage: filesystem({ rootDirectory: './data' }) }));
 * ```
 *
 * Does no I/O before the first request or {@link Registry.ready}.
 *
 * @throws OptionsError with everything that is wrong with the options and those of all plugins.
 */
export function registry(options: RegistryOptions): Registry {
  const resolved = resolveOptions(options);
  const log = resolved.logger ?? pino({ name: 'koa-registry' });
  const settings = toSettings(resolved);
  const backend = new Backend(resolved, log, () => settings.readOnly);
  if (resolved.auth === undefined) {
    log.warn({ prefix: resolved.prefix }, 'no auth handler: everybody may pull, push and, where it is enabled, delete');
  }
  warnOfSeveralHosts(resolved, log);
  const middleware = createMiddleware(
    { log, settings, running: backend.running, services: () => backend.services() },
    resolved.prefix,
  );
  return Object.defineProperties(middleware, {
    ready: { value: () => whileAwake(backend.ready()) },
    health: {
      value: () => backend.health(),
    },
    close: { value: () => backend.close() },
    counters: { value: () => backend.counters() },
    readOnly: {
      get: () => settings.readOnly,
      set: (value: boolean) => {
        settings.readOnly = value;
      },
    },
  }) as Registry;
}
