// One pass over the upload sessions of all repositories, which removes those that nobody has touched for
// long, whoever began them.
import type { Lease } from '../contracts/coordination.js';
import type { Logger } from '../contracts/logger.js';
import type { StorageDriver } from '../contracts/storage.js';
import { REPOSITORIES, ROOT, uploadKey, uploadStartedKey } from './keys.js';
import type { Leases } from './leases.js';
import { orAbsent, removeIfPresent } from './links.js';
import { hasChild } from './listing.js';
import { type SessionReference, sessionLease } from './upload-session.js';
import { objectsBelow, type UploadEntry, uploadEntries } from './upload-tree.js';

/** How many sessions are looked at at a time. */
const AT_ONCE = 8;

/** After this long no call is at work any more, in milliseconds: what it has begun and not ended it has left. */
const LONGEST_CALL = 86_400_000;

/** What a sweep has done. */
export interface PurgeReport {
  /** Upload sessions that are there, or were. */
  readonly seen: number;
  /** Those that were abandoned and have been removed, or would be where nothing is to be removed. */
  readonly purged: number;
  /** Those that could not be looked at, or not be removed. */
  readonly failed: number;
  /** What the purged ones held, in bytes. */
  readonly bytes: number;
  /** What calls that were cut off had left in the store besides, where it can tell: removed too, or only counted. */
  readonly remnants?: number | undefined;
}

export interface SweepParts {
  readonly storage: StorageDriver;
  readonly leases: Pick<Leases, 'take'>;
  readonly log: Logger;
  /** For how long nobody has touched a session that counts as abandoned, in milliseconds. */
  readonly age: number;
  /** Whether abandoned sessions are only counted. */
  readonly dryRun: boolean;
}

/** A {@link PurgeReport} in the making. */
type Counts = { -readonly [K in keyof PurgeReport]: PurgeReport[K] };

export class UploadSweep {
  readonly #storage: StorageDriver;
  readonly #leases: SweepParts['leases'];
  readonly #log: Logger;
  readonly #dryRun: boolean;
  readonly #age: number;
  readonly #now: number;
  readonly #counts: Counts = { seen: 0, purged: 0, failed: 0, bytes: 0 };
  #lastFailure: unknown;

  /** @param now the present time, in milliseconds since 1970. */
  constructor({ storage, leases, log, age, dryRun }: SweepParts, now: number) {
    this.#storage = storage;
    this.#leases = leases;
    this.#log = log;
    this.#dryRun = dryRun;
    this.#age = age;
    this.#now = now;
  }

  /**
   * Looks at every session once. One that cannot be purged does not keep the others from it.
   *
   * @throws DriverError `unavailable` when the store is away; the signal's reason, once those under way are done.
   */
  async run(signal: AbortSignal): Promise<PurgeReport> {
    const counts = this.#counts;
    try {
      await this.#visitAll(signal);
      await this.#purgeRemnants(signal);
      if (counts.failed > 0) {
        this.#log.warn({ err: this.#lastFailure, ...counts }, 'some abandoned uploads could not be purged');
      }
      return { ...counts };
    } finally {
      const said = this.#dryRun ? 'abandoned uploads would be purged' : 'abandoned uploads were purged';
      if (counts.purged > 0 || counts.remnants) this.#log.info({ ...counts }, said);
    }
  }

  /** May need rights that nothing else does, so that what hinders it is only said. */
  async #purgeRemnants(signal: AbortSignal): Promise<void> {
    if (this.#storage.purge === undefined) return;
    const before = new Date(this.#now - Math.max(this.#age, LONGEST_CALL));
    try {
      this.#counts.remnants = await this.#storage.purge(ROOT, { before, dryRun: this.#dryRun, signal });
    } catch (err) {
      signal.throwIfAborted();
      this.#log.warn({ err }, 'what calls that were cut off have left in the store could not be purged');
    }
  }

  /** Each worker takes the next one. The listing ends with the signal, and when one of them fails. */
  async #visitAll(signal: AbortSignal): Promise<void> {
    const entries = uploadEntries(this.#storage, signal);
    const work = async () => {
      for await (const entry of entries) {
        if (entry.isSession) await this.#visit(entry);
        else this.#log.debug({ ...entry }, 'what stands among the uploads and is none was left alone');
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }

  async #visit({ repository, name: uuid }: UploadEntry): Promise<void> {
    const session = { repository, uuid };
    const counts = this.#counts;
    counts.seen += 1;
    try {
      const bytes = await this.#purge(session);
      if (bytes === undefined) return;
      counts.purged += 1;
      counts.bytes += bytes;
    } catch (err) {
      counts.failed += 1;
      this.#lastFailure = err;
      this.#log.debug({ err, ...session }, 'an abandoned upload could not be purged');
      if (await this.#isAway()) throw err;
    }
  }

  /** What was removed, in bytes; `undefined` where the session is in use, or was removed by somebody else. */
  async #purge(session: SessionReference): Promise<number | undefined> {
    const held = await this.#abandoned(session);
    if (held === undefined || this.#dryRun) return held;
    const { repository, uuid } = session;
    const remove = async (lease: Lease) => {
      // Somebody may have gone on with it until the lease was had.
      const bytes = await this.#abandoned(session);
      if (bytes === undefined) return undefined;
      await lease.confirm();
      return (await removeIfPresent(this.#storage, uploadKey(repository, uuid))) ? bytes : undefined;
    };
    return (await this.#leases.take(sessionLease(session), remove, { wait: 0 }))?.result;
  }

  /** What a session holds, in bytes, if all of it was touched long ago; `undefined` too where nothing is left. */
  async #abandoned({ repository, uuid }: SessionReference): Promise<number | undefined> {
    const startedKey = uploadStartedKey(repository, uuid);
    if (!this.#isLongAgo(await this.#startOf(startedKey))) return undefined;
    let bytes: number | undefined;
    for await (const key of objectsBelow(this.#storage, uploadKey(repository, uuid))) {
      const found = await orAbsent(this.#storage.stat(key));
      // Parts of a removal that was cut off are listed as content, and are none. A start is, or will be shown.
      const time = found?.modified.getTime() ?? (key === startedKey ? this.#now : Number.NEGATIVE_INFINITY);
      if (!this.#isLongAgo(time)) return undefined;
      bytes = (bytes ?? 0) + (found?.size ?? 0);
    }
    return bytes;
  }

  /** When a session says that it began. No time does not count, nor one so far ahead that a clock was wrong. */
  async #startOf(startedKey: string): Promise<number> {
    const started = await orAbsent(this.#storage.get(startedKey));
    const [text = ''] = started?.toString('latin1').split('\n') ?? [];
    const time = Date.parse(text);
    return time < this.#now + this.#age ? time : Number.NEGATIVE_INFINITY;
  }

  /** False for what is no time, too. */
  #isLongAgo(time: number): boolean {
    return time < this.#now - this.#age;
  }

  /** Whether it is the store that failed, and not something about one session. */
  async #isAway(): Promise<boolean> {
    try {
      await (this.#storage.check?.() ?? hasChild(this.#storage, REPOSITORIES));
      return false;
    } catch {
      return true;
    }
  }
}
