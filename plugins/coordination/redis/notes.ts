// Notes in Redis: texts that it forgets by itself.
import { type Notes, RegistryError } from 'koa-registry';
import type { RedisClient, RedisConnection } from 'koa-registry/plugins/redis/connection';

export class RedisNotes implements Notes {
  readonly #redis: RedisConnection;
  readonly #prefix: string;

  constructor(redis: RedisConnection, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  async get(name: string): Promise<string | undefined> {
    return (await this.#run((client) => client.get(this.#prefix + name))) ?? undefined;
  }

  async set(name: string, text: string, ttl: number): Promise<void> {
    await this.#run((client) => client.set(this.#prefix + name, text, 'PX', Math.max(1, Math.ceil(ttl))));
  }

  async delete(name: string): Promise<void> {
    await this.#run((client) => client.del(this.#prefix + name));
  }

  async #run<T>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    try {
      return await this.#redis.run(command);
    } catch (cause) {
      throw new RegistryError('UNAVAILABLE', undefined, { cause });
    }
  }
}
