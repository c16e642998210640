// Stores that show a write late. Whoever has written something says so to all hosts for a while; what
// should be there and is not is looked for again, and is not said to be missing before its time is over.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Notes } from '../contracts/coordination.js';
import type { Logger } from '../contracts/logger.js';
import { RegistryError } from '../errors.js';

/** Pauses between looks, in milliseconds: a second and a half in all, after which the client may as well wait. */
const PAUSES = [25, 50, 100, 200, 400, 800];

/** For what no request could take up again: eight seconds in all. */
const PATIENT_PAUSES = [...PAUSES, 800, 800, 800, 800, 800, 800, 800, 800];

/** For how long a store may show what was written late, in milliseconds. */
const LATELY = 10_000;

/** Looks until something is found; `undefined` where it does not appear in time. */
export async function lookAgain<T>(look: () => Promise<T | undefined>, patiently = false): Promise<T | undefined> {
  for (const pause of patiently ? PATIENT_PAUSES : PAUSES) {
    await sleep(pause);
    const found = await look();
    if (found !== undefined) return found;
  }
  return undefined;
}

/** "It was written, and cannot be seen yet": answered 503, and a later try will find it. */
export function notYetVisible(key: string, cause?: unknown): RegistryError {
  const problem = 'the store does not show yet what was written';
  return new RegistryError('UNAVAILABLE', { problem }, { cause: new Error(`${problem}: ${key}`, { cause }) });
}

/**
 * What was lately written. The notes are those of all hosts, so that what one has written and another
 * removed is known to be gone; a host that cannot reach them believes what the store shows.
 */
export class Visibility {
  readonly #notes: Notes;
  readonly #log: Logger;
  readonly #clock: () => number;

  constructor(notes: Notes, log: Logger, clock: () => number) {
    this.#notes = notes;
    this.#log = log;
    this.#clock = clock;
  }

  /** Whether a store may not yet show what was written at `time`, in milliseconds since 1970. */
  mayBeLate(time: number | undefined): boolean {
    return time !== undefined && this.#clock() - time < LATELY;
  }

  /**
   * Runs `work`, which writes the object at `key`. The note comes first: whoever removes the object removes the note
   * after it. What was not acknowledged is not expected.
   */
  async writing<T>(key: string, work: () => Promise<T>): Promise<T> {
    await this.wrote(key);
    try {
      return await work();
    } catch (error) {
      await this.removed(key);
      throw error;
    }
  }

  /** The object at `key` was written, or is about to be. */
  async wrote(key: string): Promise<void> {
    await this.#try(this.#notes.set(noteOf(key), '', LATELY));
  }

  /** The object at `key` was removed, or is about to be. */
  async removed(key: string): Promise<void> {
    await this.#try(this.#notes.delete(noteOf(key)));
  }

  /** Whether the object at `key` was lately written, by whichever host, and not removed since. */
  async expects(key: string): Promise<boolean> {
    return (await this.#try(this.#notes.get(noteOf(key)))) !== undefined;
  }

  /**
   * What `look` finds of the object at `key`, if anything.
   *
   * @throws RegistryError `UNAVAILABLE` when it was lately written, and is not shown.
   */
  async find<T>(key: string, look: () => Promise<T | undefined>): Promise<T | undefined> {
    const found = await look();
    if (found !== undefined || !(await this.expects(key))) return found;
    const late = await lookAgain(look);
    // Another host may have removed it meanwhile.
    if (late === undefined && (await this.expects(key))) throw notYetVisible(key);
    return late;
  }

  /**
   * Runs `remove`, which answers whether the object at `key` was there. From here on nobody expects it, also
   * where the removal fails and nobody knows how far it came.
   *
   * @throws RegistryError `UNAVAILABLE` when it was lately written, and is not shown.
   */
  async removing(key: string, remove: () => Promise<boolean>): Promise<boolean> {
    const expected = await this.expects(key);
    await this.removed(key);
    if ((await remove()) || (expected && (await lookAgain(async () => (await remove()) || undefined)))) return true;
    if (!expected) return false;
    await this.wrote(key);
    throw notYetVisible(key);
  }

  /** Who keeps the notes says itself, and once, that they cannot be had. */
  async #try<T>(call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (err) {
      this.#log.debug({ err }, 'what was lately written is not known');
      return undefined;
    }
  }
}

function noteOf(key: string): string {
  return `lately/${key}`;
}
