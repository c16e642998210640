// Where messages are posted: one connection, kept open, on which one message follows another.
import { once } from 'node:events';
import * as http from 'node:http';
import * as https from 'node:https';
import { connect, isIP } from 'node:net';
import { type ConnectionOptions, connect as connectSecurely } from 'node:tls';

/** How long the connection stays open when nothing is sent, in milliseconds. */
const IDLE = 30_000;

/** How much of an answer's body is read, in bytes, and for how long after its head, in milliseconds. */
const BODY_SIZE = 64 * 1024;
const BODY_PATIENCE = 100;

/** What was answered to a message. */
export interface Answer {
  readonly status: number;
  /** Its body, or the beginning of it. */
  readonly text: string;
}

export class Endpoint {
  readonly #url: URL;
  readonly #tls: ConnectionOptions;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;

  /** @param tls of connections to an `https` URL. */
  constructor(url: string, tls: ConnectionOptions) {
    const pool = { keepAlive: true, maxSockets: 1, timeout: IDLE };
    this.#url = new URL(url);
    this.#tls = tls;
    this.#agent = this.#isSecure ? new https.Agent({ ...pool, ...tls }) : new http.Agent(pool);
    this.#request = this.#isSecure ? https.request : http.request;
  }

  get #isSecure(): boolean {
    return this.#url.protocol === 'https:';
  }

  /**
   * Posts a message, and answers whatever was answered; redirects, too.
   *
   * @throws Error when there is no answer; the signal's reason.
   */
  async post(body: Buffer, headers: http.OutgoingHttpHeaders, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted();
    const outgoing = this.#request(this.#url, { method: 'POST', agent: this.#agent, headers, signal });
    outgoing.end(body);
    try {
      const incoming = await answerTo(outgoing);
      return { status: incoming.statusCode ?? 0, text: await textOf(incoming) };
    } catch (cause) {
      throw signal.aborted ? signal.reason : unreachable(cause);
    } finally {
      // An answer to what was not read to its end: the next message would wait behind the rest of this one for ever.
      if (!outgoing.writableFinished) outgoing.destroy();
    }
  }

  /** Connects, says nothing and hangs up: to look must not be an event to anybody. */
  async check(signal?: AbortSignal): Promise<void> {
    const host = this.#url.hostname.replace(/^\[|\]$/g, '');
    const place = { host, port: Number(this.#url.port) || (this.#isSecure ? 443 : 80) };
    const name = isIP(host) ? {} : { servername: host };
    const socket = this.#isSecure ? connectSecurely({ ...name, ...place, ...this.#tls }) : connect(place);
    try {
      await once(socket, this.#isSecure ? 'secureConnect' : 'connect', signal && { signal });
    } catch (cause) {
      throw signal?.aborted ? signal.reason : unreachable(cause);
    } finally {
      // What becomes of the connection from here on is nobody's affair.
      socket.on('error', () => undefined).destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}

function answerTo(outgoing: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
    // An answer that switches protocols is neither.
    outgoing.on('close', () => reject(new Error('closed without an answer')));
  });
}

/** What counts has been said by the head: a body that does not end soon, or breaks off, costs the connection and no more. */
async function textOf(incoming: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => incoming.destroy(), BODY_PATIENCE);
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      // To leave is to destroy.
      if (size > BODY_SIZE) break;
    }
  } catch {
    // The next message has another connection.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The error of several addresses of one name has no message, only a code. */
function unreachable(cause: unknown): Error {
  const { message, code } = cause as NodeJS.ErrnoException;
  return new Error(`the listener cannot be reached: ${message || code}`, { cause });
}
