// Events in a stream of Redis, for consumers that read it in their own time. Those of one write are added in one
// transaction, all or none: an answer that was lost is the only reason why some stand there twice.
import { definePlugin, deliveryOptions, type NotificationSink, type RegistryEvent } from 'koa-registry';
import {
  type ConnectionOptions,
  checkRedisOptions,
  type RedisClient,
  RedisConnection,
  redisClient,
  redisShape,
} from 'koa-registry/plugins/redis/connection';
import { z } from 'zod';

const options = z
  .strictObject({
    ...redisShape,
    ...deliveryOptions({ batch: 100 }),
    /** The stream's key. Default: `<keyPrefix>events`. */
    stream: z.string().min(1).optional(),
    /** About how many events stay in the stream: beyond that the oldest go, whether somebody has read them or not. Default: 100,000. */
    maxLength: z.int().min(1).default(100_000),
  })
  .superRefine(checkRedisOptions);

interface StreamSinkOptions {
  readonly delivery: NotificationSink['delivery'];
  readonly stream: string;
  readonly maxLength: number;
  readonly connection: ConnectionOptions;
}

class StreamSink implements NotificationSink {
  readonly delivery: NotificationSink['delivery'];
  readonly #redis: RedisConnection;
  readonly #stream: string;
  readonly #maxLength: number;

  constructor(client: RedisClient, { delivery, stream, maxLength, connection }: StreamSinkOptions) {
    this.delivery = delivery;
    this.#stream = stream;
    this.#maxLength = maxLength;
    this.#redis = new RedisConnection(client, connection);
  }

  /** Resolves when it is known whether Redis is there. */
  get known(): Promise<void> {
    return this.#redis.known;
  }

  async write(events: readonly RegistryEvent[], { signal }: { readonly signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted();
    const answers = await this.#redis.run((client) => this.#add(client, events));
    const [refusal] = answers?.find(([error]) => error !== null) ?? [];
    if (refusal) throw new Error(refusal.message);
  }

  #add(client: RedisClient, events: readonly RegistryEvent[]) {
    const transaction = client.multi();
    for (const event of events) {
      transaction.xadd(this.#stream, 'MAXLEN', '~', this.#maxLength, '*', ...fieldsOf(event));
    }
    return transaction.exec();
  }

  async check(): Promise<void> {
    await this.#redis.check();
  }

  async close(): Promise<void> {
    this.#redis.close();
  }
}

/** Names and values in turns: what consumers filter by, and the whole. */
function fieldsOf(event: RegistryEvent): string[] {
  const { repository, tag, digest } = event.target;
  const fields = { id: event.id, action: event.action, repository, tag, digest, event: JSON.stringify(event) };
  return Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
}

/**
 * A stream in Redis 5 or later, standalone, with sentinels, or a cluster. Needs the package `ioredis`.
 *
 * Starts though Redis is away. While it is, writes are refused at once, and events wait in their queue.
 */
export const redis = definePlugin({
  kind: 'notification',
  name: 'redis',
  options,
  create: async (chosen, { logger }): Promise<NotificationSink> => {
    const { name, batch, timeout, threshold, backoff, maxBackoff, maxAttempts, ignore } = chosen;
    const { keyPrefix, breaker, stream = `${keyPrefix}events`, maxLength } = chosen;
    const sink = new StreamSink(await redisClient(chosen), {
      delivery: { name, batch, timeout, threshold, backoff, maxBackoff, maxAttempts, ignore },
      stream,
      maxLength,
      connection: { keyPrefix, commandTimeout: timeout, breaker, logger },
    });
    await sink.known;
    return sink;
  },
});
