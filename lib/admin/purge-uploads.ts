// Removes abandoned uploads at once: for data whose registry does not purge, or not soon enough.
import type { Coordinator, Logger, StorageDriver } from '../contracts/index.js';
import { Leases } from '../services/leases.js';
import { MemoryCoordinator } from '../services/memory-coordinator.js';
import { type PurgeReport, UploadSweep } from '../services/upload-sweep.js';

export interface PurgeUploadsOptions {
  /** A started driver: `(await startPlugin(filesystem({ … }))).instance`. */
  readonly storage: StorageDriver;
  /** For how long nobody has touched an upload that is removed, in milliseconds; 0 removes all. Default: 7 days. */
  readonly age?: number | undefined;
  /** Only count what would be removed. Default: false. */
  readonly dryRun?: boolean | undefined;
  /** pino's interface. Default: nothing is logged. */
  readonly log?: Logger | undefined;
  /** That of the hosts which serve the same data, as started: an upload that one of them has at work is left alone. */
  readonly coordination?: Coordinator | undefined;
  /** Ends the purge between two uploads. */
  readonly signal?: AbortSignal | undefined;
}

const WEEK = 604_800_000;

const KEYS: ReadonlySet<string> = new Set<keyof PurgeUploadsOptions>([
  'storage',
  'age',
  'dryRun',
  'log',
  'coordination',
  'signal',
]);

/** A misspelt `dryRun` would remove what it was only to count. */
function checkShape(options: PurgeUploadsOptions): void {
  const unknown = Object.keys(options).filter((key) => !KEYS.has(key));
  if (unknown.length > 0) throw new TypeError(`purgeUploads: unknown option ${unknown.join(', ')}`);
  if (typeof options.storage?.list !== 'function') {
    throw new TypeError('purgeUploads: storage must be a started driver: (await startPlugin(plugin)).instance');
  }
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {}, child: () => SILENT };

/**
 * Removes the upload sessions of all repositories which nobody has touched for long, also those that
 * `distribution` began. May run while the registry serves and purges, and again where it was cut off.
 *
 * @returns how many uploads there are, and how many of them were removed or could not be.
 * @throws TypeError for an option that there is not, or a plugin in place of its driver; RangeError when `age` is no
 *   number of milliseconds; DriverError when the store cannot be reached; the signal's reason.
 */
export async function purgeUploads(options: PurgeUploadsOptions): Promise<PurgeReport> {
  checkShape(options);
  const { storage, age = WEEK, dryRun = false, log = SILENT, coordination = new MemoryCoordinator() } = options;
  if (!Number.isFinite(age) || age < 0) throw new RangeError(`age must be milliseconds, not ${age}`);
  const leases = new Leases(coordination, log);
  const sweep = new UploadSweep({ storage, leases, log, age, dryRun }, Date.now());
  return sweep.run(options.signal ?? new AbortController().signal);
}
