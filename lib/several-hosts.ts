// What a registry needs that several hosts serve: said at the start, for by the time when an upload meets
// another host it is too late.
import type { Logger } from './contracts/index.js';
import type { ResolvedOptions } from './options.js';
import { bindPlugin, type Plugin, pluginLabel } from './plugin/index.js';

/** Warns of what is missing where a plugin is one that hosts share. */
export function warnOfSeveralHosts(
  { storage, cache, coordination, http, uploads }: ResolvedOptions,
  log: Logger,
): void {
  const shared = [storage, cache, coordination].find((plugin) => plugin?.definition.shared);
  if (shared === undefined) return;
  if (coordination === undefined && http.secret !== undefined) {
    const message = 'no coordination: this is for one host, several would disturb each other and pull what was deleted';
    log.info({ plugin: pluginLabel(shared) }, message);
  }
  if (http.secret === undefined && uploads.state === 'location') {
    const message = 'http.secret is not set: an upload ends with this process, and fails where it meets another host';
    log.warn({ plugin: pluginLabel(shared) }, message);
  }
  if (coordination?.definition.shared && !cache?.definition.shared) {
    const message = 'no cache is shared: what another host deletes may be pulled here for as long as it is remembered';
    log.warn({ plugin: pluginLabel(coordination) }, message);
  }
}

/** The same plugin, which does not start when what it keeps has no notes. */
export function requiringNotes(plugin: Plugin<'coordination'>): Plugin<'coordination'> {
  const { definition, options } = plugin;
  const create: typeof definition.create = async (checked, host) => {
    const coordinator = await definition.create(checked, host);
    if (coordinator.notes !== undefined) return coordinator;
    await coordinator.close?.();
    throw new Error("keeps no notes, which uploads.state: 'coordination' needs");
  };
  return bindPlugin({ ...definition, create }, options);
}
