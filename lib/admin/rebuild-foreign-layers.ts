// Makes the index of layers that are elsewhere again from the manifests: for data that a registry without one wrote,
// and after the option `federation` has changed.
import type { StorageDriver } from '../contracts/index.js';
import { federatedSites } from '../federation.js';
import type { RepositoryName } from '../model/repository-name.js';
import { resolveFederation } from '../options/layers.js';
import type { RegistryOptions } from '../options.js';
import { createServices } from '../services/index.js';

export interface RebuildForeignLayersOptions {
  /** A started driver: `(await startPlugin(filesystem({ … }))).instance`. */
  readonly storage: StorageDriver;
  /** The option of the registry. Default: none, and only what manifests name themselves is entered. */
  readonly federation?: RegistryOptions['federation'];
  /** Only this repository. Default: all that hold a manifest. */
  readonly repository?: RepositoryName;
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT };

/**
 * Enters every manifest with layers that may be had elsewhere into the index of its repository, and removes entries
 * that are no longer right. May run while the registry serves, and more than once.
 *
 * @returns how many were entered, by repository.
 * @throws OptionsError for what is wrong with `federation`.
 */
export async function rebuildForeignLayers(
  options: RebuildForeignLayersOptions,
): Promise<ReadonlyMap<RepositoryName, number>> {
  const federation = federatedSites(resolveFederation(options.federation));
  const { catalog, foreign } = createServices({ storage: options.storage, federation, log: SILENT });
  const entered = new Map<RepositoryName, number>();
  const names = options.repository === undefined ? catalog.names() : [options.repository];
  for await (const name of names) entered.set(name, await foreign.rebuild(name));
  return entered;
}
