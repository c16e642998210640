// Slows down and then refuses whoever guesses passwords, in this process, and lets those through who
// have lately proved themselves.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { RegistryError } from '../errors.js';
import { type FailedLoginLimits, type Login, LoginTallies, leave, type Tallies } from './login-tallies.js';
import { saltedDigest } from './salted-digest.js';

export type { FailedLoginLimits, Login } from './login-tallies.js';

/** How many proofs are remembered; beyond that the least recent are forgotten. */
const REMEMBERED = 10_000;

export class FailedLogins {
  readonly #tallies: LoginTallies;
  /** What was accepted: somebody else's wrong password must not lock out who has the right one. */
  readonly #proven: LRUCache<string, true>;
  /** Makes a digest of a password worthless outside of this process. */
  readonly #salt = randomBytes(32).toString('hex');

  constructor(limits: FailedLoginLimits, clock: () => number) {
    this.#tallies = new LoginTallies(limits, clock);
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
   * @param proof all that was sent as proof, and from where: what is right may be guessed elsewhere.
   * @param read who it claims to be; asked only where the proof was not right lately. `undefined` where nobody
   *   is claimed to be anybody, and then nothing is counted.
   * @param failed whether what `verify` threw says that the proof is wrong.
   * @throws RegistryError `TOOMANYREQUESTS`, with `Retry-After`, past the limit.
   * @throws whatever `verify` throws; later, where the proof is wrong.
   */
  attempt<T>(
    proof: string,
    read: () => Login | undefined,
    verify: () => Promise<T> | T,
    failed: (error: unknown) => boolean,
  ): Promise<T> | T {
    const digest = saltedDigest(this.#salt, proof);
    if (this.#proven.get(digest) !== true) {
      const login = read();
      return login === undefined ? verify() : this.#tryNew(login, digest, verify, failed);
    }
    const fail = (error: unknown) => {
      if (!failed(error)) throw error;
      this.#proven.delete(digest);
      return this.#holdBack(read(), error);
    };
    try {
      const answer = verify();
      return answer instanceof Promise ? answer.catch(fail) : answer;
    } catch (error) {
      return fail(error);
    }
  }

  async #tryNew<T>(
    login: Login,
    digest: string,
    verify: () => Promise<T> | T,
    failed: (error: unknown) => boolean,
  ): Promise<T> {
    const tallies = await this.#tallies.enter(login);
    try {
      const answer = await verify();
      if (isOf(answer, login)) this.#prove(digest, tallies);
      leave(tallies);
      return answer;
    } catch (error) {
      const isFailure = failed(error);
      const pause = isFailure ? this.#tallies.count(login, tallies) : 0;
      // Whoever is told that it may not has been recognised.
      if (error instanceof RegistryError && error.actor !== undefined && isOf(error, login))
        this.#prove(digest, tallies);
      leave(tallies);
      if (isFailure) await this.#sleep(pause, login.signal);
      throw error;
    }
  }

  #prove(digest: string, [own]: Tallies): void {
    this.#proven.set(digest, true);
    own.failures = 0;
  }

  /** What was right lately and is not any more is a failure like any other. */
  async #holdBack(login: Login | undefined, error: unknown): Promise<never> {
    if (login !== undefined) await this.#sleep(this.#tallies.count(login, this.#tallies.of(login)), login.signal);
    throw error;
  }

  async #sleep(pause: number, signal: AbortSignal): Promise<void> {
    await sleep(pause, undefined, { signal, ref: false }).catch(() => signal.throwIfAborted());
  }
}

/** A session that comes along may let somebody else in: then the password has proved nothing. */
function isOf(answer: unknown, { actor }: Login): boolean {
  const { actor: known } = Object(answer) as { readonly actor?: { readonly name: string } | undefined };
  return known === undefined || known.name === actor;
}
