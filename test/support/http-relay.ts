// A relay in front of an HTTP server: it counts what passes, and lets a test be the bad network or the
// server's bad day.
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request as open, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** A request that passed: `POST /path?query`. */
export interface Passed {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
}

/**
 * What the relay does in place of relaying: it answers itself; hands the request on and cuts the
 * connection where the answer should be; says nothing at all; or changes a byte of the body.
 */
export type Mischief = { readonly status: number; readonly body?: string } | 'lose-answer' | 'silence' | 'corrupt';

export interface HttpRelay {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** All requests so far; a test may empty it. */
  readonly passed: Passed[];
  /** Asked about each request. Default: nothing but relaying. */
  mischief: (request: Passed) => Mischief | undefined;
  /** How many requests were without a whole answer at once, at most. */
  readonly mostAtOnce: number;
  /** Of how many answers the receiver has gone away before the end. */
  readonly leftEarly: number;
  close(): Promise<void>;
}

/** Starts a relay to the server at `target`, on a port of its own. */
export async function startHttpRelay(target: string): Promise<HttpRelay> {
  const relay = new Relay(target);
  await relay.listen();
  return relay;
}

class Relay implements HttpRelay {
  readonly passed: Passed[] = [];
  mischief: HttpRelay['mischief'] = () => undefined;
  mostAtOnce = 0;
  leftEarly = 0;
  readonly #target: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server = createServer((request, answer) => void this.#relay(request, answer));
  #atOnce = 0;

  constructor(target: string) {
    this.#target = target;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async listen(): Promise<void> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  async #relay(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const passed = { method: request.method ?? '', url: request.url ?? '', headers: request.headers };
    this.passed.push(passed);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
    answer.once('close', () => {
      this.#atOnce--;
      if (!answer.writableFinished) this.leftEarly++;
    });
    const mischief = this.mischief(passed);
    if (mischief === 'silence') return;
    try {
      if (typeof mischief === 'object') answer.writeHead(mischief.status).end(mischief.body);
      else await this.#handOn(request, answer, mischief);
    } catch {
      answer.destroy();
    }
  }

  async #handOn(request: IncomingMessage, answer: ServerResponse, mischief: Mischief | undefined): Promise<void> {
    const { method, headers } = request;
    const onward = open(this.#target + request.url, { method, headers, agent: this.#agent });
    const responded = once(onward, 'response');
    await Promise.all([pipeline(mischief === 'corrupt' ? corrupted(request) : request, onward), responded]);
    const [response] = (await responded) as [IncomingMessage];
    if (mischief === 'lose-answer') {
      response.resume();
      await once(response, 'end');
      answer.destroy();
      return;
    }
    answer.writeHead(response.statusCode ?? 500, response.headers);
    await pipeline(response, answer);
  }
}

/** The body with the middle byte of its last chunk changed. */
async function* corrupted(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let last: Buffer | undefined;
  for await (const chunk of body) {
    if (last !== undefined) yield last;
    last = Buffer.from(chunk);
  }
  if (last === undefined) return;
  const middle = last.length >> 1;
  last[middle] = ~(last[middle] ?? 0) & 0xff;
  yield last;
}
