// Queues in Redis, one for each sink, shared by the hosts of a registry: any of them delivers what another one has
// stored, also one that has ended.
import { definePlugin, duration, type EventQueue, type EventQueueStore } from 'koa-registry';
import {
  type ConnectionOptions,
  checkRedisOptions,
  type RedisClient,
  RedisConnection,
  redisClient,
  redisShape,
} from 'koa-registry/plugins/redis/connection';
import { z } from 'zod';
import { RedisQueue } from './redis/queue.js';
import { queueKeys } from './redis/scripts.js';

const options = z
  .strictObject({
    ...redisShape,
    /** How long Redis may take to answer; after that events wait in memory. Default: 1 s. */
    commandTimeout: duration({ min: 1, max: '1m' }).default(1_000),
  })
  .superRefine(checkRedisOptions);

class RedisQueueStore implements EventQueueStore {
  readonly shared = true;
  readonly #redis: RedisConnection;
  readonly #options: ConnectionOptions;

  constructor(client: RedisClient, connection: ConnectionOptions) {
    this.#redis = new RedisConnection(client, connection);
    this.#options = connection;
  }

  /** Resolves when it is known whether Redis is there. */
  get known(): Promise<void> {
    return this.#redis.known;
  }

  async open(sink: string): Promise<EventQueue> {
    const { keyPrefix, logger } = this.#options;
    const queue = new RedisQueue(this.#redis, queueKeys(keyPrefix, sink), logger.child({ sink }));
    await queue.look();
    return queue;
  }

  async check(): Promise<void> {
    await this.#redis.check();
  }

  async close(): Promise<void> {
    this.#redis.close();
  }
}

/**
 * Queues in Redis 5 or later, standalone, with sentinels, or a cluster. Needs the package `ioredis`.
 *
 * Starts though Redis is away. While it is, calls are refused at once, and events wait in memory. All hosts of a
 * registry should have the same options.
 */
export const redis = definePlugin({
  kind: 'queue',
  name: 'redis',
  shared: true,
  options,
  create: async (chosen, { logger }): Promise<EventQueueStore> => {
    const { keyPrefix, commandTimeout, breaker } = chosen;
    const connection = { keyPrefix, commandTimeout, breaker, logger };
    const store = new RedisQueueStore(await redisClient(chosen), connection);
    await store.known;
    return store;
  },
});
