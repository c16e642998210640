// Finds out whether every master takes writes: it leaves a key with each that is soon gone.
import type { Redis } from 'ioredis';
import { mastersOf, type RedisClient } from './client.js';

/** How long the key lives, in milliseconds: others may need the room. */
const LIFE = 100;

/** What there must be room for before a master counts as there again: one that is full takes a write now and then. */
const ROOM = ' '.repeat(65_536);

/** How many keys are tried at a time, to find one that belongs to a certain master of a cluster. */
const TRIES = 8;

export class WriteProbe {
  readonly #prefix: string;
  /** Which key it was for each master. */
  readonly #numbers = new WeakMap<Redis, number>();

  constructor(keyPrefix: string) {
    this.#prefix = `${keyPrefix}probe:`;
  }

  /**
   * @param anew whether Redis has not been there before.
   * @throws Error when a master does not answer, or refuses to write.
   */
  async run(client: RedisClient, anew: boolean): Promise<void> {
    const write = async (master: Redis) => {
      if (anew) await this.#write(master, ROOM);
      await this.#write(master, '');
    };
    await Promise.all(mastersOf(client).map(write));
  }

  /** A master that has few slots is found a key another time: that it names the owner of one is an answer, too. */
  async #write(master: Redis, text: string): Promise<void> {
    const first = this.#numbers.get(master) ?? 0;
    for (let number = first; number < first + TRIES; number++) {
      this.#numbers.set(master, number);
      const done = await master.set(`${this.#prefix}${number}`, text, 'PX', LIFE).catch(unlessElsewhere);
      if (done !== undefined) return;
    }
  }
}

/** @throws the error, unless it says that the key belongs to another node. */
function unlessElsewhere(error: Error): undefined {
  if (!/^(MOVED|ASK) /.test(error.message)) throw error;
}
