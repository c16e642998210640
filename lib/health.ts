// Whether a registry can serve: are its plugins up, and what do their backends say?
import type { StorageDriver } from './contracts/index.js';
import { isPlugin, type Lifecycle, type PluginSet, reportFailure } from './plugin/index.js';
import { layerStore } from './services/index.js';

export interface Health {
  /** Whether all is well. */
  readonly ok: boolean;
  /**
   * Whether requests are served, though what the registry can do without may be away: a cache, a coordination, a layer handler, a
   * sink for notifications.
   */
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
  const answers = await Promise.all(
    eachOf(instances, lifecycle.plugins).map(async ({ option, name, instance, plugin }) => {
      const said = await check(instance, plugin, argumentsOf(option, instances));
      // What the plugin says is wrong counts for more than what it has failed with.
      const isWell = said === undefined || said === 'ok';
      const answer = isWell && failures[name] !== undefined ? told(plugin, failures[name]) : said;
      return answer === undefined ? [] : [{ option, name, answer }];
    }),
  );
  const asked = answers.flat();
  const away = asked.filter(({ answer }) => answer !== 'ok');
  const ready = away.every(({ option }) => dispensable.includes(option));
  return { ok: away.length === 0, ready, checks: Object.fromEntries(asked.map(({ name, answer }) => [name, answer])) };
}

/** Every plugin; where an option holds several, `notifications[0]` and so on. */
function eachOf(instances: Readonly<Record<string, unknown>>, plugins: PluginSet) {
  return Object.entries(instances).flatMap(([option, held]) => {
    if (!Array.isArray(held)) return [{ option, name: option, instance: held, plugin: plugins[option] }];
    const given = plugins[option];
    const several = Array.isArray(given) ? given : [];
    return held.map((instance: unknown, index) => {
      return { option, name: `${option}[${index}]`, instance, plugin: several[index] };
    });
  });
}

/** What a plugin is told besides the signal: a layer handler has to know what the driver can do. */
function argumentsOf(name: string, { storage }: Readonly<Record<string, unknown>>): object {
  return name === 'layer' ? layerStore(storage as StorageDriver) : {};
}

/** `undefined` where there is nothing to ask. */
async function check(instance: unknown, plugin: unknown, given: object): Promise<string | undefined> {
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
function told(plugin: unknown, error: unknown): string {
  return isPlugin(plugin) ? reportFailure(plugin, error).message : String(error);
}
