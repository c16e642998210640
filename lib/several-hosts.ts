// What a registry needs that several hosts serve: said at the start, for by the time when an upload meets
// another host it is too late.
import type { Logger } from './contracts/index.js';
import type { ResolvedOptions } from './options.js';
import { bindPlugin, type Plugin, pluginLabel } from './plugin/index.js';

/** Says what is missing where a plugin is one that hosts share: as a warning where there must be several of them. */
export function warnOfSeveralHosts(
  { storage, cache, coordination, http, uploads, notifications }: ResolvedOptions,
  log: Logger,
): void {
  const shared = [cache, coordination, notifications.queue.store, storage].find((plugin) => plugin?.definition.shared);
  if (shared === undefined) return;
  const fields = { plugin: pluginLabel(shared) };
  const level = shared === storage ? 'info' : 'warn';
  if (http.secret === undefined && uploads.state === 'location') {
    log.warn(fields, 'http.secret is not set: an upload ends with this process, and fails where it meets another host');
  }
  if (!coordination?.definition.shared) {
    log[level](fields, 'no coordination is shared: of several hosts one may disturb what another has at work');
  }
  if (!cache?.definition.shared) {
    log[level](
      fields,
      'no cache is shared: what another host deletes may be pulled here for as long as it is remembered',
    );
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
