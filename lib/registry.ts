// A registry: options in, a Koa middleware with a life of its own out.
import type { Middleware } from 'koa';
import { pino } from 'pino';
import { Backend, type Counters } from './backend.js';
import type { Health } from './health.js';
import { createMiddleware, type HttpSettings } from './http/index.js';
import { EventListeners, type RegistryEvents } from './notifications/event-listeners.js';
import { type RegistryOptions, type ResolvedOptions, resolveOptions } from './options.js';
import { warnOfSeveralHosts } from './several-hosts.js';

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
   * Answers 503 to what comes from now on, waits up to 10 s for requests that are under way, delivers what
   * notifications are pending for up to `notifications.drainTimeout`, and ends what the plugins hold, in the reverse
   * order of their start.
   */
  close(): Promise<void>;
  /** What this process has counted since its start. */
  counters(): Counters;
  /** What happens in the registry, for functions of the host application. */
  readonly events: RegistryEvents;
  /** Refuse every change; may be switched at any time. */
  readOnly: boolean;
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
  const listeners = new EventListeners(log);
  const backend = new Backend({ options: resolved, listeners, log, isReadOnly: () => settings.readOnly });
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
    events: { value: listeners },
    readOnly: {
      get: () => settings.readOnly,
      set: (value: boolean) => {
        settings.readOnly = value;
      },
    },
  }) as Registry;
}
