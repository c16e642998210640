// Counting failed logins: by who was meant at which address, and by address alone.
import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Logger } from '../contracts/index.js';
import { RegistryError } from '../errors.js';
import { saltedDigest } from './salted-digest.js';

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
  /** Ends the waiting when the client goes away. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** The failures of one actor at one address, or of all actors there. */
export interface Tally {
  failures: number;
  readonly limit: number;
  /** When they are forgotten, in milliseconds since 1970. */
  until: number;
  /** Logins that are being verified. */
  trying: number;
  readonly waiting: Set<() => void>;
}

export type Tallies = readonly [own: Tally, all: Tally];

/** How many actors, and how many addresses, are remembered; beyond that the least recent are forgotten. */
const REMEMBERED = 10_000;

/** So many times the limit may fail at one address, whoever is meant. */
const NAMES = 10;

/** A client that is told to wait for minutes looks as if it hung. In seconds. */
const LONGEST_RETRY = 30;

/** A millisecond that doubles more often is longer than any delay, and at last no number. */
const MOST_DOUBLINGS = 30;

export class LoginTallies {
  readonly #limits: FailedLoginLimits;
  readonly #clock: () => number;
  readonly #salt = randomBytes(32).toString('hex');
  readonly #names = new LRUCache<string, Tally>({ max: REMEMBERED });
  /** A list of its own: invented names must not push it out. */
  readonly #addresses = new LRUCache<string, Tally>({ max: REMEMBERED });

  constructor(limits: FailedLoginLimits, clock: () => number) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Waits until one more failure would not be one too many, neither for that name nor for that address. */
  async enter(login: Login): Promise<Tallies> {
    for (;;) {
      const tallies = this.of(login);
      for (const tally of tallies) if (tally.failures >= tally.limit) throw this.#refusal(tally);
      const full = tallies.find(
        ({ failures, trying, limit }) => trying >= Math.min(this.#limits.limit, limit - failures),
      );
      if (full === undefined) {
        for (const tally of tallies) tally.trying += 1;
        return tallies;
      }
      await turn(full, login.signal);
    }
  }

  /** Answers for how long the refusal has to be held back. */
  count({ address, log }: Login, [own, all]: Tallies): number {
    const { delay, maxDelay, window } = this.#limits;
    for (const tally of [own, all]) {
      tally.failures += 1;
      tally.until = this.#clock() + window;
    }
    const { failures } = own;
    // Not who was meant: people type passwords into the wrong field.
    log.info({ address, failures }, 'login failed');
    if (failures === own.limit) log.warn({ address, failures, window }, 'too many failed logins, refusing more');
    if (all.failures === all.limit) {
      log.warn({ address, failures: all.failures, window }, 'too many failed logins of an address, refusing more');
    }
    return Math.min(maxDelay, delay * 2 ** Math.min(failures - 1, MOST_DOUBLINGS));
  }

  #refusal({ until }: Tally): RegistryError {
    const seconds = Math.min(LONGEST_RETRY, Math.max(1, Math.ceil((until - this.#clock()) / 1000)));
    const headers = { 'Retry-After': String(seconds) };
    return new RegistryError('TOOMANYREQUESTS', { problem: 'too many failed logins' }, { headers });
  }

  of({ actor, address }: Login): Tallies {
    const { limit } = this.#limits;
    return [
      this.#tally(this.#names, `${address}\n${actor}`, limit),
      this.#tally(this.#addresses, address, limit * NAMES),
    ];
  }

  #tally(tallies: LRUCache<string, Tally>, name: string, limit: number): Tally {
    // A digest, for a name may be as long as a header.
    const key = saltedDigest(this.#salt, name);
    const known = tallies.get(key);
    if (known !== undefined && (known.failures === 0 || known.until > this.#clock())) return known;
    const fresh: Tally = { failures: 0, limit, until: 0, trying: 0, waiting: new Set() };
    tallies.set(key, fresh);
    return fresh;
  }
}

/** Resolves when one of those that are trying is done. */
async function turn({ waiting }: Tally, signal: AbortSignal): Promise<void> {
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

export function leave(tallies: Tallies): void {
  for (const tally of tallies) {
    tally.trying -= 1;
    for (const wake of tally.waiting) wake();
  }
}
