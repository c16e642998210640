// One keep-alive connection of the load generator: a raw socket with a read buffer of its own, so
// that neither an HTTP parser nor the allocation of buffers is measured along with the server.
import { connect, type Socket } from 'node:net';
import { type Answer, AnswerReader } from './answer-reader.js';

const READ_BUFFER_BYTES = 256 * 1024;

/** A request, composed once and sent as often as needed. */
export interface Request {
  readonly parts: readonly Uint8Array[];
  readonly bodiless: boolean;
  /** Sees the answer's body as it arrives, and must not keep it. */
  readonly onBody?: (bytes: Uint8Array) => void;
}

/** Composes a request; `target` is the path and query, `body` is referred to, not copied. */
export function request(
  method: string,
  target: string,
  headers: Readonly<Record<string, string | number>> = {},
  body: readonly Uint8Array[] = [],
): Request {
  const fields = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`${method} ${target} HTTP/1.1\r\n${fields.join('')}\r\n`, 'latin1');
  return { parts: [head, ...body], bodiless: method === 'HEAD' };
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(cause: unknown): void;
}

/** Sends one request after another; no pipelining. */
export class Connection {
  readonly #socket: Socket;
  readonly #reader = new AnswerReader();
  #waiting: Waiting | undefined;

  /** Connects to `origin`; the connection breaks when `signal` is aborted. */
  static async open(origin: URL, signal: AbortSignal): Promise<Connection> {
    const connection = new Connection(origin, signal);
    await new Promise((resolve, reject) => {
      connection.#socket.once('connect', resolve).once('error', reject);
    });
    return connection;
  }

  private constructor(origin: URL, signal: AbortSignal) {
    const buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    const callback = (length: number) => this.#receive(buffer.subarray(0, length));
    this.#socket = connect({
      host: origin.hostname,
      port: Number(origin.port),
      noDelay: true,
      signal,
      onread: { buffer, callback },
    });
    this.#socket.on('error', (cause) => this.#fail(signal.aborted ? signal.reason : cause));
    this.#socket.on('close', () => this.#fail(new Error(`${origin.host} closed the connection before it answered`)));
  }

  /** Sends `request` and resolves when its answer is whole, whatever its status. */
  exchange({ parts, bodiless, onBody }: Request): Promise<Answer> {
    this.#reader.expect({ bodiless, onBody });
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#socket.destroyed) return this.#fail(new Error('the connection is closed'));
      if (parts.length > 1) this.#socket.cork();
      for (const part of parts) this.#socket.write(part);
      if (parts.length > 1) this.#socket.uncork();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): true {
    try {
      const answer = this.#reader.read(bytes);
      if (answer !== undefined) this.#settle()?.resolve(answer);
    } catch (cause) {
      this.#fail(cause);
    }
    return true;
  }

  #fail(cause: unknown): void {
    this.#settle()?.reject(cause);
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }
}
