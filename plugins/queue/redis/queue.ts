// The queue of one sink, as one host sees it.
import type { EventQueue, Logger, QueuedEvent, RegistryEvent } from 'koa-registry';
import type { RedisClient, RedisConnection } from 'koa-registry/plugins/redis/connection';
import { type Addition, add, type Entry, first, type QueueKeys, type Standing, standing, take } from './scripts.js';

/** What one command sends or asks for, about, in bytes: much more would take longer than a command may. */
const PORTION = 1024 * 1024;

interface StoredEvent extends QueuedEvent {
  readonly entry: Entry;
}

export class RedisQueue implements EventQueue {
  length = 0;
  bytes = 0;
  readonly #redis: RedisConnection;
  readonly #keys: QueueKeys;
  readonly #log: Logger;

  constructor(redis: RedisConnection, keys: QueueKeys, log: Logger) {
    this.#redis = redis;
    this.#keys = keys;
    this.#log = log;
  }

  async look(): Promise<void> {
    await this.#run((client) => standing(client, this.#keys));
  }

  async append(events: readonly RegistryEvent[]): Promise<void> {
    for (const portion of portions(events)) await this.#run((client) => add(client, this.#keys, portion));
  }

  async peek(count: number): Promise<readonly QueuedEvent[]> {
    const { entries } = await this.#run((client) => first(client, this.#keys, count, PORTION));
    const found = entries.map((entry) => ({ entry, event: parse(entry) }));
    const foreign = found.filter(({ event }) => event === undefined).map(({ entry }) => entry);
    if (foreign.length > 0) await this.#discard(foreign);
    return found.filter((each): each is StoredEvent => each.event !== undefined);
  }

  async remove(events: readonly QueuedEvent[]): Promise<void> {
    const entries = (events as readonly StoredEvent[]).map(({ entry }) => entry);
    if (entries.length > 0) await this.#run((client) => take(client, this.#keys, entries));
  }

  /** Nobody could ever deliver them, and nothing behind them would be. */
  async #discard(entries: readonly Entry[]): Promise<void> {
    await this.#run((client) => take(client, this.#keys, entries));
    const positions = entries.map(({ position }) => position);
    this.#log.error({ key: this.#keys.stream, positions }, 'removed from the queue what is no event');
  }

  async #run<T extends Standing>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    const answer = await this.#redis.run(command);
    this.length = answer.length;
    this.bytes = answer.bytes;
    return answer;
  }
}

function parse({ text }: Entry): RegistryEvent | undefined {
  try {
    return JSON.parse(text) as RegistryEvent;
  } catch {
    return undefined;
  }
}

/** Events as they are stored, in pieces of {@link PORTION} unless one alone is larger. */
function* portions(events: readonly RegistryEvent[]): Generator<Addition[]> {
  let portion: Addition[] = [];
  let size = 0;
  for (const event of events) {
    const text = JSON.stringify(event);
    if (portion.length > 0 && size + text.length > PORTION) {
      yield portion;
      portion = [];
      size = 0;
    }
    portion.push({ id: event.id, text });
    size += text.length;
  }
  if (portion.length > 0) yield portion;
}
