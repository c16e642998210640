// Slows down and then refuses whoever guesses passwords: counts failed logins by who was meant and
// where they came from, in this process, and lets those through who have lately proved themselves.
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Logger } from '../contracts/index.js';
import { RegistryError } from '../errors.js';

/** Durations are milliseconds. */
export interface FailedLoginLimits {
  /** How long the answer to the first failure is held back; it doubles with each. */
  readonly delay: number;
  readonly maxDelay: number;
  /** After so many failures logins are refused. */
  readonly limit: number;
  /** For how long failures are remembered after the last one. */
  readonly window: number;
}

/** A login with a password. */
export interface Login {
  /** Who it claims to be. */
  readonly actor: string;
  /** Where it comes from. */
  readonly address: string;
  /** All that was sent as proof. */
  readonly proof: string;
  /** Ends the waiting when the client goes away. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** What is known of one actor at one address. */
interface Failures {
  count: number;
  /** When they are forgotten, in milliseconds since 1970. */
  until: number;
  /** Logins that are being verified. */
  trying: number;
  readonly waiting: Set<() => void>;
}

/** How many actors, and how many proofs, are remembered; beyond that the least recent are forgotten. */
const REMEMBERED = 10_000;

/** A millisecond that doubles more often is longer than any delay, and at last no number. */
const MOST_DOUBLINGS = 30;

export class FailedLogins {
  readonly #limits: FailedLoginLimits;
  readonly #clock: () => number;
  readonly #failures = new LRUCache<string, Failures>({ max: REMEMBERED });
  /** What was accepted: somebody else's wrong password must not lock out who has the right one. */
  readonly #proven: LRUCache<string, true>;
  /** Makes a digest of a password worthless outside of this process. */
  readonly #salt = randomBytes(32);

  constructor(limits: FailedLoginLimits, clock: () => number) {
    this.#limits = limits;
    this.#clock = clock;
    this.#proven = new LRUCache({
      max: REMEMBERED,
      ttl: limits.window,
      ttlResolution: 0,
      updateAgeOnGet: true,
      perf: { now: clock },
    });
  }

  /**
   * Runs `verify`, unless too many have failed. Many at once wait for each other where otherwise more
   * could fail than the limit allows.
   *
   * @param failed whether what `verify` threw says that the proof is wrong.
   * @throws RegistryError `TOOMANYREQUESTS`, with `Retry-After`, past the limit.
   * @throws whatever `verify` throws; later, where the proof is wrong.
   */
  async attempt<T>(login: Login, verify: () => Promise<T> | T, failed: (error: unknown) => boolean): Promise<T> {
    const proof = this.#digest(login.proof);
    const failures = this.#proven.get(proof) === true ? undefined : await this.#enter(login);
    let failure: { readonly error: unknown; readonly pause: number };
    try {
      const answer = await verify();
      if (failures === undefined) return answer;
      this.#proven.set(proof, true);
      failures.count = 0;
      return answer;
    } catch (error) {
      if (!failed(error)) throw error;
      this.#proven.delete(proof);
      failure = { error, pause: this.#count(login, failures ?? this.#of(login)) };
    } finally {
      if (failures !== undefined) leave(failures);
    }
    const { signal } = login;
    await sleep(failure.pause, undefined, { signal, ref: false }).catch(() => signal.throwIfAborted());
    throw failure.error;
  }

  /** Waits until one more failure would not be one too many. */
  async #enter(login: Login): Promise<Failures> {
    for (;;) {
      const failures = this.#of(login);
      if (failures.count >= this.#limits.limit) throw this.#refusal(failures);
      if (failures.count + failures.trying < this.#limits.limit) {
        failures.trying += 1;
        return failures;
      }
      await turn(failures, login.signal);
    }
  }

  /** Answers for how long the refusal has to be held back. */
  #count({ address, log }: Login, failures: Failures): number {
    const { delay, maxDelay, limit, window } = this.#limits;
    failures.count += 1;
    failures.until = this.#clock() + window;
    // Not who was meant: people type passwords into the wrong field.
    log.info({ address, failures: failures.count }, 'login failed');
    if (failures.count === limit)
      log.warn({ address, failures: limit, window }, 'too many failed logins, refusing more');
    return Math.min(maxDelay, delay * 2 ** Math.min(failures.count - 1, MOST_DOUBLINGS));
  }

  #refusal({ until }: Failures): RegistryError {
    const seconds = Math.max(1, Math.ceil((until - this.#clock()) / 1000));
    const headers = { 'Retry-After': String(seconds) };
    return new RegistryError('TOOMANYREQUESTS', { problem: 'too many failed logins' }, { headers });
  }

  #of({ actor, address }: Login): Failures {
    // A digest, for a name may be as long as a header.
    const key = this.#digest(`${address}\n${actor}`);
    const known = this.#failures.get(key);
    if (known !== undefined && (known.count === 0 || known.until > this.#clock())) return known;
    const fresh: Failures = { count: 0, until: 0, trying: 0, waiting: new Set() };
    this.#failures.set(key, fresh);
    return fresh;
  }

  #digest(text: string): string {
    return createHash('sha256').update(this.#salt).update(text).digest('base64');
  }
}

/** Resolves when one of those that are trying is done. */
async function turn({ waiting }: Failures, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve) => {
    const wake = () => {
      waiting.delete(wake);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    waiting.add(wake);
    signal.addEventListener('abort', wake);
  });
  signal.throwIfAborted();
}

function leave(failures: Failures): void {
  failures.trying -= 1;
  for (const wake of failures.waiting) wake();
}
