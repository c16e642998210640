// Makes the index of referrers again from the manifests: for data that a registry without one wrote.
import type { StorageDriver } from '../contracts/index.js';
import type { RepositoryName } from '../model/repository-name.js';
import { createServices } from '../services/index.js';

export interface RebuildReferrersOptions {
  /** A started driver: `(await startPlugin(filesystem({ … }))).instance`. */
  readonly storage: StorageDriver;
  /** Only this repository. Default: all that hold a manifest. */
  readonly repository?: RepositoryName;
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT };

/**
 * Enters every manifest that has a subject into the referrers index of its repository. May run while
 * the registry serves, and more than once.
 *
 * @returns how many were entered, by repository.
 */
export async function rebuildReferrers(options: RebuildReferrersOptions): Promise<ReadonlyMap<RepositoryName, number>> {
  const { catalog, referrers } = createServices({ storage: options.storage, log: SILENT });
  const entered = new Map<RepositoryName, number>();
  const names = options.repository === undefined ? catalog.names() : [options.repository];
  for await (const name of names) entered.set(name, await referrers.rebuild(name));
  return entered;
}
