// What the tests of sinks and queues in Redis share: registries whose clients go on pushing, and what became of it.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Plugin, RegistryEvent, RegistryOptions } from 'koa-registry';
import { callback } from 'koa-registry/plugins/notification/function';
import { pushBlob } from '../support/content.js';
import { RedisServer, until } from '../support/redis.js';
import { BARE, type OpenRegistry, openRegistry } from '../support/registry.js';

/** Tries again soon: what is away in a test is back soon. */
export const SOON = { backoff: 20, maxBackoff: 100 } as const;

/** Runs `work` with a Redis that keeps every write it has acknowledged, whatever becomes of it. */
export async function withRedis(work: (server: RedisServer) => Promise<void>): Promise<void> {
  const server = await RedisServer.start({ persistent: true });
  try {
    await work(server);
  } finally {
    await server.stop('SIGKILL');
  }
}

/** Runs `work` with a registry that has started. */
export async function withRegistry(
  options: Partial<RegistryOptions>,
  work: (at: OpenRegistry) => Promise<void>,
): Promise<void> {
  const at = await openRegistry(BARE, options);
  try {
    await at.registry.ready();
    await work(at);
  } finally {
    await at.close();
  }
}

/** A sink that says which digests it was told of, more than once where that has happened. */
export function telling(told: string[]): Plugin<'notification'> {
  const take = (events: readonly RegistryEvent[]) => void told.push(...events.map(digestOf));
  return callback({ ...SOON, name: 'sink', batch: 10, function: take });
}

/** A sink of the same name that takes nothing. */
export const dead = callback({
  ...SOON,
  name: 'sink',
  function: () => Promise.reject(new Error('the sink is away')),
});

export function digestOf({ target }: RegistryEvent): string {
  return target.digest ?? assert.fail('an event without a digest');
}

/** A client that pushes one blob after another, to one registry after the other. */
export class Traffic {
  /** The digests of what was pushed, and acknowledged. */
  readonly pushed: string[] = [];
  readonly #registries: readonly OpenRegistry[];
  /** No two clients push the same. */
  readonly #name = randomUUID();
  #going = true;
  readonly #ended: Promise<void>;

  constructor(...registries: readonly OpenRegistry[]) {
    this.#registries = registries;
    this.#ended = this.#run();
    // Whoever waits for more finds out.
    this.#ended.catch(() => undefined);
  }

  /** Waits until so many more pushes were acknowledged. */
  async more(count: number): Promise<void> {
    const wanted = this.pushed.length + count;
    await Promise.race([until(() => this.pushed.length >= wanted), this.#ended]);
  }

  /** Ends it, and throws what went wrong. */
  async stop(): Promise<void> {
    this.#going = false;
    await this.#ended;
  }

  async #run(): Promise<void> {
    for (let turn = 0; this.#going; turn++) {
      const at = this.#registries[turn % this.#registries.length] ?? assert.fail('there is no registry');
      this.pushed.push(await pushBlob(at, 'some/repository', `${this.#name} ${turn}`));
      await delay(2);
    }
  }
}

/** Without what came again. */
export function once<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
