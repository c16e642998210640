// When abandoned uploads are purged, and by whom: by one host at a time, and once in an interval however
// many hosts there are and however often they start. What is abandoned is the sweep's affair.
import type { Lease } from '../contracts/coordination.js';
import type { CallOptions } from '../contracts/storage.js';
import { UPLOADS_PURGED } from './keys.js';
import { orAbsent } from './links.js';
import { type PurgeReport, type SweepParts, UploadSweep } from './upload-sweep.js';

/** Hosts that start together do not look together: each waits for some part of this at most, in milliseconds. */
const SPREAD = 3_600_000;

/** What a timer can wait, in milliseconds. */
const LONGEST_PAUSE = 2 ** 31 - 1;

export interface UploadPurgeParts extends SweepParts {
  /** How long after the end of a purge the next one is due, in milliseconds. */
  readonly interval: number;
  readonly clock: () => number;
  /** Whether nothing may be changed at present: then nothing is purged. Default: it always may. */
  readonly isReadOnly?: () => boolean;
}

/** Purges abandoned uploads from time to time. */
export class UploadPurge {
  readonly #parts: UploadPurgeParts;
  readonly #stopped = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<PurgeReport | undefined> | undefined;
  /** When to look next, as far as is known. */
  #due = 0;

  constructor(parts: UploadPurgeParts) {
    this.#parts = parts;
  }

  /** Looks for the first time after a random part of an hour, or of the interval where that is shorter. */
  start(): void {
    if (this.#timer === undefined) this.#wakeAfter(0);
  }

  /** Ends the purge that is under way when the sessions that it has in hand are done; no other begins. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stopped.abort(new Error('the registry is closing'));
    await this.#running?.catch(() => undefined);
  }

  /**
   * Purges, if it is time to and nobody else does. Whoever calls while a purge of this host is under way gets its
   * outcome.
   *
   * @returns `undefined` where there was nothing to do for this host.
   * @throws DriverError when the store is away: the next purge is then due after the interval; the signal's reason.
   */
  run({ signal }: CallOptions = {}): Promise<PurgeReport | undefined> {
    this.#running ??= this.#run(signal).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(caller?: AbortSignal): Promise<PurgeReport | undefined> {
    const { leases, clock, interval, isReadOnly } = this.#parts;
    this.#due = clock() + interval;
    if (isReadOnly?.()) return undefined;
    const signals = [this.#stopped.signal, ...(caller === undefined ? [] : [caller])];
    const purge = ({ signal }: Lease) => this.#purge(AbortSignal.any([...signals, signal]));
    const turn = await leases.take('purge/uploads', purge, { wait: 0 });
    return turn?.result;
  }

  /** A dry run changes nothing in the store, and so leaves no mark either. */
  async #purge(signal: AbortSignal): Promise<PurgeReport | undefined> {
    const { clock, dryRun } = this.#parts;
    if (!dryRun && !(await this.#isDue())) return undefined;
    const report = await new UploadSweep(this.#parts, clock()).run(signal);
    if (!dryRun) await this.#mark();
    return report;
  }

  /** A mark from farther in the future than clocks differ is not believed: nobody would purge until then. */
  async #isDue(): Promise<boolean> {
    const { storage, clock, interval } = this.#parts;
    const mark = await orAbsent(storage.get(UPLOADS_PURGED));
    const ended = Date.parse(mark?.toString('latin1') ?? '');
    const isRecent = Math.abs(clock() - ended) < interval;
    if (isRecent) this.#due = ended + interval;
    return !isRecent;
  }

  async #mark(): Promise<void> {
    const { storage, clock } = this.#parts;
    await storage.put(UPLOADS_PURGED, Buffer.from(new Date(clock()).toISOString()));
  }

  #wakeAfter(pause: number): void {
    const spread = Math.random() * Math.min(SPREAD, this.#parts.interval);
    this.#timer = setTimeout(() => void this.#wake(), Math.min(pause + spread, LONGEST_PAUSE)).unref();
  }

  async #wake(): Promise<void> {
    const { log, clock } = this.#parts;
    try {
      await this.run();
    } catch (err) {
      if (this.#stopped.signal.aborted) return;
      log.warn({ err }, 'the purge of abandoned uploads was cut short; it begins anew after its interval');
    }
    if (!this.#stopped.signal.aborted) this.#wakeAfter(Math.max(0, this.#due - clock()));
  }
}
