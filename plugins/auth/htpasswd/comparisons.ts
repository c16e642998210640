// Comparisons of passwords with hashes. They run on Node's thread pool, which the files of a store
// need too: so few at once, a bounded number waiting, and equal ones only once.
import { RegistryError } from 'koa-registry';

/** Of the four threads that the pool has, unless `UV_THREADPOOL_SIZE` says otherwise. */
const AT_ONCE = 2;
const MOST_WAITING = 100;

/** Whether the password is the one that the hash was made of; takes long, and not on the main thread. */
export type Compare = (password: string, hash: string) => Promise<boolean>;

/** One comparison and how many want to know. */
interface Shared {
  readonly answer: Promise<boolean>;
  /** Aborted when nobody wants to know any more. */
  readonly abandoned: AbortController;
  awaiting: number;
}

export class Comparisons {
  readonly #compare: Compare;
  readonly #underWay = new Map<string, Shared>();
  /** Those who wait for their turn, the longest first. */
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(compare: Compare) {
    this.#compare = compare;
  }

  /**
   * @param key stands for the password: equal keys share a comparison with the same hash.
   * @param signal ends the waiting; who waits alone gives up the place in the queue.
   * @throws RegistryError `TOOMANYREQUESTS`, with `Retry-After`, when too many wait.
   */
  async compare(key: string, password: string, hash: string, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const id = `${hash} ${key}`;
    const shared = this.#underWay.get(id) ?? this.#begin(id, password, hash);
    shared.awaiting += 1;
    try {
      return await untilAborted(shared.answer, signal);
    } finally {
      shared.awaiting -= 1;
      if (shared.awaiting === 0) {
        this.#underWay.delete(id);
        shared.abandoned.abort();
      }
    }
  }

  #begin(id: string, password: string, hash: string): Shared {
    const abandoned = new AbortController();
    const shared = { answer: this.#run(password, hash, abandoned.signal), abandoned, awaiting: 0 };
    this.#underWay.set(id, shared);
    return shared;
  }

  async #run(password: string, hash: string, abandoned: AbortSignal): Promise<boolean> {
    await this.#turn(abandoned);
    try {
      return await this.#compare(password, hash);
    } finally {
      this.#pass();
    }
  }

  async #turn(abandoned: AbortSignal): Promise<void> {
    if (this.#running < AT_ONCE) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.size >= MOST_WAITING) {
      const headers = { 'Retry-After': '1' };
      throw new RegistryError('TOOMANYREQUESTS', { problem: 'too many logins at once' }, { headers });
    }
    await new Promise<void>((resolve, reject) => {
      this.#waiting.add(resolve);
      const leave = () => {
        this.#waiting.delete(resolve);
        reject(abandoned.reason);
      };
      abandoned.addEventListener('abort', leave, { once: true });
    });
  }

  /** Hands the turn that has ended to the next in the queue. */
  #pass(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running -= 1;
    } else {
      this.#waiting.delete(next);
      next();
    }
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}
