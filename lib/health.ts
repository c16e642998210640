// Whether a registry can serve: are its plugins up, and what do their backends say?
import type { StorageDriver } from './contracts/index.js';
import { isPlugin, type Lifecycle, type PluginSet, reportFailure } from './plugin/index.js';
import { layerStore } from './services/index.js';

export interface Health {
  /** Whether all is well. */
  readonly ok: boolean;
  /** Whether requests are served, though what the registry can do without may be away: a cache, a coordination, a layer handler. */
  readonly ready: boolean;
  /** `ok` or what is wrong, by the option that holds the plugin; those that can be asked. */
  readonly checks: Readonly<Record<string, string>>;
}

/** In milliseconds: a backend that takes longer to say that it is well is not. */
const PATIENCE = 5_000;

export interface HealthOptions {
  /** Without these a registry goes on from its store. */
  readonly dispensable: readonly string[];
  /** What a plugin has lately failed with, by the option that holds it; it may say of itself that it is well. */
  readonly failures: Readonly<Record<string, unknown>>;
}

export async function healthOf(
  lifecycle: Lifecycle<PluginSet>,
  { dispensable, failures }: HealthOptions,
): Promise<Health> {
  const instances = lifecycle.current();
  if (instances === undefined) {
    const failure = lifecycle.failure();
    return {
      ok: false,
      ready: false,
      checks: failure ? { [failure.plugin]: failure.message } : { plugins: 'not started' },
    };
  }
  /** What the plugin says is wrong counts for more than what it has failed with. */
  const answerOf = async (name: string, instance: unknown): Promise<string | undefined> => {
    const plugin = lifecycle.plugins[name];
    const answer = await check(instance, plugin, argumentsOf(name, instances));
    const isWell = answer === undefined || answer === 'ok';
    return isWell && failures[name] !== undefined ? told(plugin, failures[name]) : answer;
  };
  const checks = await Promise.all(
    Object.entries(instances).map(async ([name, instance]) => [name, await answerOf(name, instance)] as const),
  );
  const asked = checks.filter((entry): entry is readonly [string, string] => entry[1] !== undefined);
  const away = asked.filter(([, answer]) => answer !== 'ok');
  const ready = away.every(([name]) => dispensable.includes(name));
  return { ok: away.length === 0, ready, checks: Object.fromEntries(asked) };
}

/** What a plugin is told besides the signal: a layer handler has to know what the driver can do. */
function argumentsOf(name: string, { storage }: Readonly<Record<string, unknown>>): object {
  return name === 'layer' ? layerStore(storage as StorageDriver) : {};
}

/** `undefined` where there is nothing to ask. */
async function check(instance: unknown, plugin: PluginSet[string], given: object): Promise<string | undefined> {
  const { check: ask } = instance as { check?(options: object): Promise<void> };
  if (typeof ask !== 'function') return undefined;
  const signal = AbortSignal.timeout(PATIENCE);
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  try {
    await Promise.race([ask.call(instance, { ...given, signal }), late]);
    return 'ok';
  } catch (error) {
    return told(plugin, error);
  }
}

/** Without the plugin's secrets. */
function told(plugin: PluginSet[string], error: unknown): string {
  return isPlugin(plugin) ? reportFailure(plugin, error).message : String(error);
}
