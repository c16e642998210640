// Whether a registry can serve: are its plugins up, and what do their backends say?
import { isPlugin, type Lifecycle, type PluginSet, reportFailure } from './plugin/index.js';

export interface Health {
  /** Whether all is well. */
  readonly ok: boolean;
  /** Whether requests are served, though what the registry can do without may be away: a cache, a coordination. */
  readonly ready: boolean;
  /** `ok` or what is wrong, by the option that holds the plugin; those that can be asked. */
  readonly checks: Readonly<Record<string, string>>;
}

/** Without these a registry goes on from its store. */
const DISPENSABLE: ReadonlySet<string> = new Set(['cache', 'coordination']);

/** In milliseconds: a backend that takes longer to say that it is well is not. */
const PATIENCE = 5_000;

export async function healthOf(lifecycle: Lifecycle<PluginSet>): Promise<Health> {
  const instances = lifecycle.current();
  if (instances === undefined) {
    const failure = lifecycle.failure();
    return {
      ok: false,
      ready: false,
      checks: failure ? { [failure.plugin]: failure.message } : { plugins: 'not started' },
    };
  }
  const checks = await Promise.all(
    Object.entries(instances).map(
      async ([name, instance]) => [name, await check(instance, lifecycle.plugins[name])] as const,
    ),
  );
  const asked = checks.filter((entry): entry is readonly [string, string] => entry[1] !== undefined);
  const away = asked.filter(([, answer]) => answer !== 'ok');
  const ready = away.every(([name]) => DISPENSABLE.has(name));
  return { ok: away.length === 0, ready, checks: Object.fromEntries(asked) };
}

/** `undefined` where there is nothing to ask. */
async function check(instance: unknown, plugin: PluginSet[string]): Promise<string | undefined> {
  const { check: ask } = instance as { check?(options: { signal: AbortSignal }): Promise<void> };
  if (typeof ask !== 'function') return undefined;
  const signal = AbortSignal.timeout(PATIENCE);
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  try {
    await Promise.race([ask.call(instance, { signal }), late]);
    return 'ok';
  } catch (error) {
    return isPlugin(plugin) ? reportFailure(plugin, error).message : String(error);
  }
}
