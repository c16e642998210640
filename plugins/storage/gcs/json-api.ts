// Requests to the JSON API of Google Cloud Storage: authorized, no more than so many at once, tried
// again where that may help, and ended by their signal. (Those of the SDK cannot be ended, wait for
// seconds before they are tried again, and reach for a proxy even on the way to an emulator.)
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

/** What the store said instead of doing what it was asked. */
export class GcsError extends Error {
  /** Of the answer; 0 where there was none. */
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(status === 0 ? message : `${status} ${message}`, options);
    this.name = 'GcsError';
    this.status = status;
  }
}

export interface JsonApiOptions {
  /** Of the service: `https://storage.googleapis.com`. */
  readonly endpoint: string;
  /**
   * The headers that authorize a request, in bounded time, or `undefined` for a store that wants none, which no
   * proxy leads to either.
   */
  readonly authorize: ((url: string, signal?: AbortSignal) => Promise<Readonly<Record<string, string>>>) | undefined;
  /** How often a request is tried again. */
  readonly maxRetries: number;
  /** How long the store may be silent, in milliseconds. */
  readonly timeout: number;
  /** How many requests may be without an answer at once. */
  readonly maxConcurrency: number;
  /** The project that pays, where that is not the bucket's. */
  readonly userProject?: string | undefined;
}

export interface ApiRequest {
  /** Default: `GET`. */
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** Below the endpoint, percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: OutgoingHttpHeaders;
  /** Sent one after the other, without a copy being made. */
  readonly body?: readonly Uint8Array[];
  readonly signal?: AbortSignal | undefined;
  /** Default: {@link JsonApiOptions.maxRetries}. */
  readonly retries?: number;
}

/** Answers after which another try may succeed, as the service documents them; 0 is none at all. */
const TRANSIENT: ReadonlySet<number> = new Set([0, 408, 429, 500, 502, 503, 504]);

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;

/** As much of an error page as anybody wants to read. */
const LONGEST_MESSAGE = 300;

export class JsonApi {
  readonly #options: JsonApiOptions;
  readonly #agent: HttpAgent;
  readonly #open: (url: URL, options: RequestOptions) => ClientRequest;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(options: JsonApiOptions) {
    this.#options = options;
    const secure = options.endpoint.startsWith('https:');
    // Newer versions of Node lead through the proxies that the environment names.
    const proxies = options.authorize !== undefined && { proxyEnv: process.env };
    this.#agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, scheduling: 'lifo', ...proxies });
    this.#open = secure ? httpsRequest : httpRequest;
  }

  /** The answer as JSON. */
  async json<T>(request: ApiRequest): Promise<T> {
    return this.#send(request, async (answer) => JSON.parse(await text(answer)) as T);
  }

  /** The answer's body as a stream; who does not want all of it destroys it. */
  async stream(request: ApiRequest): Promise<IncomingMessage> {
    return this.#send(request, async (answer) => answer);
  }

  /** Nothing, once it is done. */
  async done(request: ApiRequest): Promise<void> {
    return this.#send(request, async (answer) => void (await text(answer)));
  }

  /** Closes the connections, those in use when they are no longer. */
  close(): void {
    this.#agent.maxFreeSockets = 0;
    for (const socket of Object.values(this.#agent.freeSockets).flat()) socket?.destroy();
  }

  async #send<T>(request: ApiRequest, receive: (answer: IncomingMessage) => Promise<T>): Promise<T> {
    const { signal, retries = this.#options.maxRetries } = request;
    const url = this.#url(request);
    for (let retry = 0; ; retry++) {
      signal?.throwIfAborted();
      try {
        return await this.#attempt(url, request, receive);
      } catch (error) {
        signal?.throwIfAborted();
        if (retry === retries || !(error instanceof GcsError) || !TRANSIENT.has(error.status)) throw error;
      }
      // Hosts that met one failure should not meet again.
      const pause = Math.min(FIRST_PAUSE * 2 ** retry, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
      await delay(pause, undefined, { signal }).catch(() => {});
    }
  }

  async #attempt<T>(url: URL, request: ApiRequest, receive: (answer: IncomingMessage) => Promise<T>): Promise<T> {
    const { signal } = request;
    try {
      // Before its turn: an account that does not answer must not keep other requests from theirs.
      const authorization = await this.#options.authorize?.(url.href, signal);
      return await this.#inTurn(signal, async () => {
        const answer = await this.#exchange(url, request, { ...request.headers, ...authorization });
        const { statusCode: status = 0 } = answer;
        if (status >= 200 && status < 300) return receive(answer);
        throw new GcsError(status, messageOf(await text(answer)));
      });
    } catch (error) {
      if (error instanceof GcsError) throw error;
      throw new GcsError(0, error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  async #inTurn<T>(signal: AbortSignal | undefined, exchange: () => Promise<T>): Promise<T> {
    if (this.#running < this.#options.maxConcurrency) this.#running++;
    else await this.#turn(signal);
    try {
      return await exchange();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (how: () => void) => {
        this.#waiting.delete(begin);
        signal?.removeEventListener('abort', leave);
        how();
      };
      const begin = () => settle(resolve);
      const leave = () => settle(() => reject(signal?.reason));
      this.#waiting.add(begin);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  #exchange(
    url: URL,
    { method = 'GET', body = [], signal }: ApiRequest,
    headers: OutgoingHttpHeaders,
  ): Promise<IncomingMessage> {
    const length = body.reduce((sum, piece) => sum + piece.byteLength, 0);
    const { timeout } = this.#options;
    return new Promise((resolve, reject) => {
      const request = this.#open(url, {
        method,
        agent: this.#agent,
        headers: { ...headers, 'user-agent': 'koa-registry', ...(method === 'POST' && { 'content-length': length }) },
        ...(signal && { signal }),
      });
      request.once('response', resolve).on('error', reject);
      endWhenSilent(request, timeout);
      for (const piece of body) request.write(piece);
      request.end();
    });
  }

  #url({ path, query = {} }: ApiRequest): URL {
    const url = new URL(this.#options.endpoint + path);
    for (const [name, value] of Object.entries({ ...query, userProject: this.#options.userProject })) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    return url;
  }
}

/** A reader that takes its time is not the store's silence: then there is something left to read. */
function endWhenSilent(request: ClientRequest, timeout: number): void {
  let answer: IncomingMessage | undefined;
  request.once('response', (response) => {
    answer = response;
  });
  request.once('socket', (socket) => {
    const end = () => {
      if (answer !== undefined && answer.readableLength > 0) socket.setTimeout(timeout);
      else (answer ?? request).destroy(new Error(`the store was silent for ${timeout} ms`));
    };
    socket.setTimeout(timeout).on('timeout', end);
    request.once('close', () => socket.off('timeout', end));
  });
}

/** What an error answer says: `error.message` of its JSON, or the page itself. */
function messageOf(body: string): string {
  let message = body;
  try {
    message = JSON.parse(body).error.message;
  } catch {
    // It is no JSON of the kind.
  }
  return message.trim().slice(0, LONGEST_MESSAGE);
}
