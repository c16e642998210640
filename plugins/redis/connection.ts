// A connection to Redis that knows whether Redis is there: a heartbeat asks, a breaker keeps requests
// from waiting for what does not answer, and the log says once that it is away and once that it is back.
import type { Logger } from 'koa-registry';
import { hangUp, type RedisClient, refreshMasters } from './connection/client.js';
import { WriteProbe } from './connection/write-probe.js';

export { mastersOf, type RedisClient, redisClient } from './connection/client.js';
export { checkRedisOptions, type RedisOptions, redisShape } from './connection/options.js';

export interface ConnectionOptions {
  /** What every key begins with. */
  readonly keyPrefix: string;
  /** How long a command may take, in milliseconds. */
  readonly commandTimeout: number;
  readonly breaker: { readonly failures: number; readonly pause: number };
  readonly logger: Logger;
  /** What the heartbeat asks besides; Redis is there when it resolves. Every command in it should go through `ask`. */
  readonly probe?: () => Promise<unknown>;
  /** Asked at the moment when the probe was answered: whether that is still all. Default: yes. */
  readonly settled?: () => boolean;
  /** Called as soon as Redis counts as there, the first time too. */
  readonly onBack?: () => void;
  /** Called as soon as Redis counts as away. */
  readonly onAway?: (reason: Error) => void;
}

/** Commands that were under way when it closed have failed; nothing of it keeps the process alive but the socket. */
export class RedisConnection {
  readonly client: RedisClient;
  readonly #options: ConnectionOptions;
  readonly #writes: WriteProbe;
  #state: 'new' | 'there' | 'away' | 'closed' = 'new';
  #since = performance.now();
  readonly #known = knowable();
  /** When a heartbeat was last answered. */
  #answered = 0;
  /** When a connection last came about, or a heartbeat was answered, if only by a refusal. */
  #heard = performance.now();
  #failures = 0;
  /** Grows when a connection ends: an answer from before is no news. */
  #cuts = 0;
  /** Why it is not there. */
  #reason = new Error('not connected yet');
  /** What the client said last, since Redis was there. */
  #trouble: Error | undefined;
  #timer: NodeJS.Timeout | undefined;
  #beating = false;
  #again = false;

  constructor(client: RedisClient, options: ConnectionOptions) {
    this.client = client;
    this.#options = options;
    this.#writes = new WriteProbe(options.keyPrefix);
    client.on('error', (error: unknown) => {
      this.#trouble = plain(error);
    });
    for (const event of ['close', 'end'] as const) {
      client.on(event, () => this.#cut());
    }
    client.on('connect', () => {
      this.#heard = performance.now();
    });
    client.on('ready', () => this.#schedule(0));
    this.#schedule(this.patience);
  }

  get there(): boolean {
    return this.#state === 'there';
  }

  /** Why it is not there. */
  get reason(): Error {
    return this.#reason;
  }

  /** Whether an outage would have been noticed; not so for a moment after this process was paused. */
  get watched(): boolean {
    return performance.now() - this.#answered <= this.patience;
  }

  /** Resolves when it was found out for the first time whether Redis is there. */
  get known(): Promise<void> {
    return this.#known.promise;
  }

  /** For how long it has been there, or not, in milliseconds. */
  get sinceChange(): number {
    return performance.now() - this.#since;
  }

  /** Within this time of the beginning of an outage every host has noticed it, in milliseconds. */
  get patience(): number {
    const { breaker, commandTimeout } = this.#options;
    return 2 * (breaker.pause + commandTimeout);
  }

  /** @throws Error at once while Redis is away, else when it refuses or takes too long, without what was sent. */
  async run<T>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    if (!this.there) throw this.#reason;
    try {
      const answer = await this.ask(command);
      this.#failures = 0;
      return answer;
    } catch (error) {
      this.#failures += 1;
      if (this.#failures >= this.#options.breaker.failures) this.lose(plain(error));
      throw error;
    }
  }

  /** Sends a command though Redis may be away. */
  async ask<T>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    try {
      return await within(this.#options.commandTimeout, command(this.client));
    } catch (error) {
      throw isUnsent(error) ? (this.#trouble ?? new Error('not connected to Redis')) : plain(error);
    }
  }

  /** Rejects unless every master answers and takes a write: one that is full still reads. */
  async check(): Promise<void> {
    await this.ask((client) => this.#writes.run(client, !this.there));
  }

  /** Takes Redis for away until a heartbeat is answered. */
  lose(reason: Error): void {
    if (this.#state === 'closed') return;
    this.#reason = reason;
    if (this.#state === 'away') return;
    this.#become('away');
    this.#options.logger.warn({ reason: reason.message }, 'Redis is away');
    this.#options.onAway?.(reason);
    this.#schedule(0);
  }

  close(): void {
    const reason = new Error('the connection to Redis was closed');
    clearTimeout(this.#timer);
    this.#cuts += 1;
    this.#become('closed');
    this.#reason = reason;
    this.#options.onAway?.(reason);
    this.client.disconnect();
  }

  #cut(): void {
    this.#cuts += 1;
    this.lose(this.#trouble ?? new Error('the connection was closed'));
  }

  #become(state: 'there' | 'away' | 'closed'): void {
    this.#state = state;
    this.#since = performance.now();
    this.#failures = 0;
    this.#known.tell();
  }

  #schedule(delay: number): void {
    if (this.#state === 'closed') return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#beat(), delay).unref();
  }

  async #beat(): Promise<void> {
    this.#again = this.#beating;
    if (this.#beating) return;
    this.#beating = true;
    const cuts = this.#cuts;
    const { probe, settled = () => true } = this.#options;
    refreshMasters(this.client);
    try {
      await this.check();
      await probe?.();
      if (cuts === this.#cuts && settled()) this.#found();
      else this.#again = true;
    } catch (error) {
      this.lose(plain(error));
      if (isAnswer(error)) this.#heard = performance.now();
      else this.#endSilence();
    }
    this.#beating = false;
    this.#schedule(this.#again ? 0 : this.#options.breaker.pause);
  }

  /**
   * TCP takes a connection to a server that hangs, or has gone without a word, for a good one for a quarter of an
   * hour. A new one may lead to its successor.
   */
  #endSilence(): void {
    if (performance.now() - this.#heard < this.patience) return;
    this.#heard = performance.now();
    hangUp(this.client);
  }

  #found(): void {
    this.#answered = this.#heard = performance.now();
    this.#trouble = undefined;
    if (this.#state === 'there' || this.#state === 'closed') return;
    if (this.#state === 'away') this.#options.logger.info({ away: Math.round(this.sinceChange) }, 'Redis is back');
    this.#become('there');
    this.#options.onBack?.();
  }
}

/** An error without the command that failed: its arguments may be a password. */
function plain(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  return Object.assign(new Error(error.message), { name: error.name });
}

/** Whether the client refused to send a command, in words about its own options, because it is not connected. */
function isUnsent(error: unknown): boolean {
  return error instanceof Error && error.message.includes('enableOfflineQueue');
}

/** Whether it is Redis itself that has refused. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** A promise, and what resolves it. */
function knowable(): { readonly promise: Promise<void>; readonly tell: () => void } {
  let tell = () => {};
  const promise = new Promise<void>((resolve) => {
    tell = resolve;
  });
  return { promise, tell };
}

function within<T>(limit: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new Error(`Redis has not answered within ${limit} ms`));
    // After a busy moment the answer may have come and not have been read: it gets a turn to be.
    const timer = setTimeout(() => setImmediate(giveUp), limit);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
