// The cache itself: what is asked and said, and when it may be believed.
import { type Descriptor, type DescriptorCache, type DescriptorSet, type Digest, parseDescriptor } from 'koa-registry';
import { type ConnectionOptions, type RedisClient, RedisConnection } from 'koa-registry/plugins/redis/connection';
import { Eras } from './eras.js';
import { PendingDeletes } from './pending-deletes.js';

/** Durations are milliseconds. */
export interface CacheSettings {
  readonly expiry: number;
  readonly tombstone: number;
  /** How long it is not used after Redis has come back. */
  readonly grace: number;
}

/** What stands where something was deleted. */
const TOMBSTONE = '';

/** How many tombstones are sent at a time. */
const BATCH = 500;

export class RedisCache implements DescriptorCache {
  readonly #settings: CacheSettings;
  readonly #logger: ConnectionOptions['logger'];
  readonly #redis: RedisConnection;
  readonly #eras: Eras;
  readonly #pending = new PendingDeletes();
  /** From when on what Redis says is believed. */
  #believedFrom = Number.POSITIVE_INFINITY;

  constructor(client: RedisClient, settings: CacheSettings, connection: Omit<ConnectionOptions, 'probe'>) {
    this.#settings = settings;
    this.#logger = connection.logger;
    this.#eras = new Eras(`${connection.keyPrefix}cache:`, settings.tombstone);
    this.#redis = new RedisConnection(client, {
      ...connection,
      probe: () => this.#catchUp(),
      settled: () => this.#pending.empty,
      onBack: () => this.#doubt(),
    });
  }

  async get(set: DescriptorSet, digest: Digest): Promise<Descriptor | undefined> {
    const key = this.#usable() ? this.#eras.key(set, digest) : undefined;
    if (key === undefined) return undefined;
    const text = await this.#redis.run((client) => client.get(key)).catch(() => null);
    // It may have been lost since: then this is what it said before.
    return text !== null && this.#usable() && key === this.#eras.key(set, digest) ? parse(text, digest) : undefined;
  }

  async set(set: DescriptorSet, digest: Digest, descriptor: Descriptor): Promise<void> {
    const key = this.#usable() && this.#eras.writable ? this.#eras.key(set, digest) : undefined;
    if (key === undefined) return;
    const text = JSON.stringify(descriptor);
    await this.#redis.run((client) => client.set(key, text, 'PX', this.#settings.expiry, 'NX')).catch(() => undefined);
  }

  async delete(set: DescriptorSet, digest: Digest): Promise<void> {
    try {
      await this.#redis.run((client) => this.#bury(client, [`${set}@${digest}`]));
    } catch (error) {
      this.#pending.add(`${set}@${digest}`);
      this.#redis.lose(error as Error);
      await this.#pending.gone(this.#redis.patience - this.#redis.sinceChange);
    }
  }

  /** Rejects while Redis does not answer or is full, although the cache does without it. */
  /** Resolves when it is known whether Redis is there. */
  get known(): Promise<void> {
    return this.#redis.known;
  }

  async check(): Promise<void> {
    await this.#redis.check();
    await this.#redis.ask((client) => this.#eras.read(client));
  }

  async close(): Promise<void> {
    if (!this.#pending.empty) this.#logger.warn({}, 'closing while Redis is away: it was not told of all deletes');
    this.#redis.close();
    this.#pending.clear();
  }

  #usable(): boolean {
    return this.#redis.there && this.#redis.watched && performance.now() >= this.#believedFrom;
  }

  /** Gives the other hosts time to say what they have deleted during an outage. */
  #doubt(): void {
    this.#believedFrom = performance.now() + this.#settings.grace;
  }

  /** Finds out the era, and says what was deleted while Redis was away. */
  async #catchUp(): Promise<void> {
    if (!this.#redis.watched) this.#doubt();
    if (this.#pending.overflown) {
      this.#pending.overflown = false;
      await this.#redis
        .ask((client) => this.#eras.end(client))
        .catch((error: unknown) => {
          this.#pending.overflown = true;
          throw error;
        });
    }
    await this.#redis.ask((client) => this.#eras.update(client));
    await this.#pending.drain(BATCH, (names) => this.#redis.ask((client) => this.#bury(client, names)));
  }

  async #bury(client: RedisClient, names: readonly string[]): Promise<void> {
    const keys = names.flatMap((name) => this.#eras.keys(name));
    await Promise.all(keys.map((key) => client.set(key, TOMBSTONE, 'PX', this.#settings.tombstone)));
  }
}

/** What is no descriptor of this digest, such as a tombstone, is not there. */
function parse(text: string, digest: Digest): Descriptor | undefined {
  if (text === TOMBSTONE) return undefined;
  try {
    const descriptor = parseDescriptor(JSON.parse(text), 'cache');
    return descriptor.digest === digest ? descriptor : undefined;
  } catch {
    return undefined;
  }
}
