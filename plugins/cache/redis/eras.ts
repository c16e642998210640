// Eras: between two of them Redis may have lost writes, or everything was to be forgotten. Each key
// belongs to one, and those of an era that is over are never read again; they expire.
import { createHash } from 'node:crypto';
import type { DescriptorSet, Digest } from 'koa-registry';
import { mastersOf, type RedisClient } from 'koa-registry/plugins/redis/connection';

/** In how many eras deletes are told: hosts need not see the same one at the same moment. */
const REMEMBERED = 4;

/** Redis makes a new one for each life of a master: at its start, and when a replica takes over. */
const REPLICATION_ID = /^master_replid:([0-9a-f]+)/m;

export class Eras {
  readonly #prefix: string;
  readonly #lookUp: number;
  /** The present one first. */
  #eras: readonly string[] = [];
  #writableFrom = 0;

  /** @param lookUp how long a look-up of an era that ended may still go on, in milliseconds. */
  constructor(prefix: string, lookUp: number) {
    this.#prefix = prefix;
    this.#lookUp = lookUp;
  }

  /** Whether all that is found out now was looked up in the present era. */
  get writable(): boolean {
    return performance.now() >= this.#writableFrom;
  }

  /** Where a descriptor stands; `undefined` before the era is known. */
  key(set: DescriptorSet, digest: Digest): string | undefined {
    const [era] = this.#eras;
    return era === undefined ? undefined : `${this.#prefix}${era}:${set}@${digest}`;
  }

  /** Where a descriptor may stand for some host, by its set and digest, `set@digest`. */
  keys(name: string): string[] {
    return this.#eras.map((era) => `${this.#prefix}${era}:${name}`);
  }

  /** Finds out the present era. */
  async update(client: RedisClient): Promise<void> {
    const era = await this.read(client);
    const [before] = this.#eras;
    if (era === before) return;
    if (before !== undefined) this.#writableFrom = performance.now() + this.#lookUp;
    this.#eras = [era, ...this.#eras.filter((other) => other !== era)].slice(0, REMEMBERED);
  }

  /** Ends the present era, for all hosts. */
  async end(client: RedisClient): Promise<void> {
    await client.incr(`${this.#prefix}generation`);
  }

  /** @throws Error when a master does not answer, or does not say who it is. */
  async read(client: RedisClient): Promise<string> {
    const masters = mastersOf(client);
    const [generation, ...lives] = await Promise.all([
      client.get(`${this.#prefix}generation`),
      ...masters.map(async (master) => replicationId(await master.info('replication'))),
    ]);
    const text = JSON.stringify([generation, ...lives.sort()]);
    return createHash('sha256').update(text).digest('base64url').slice(0, 16);
  }
}

function replicationId(text: string): string {
  const [, id] = REPLICATION_ID.exec(text) ?? [];
  if (id === undefined) throw new Error('INFO tells no master_replid');
  return id;
}
