// Starts one plugin: checks its options, makes what it stands for, sees that it keeps the form of its
// contract, and puts the guard around a storage driver.
import type { Contracts, Logger, PluginKind } from '../contracts/index.js';
import { OptionsError } from '../errors.js';
import { checkOptions } from './check-options.js';
import { assertContract } from './contract-members.js';
import { isPlugin, type Plugin, type PluginHost, pluginLabel } from './define-plugin.js';
import { reportFailure } from './failure-report.js';
import { guardStorage } from './guard-storage.js';
import { MissingPeerError } from './optional-peer.js';

/** What a plugin is started with; everything has a default that suits a test. */
export interface StartOptions {
  /** Default: a logger that says nothing. */
  readonly logger?: Logger | undefined;
  /** Aborts the plugin's own signal. What is created after it was aborted is closed at once. */
  readonly signal?: AbortSignal | undefined;
  /** The present time in milliseconds since 1970. Default: `Date.now`. */
  readonly clock?: (() => number) | undefined;
  /** Default: `registry`. */
  readonly registry?: string | undefined;
}

/** A plugin at work. */
export interface Started<K extends PluginKind> {
  readonly instance: Contracts[K];
  /** Aborts the plugin's signal and closes it; a second call changes nothing. */
  close(): Promise<void>;
}

const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

/** What stands between the registry and an instance, by kind. */
const GUARDS: { readonly [K in PluginKind]?: (instance: Contracts[K], name: string) => Contracts[K] } = {
  storage: guardStorage,
};

/**
 * Starts a plugin outside a registry, exactly as a registry does: for tests and tools.
 *
 * @throws TypeError when it is none, such as a factory that was not called.
 * @throws OptionsError when the plugin's options are wrong, with paths such as `storage.gcs.bucket`.
 * @throws MissingPeerError when a package that it needs is not installed.
 * @throws TypeError when what it creates lacks a member of its contract.
 * @throws whatever the plugin's `create` throws, untouched.
 */
export async function startPlugin<K extends PluginKind>(
  plugin: Plugin<K>,
  options: StartOptions = {},
): Promise<Started<K>> {
  if (!isPlugin(plugin)) throw new TypeError('not a plugin: its factory has to be called, with options or without');
  const { definition, kind, name } = plugin;
  const checked = checkOptions(definition.options, plugin.options, `${kind}.${name}`);
  if (checked.problems !== undefined) throw new OptionsError(checked.problems);
  const closing = new AbortController();
  const signal = options.signal === undefined ? closing.signal : AbortSignal.any([closing.signal, options.signal]);
  signal.throwIfAborted();
  const within = new StartedWithin({ ...options, signal });
  const created = await create(plugin, checked.value, hostOf(plugin, signal, options, within)).catch(
    async (error: unknown) => {
      closing.abort(new Error(`${pluginLabel(plugin)} cannot start`));
      await within.close().catch(() => undefined);
      throw error;
    },
  );
  const instance = GUARDS[kind]?.(created, name) ?? created;
  let closed: Promise<void> | undefined;
  const close = () => {
    closing.abort(new Error(`${pluginLabel(plugin)} is closed`));
    closed ??= closeInstance(instance).finally(() => within.close());
    return closed;
  };
  if (signal.aborted) {
    await close();
    throw signal.reason;
  }
  return { instance, close };
}

/** The plugins that a plugin has started, from the first to the last. */
class StartedWithin {
  readonly #options: StartOptions & { readonly signal: AbortSignal };
  readonly #started: { readonly plugin: Plugin; readonly close: Started<PluginKind>['close'] }[] = [];

  constructor(options: StartOptions & { readonly signal: AbortSignal }) {
    this.#options = options;
  }

  async start<K extends PluginKind>(plugin: Plugin<K>): Promise<Contracts[K]> {
    const { signal } = this.#options;
    try {
      const { instance, close } = await startPlugin(plugin, this.#options);
      if (signal.aborted) await close();
      signal.throwIfAborted();
      this.#started.push({ plugin, close });
      return instance;
    } catch (error) {
      throw isPlugin(plugin) ? failureWithin(plugin, error) : error;
    }
  }

  /** In reverse order; one that fails to close does not keep the others open. */
  async close(): Promise<void> {
    const failures: Error[] = [];
    for (const { plugin, close } of this.#started.reverse()) {
      await close().catch((error: unknown) => failures.push(failureWithin(plugin, error)));
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** Says whose failure it is, and none of its secrets: nobody else will know which of its options are. */
function failureWithin(plugin: Plugin, error: unknown): Error {
  const label = pluginLabel(plugin);
  const { message } = reportFailure(plugin, error);
  return new Error(message.startsWith(label) ? message : `${label}: ${message}`);
}

function hostOf(plugin: Plugin, signal: AbortSignal, options: StartOptions, within: StartedWithin): PluginHost {
  const { logger = SILENT, clock = Date.now, registry = 'registry' } = options;
  const start: PluginHost['start'] = (inner) => within.start(inner);
  return Object.freeze({ logger: logger.child({ plugin: pluginLabel(plugin) }), signal, clock, registry, start });
}

async function create<K extends PluginKind>(plugin: Plugin<K>, options: unknown, host: PluginHost) {
  const label = pluginLabel(plugin);
  try {
    const instance = await plugin.definition.create(options, host);
    assertContract(plugin.kind, label, instance);
    return instance;
  } catch (error) {
    if (error instanceof MissingPeerError) throw error.neededBy(label);
    throw error;
  }
}

/** Not every contract has something to close. */
async function closeInstance(instance: object): Promise<void> {
  if ('close' in instance && typeof instance.close === 'function') await instance.close();
}
