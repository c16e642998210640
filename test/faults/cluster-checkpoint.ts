// A checkpoint on the way from one host to the bucket: each request stops there until the test, which sees
// what it is, lets it pass. So something can be made to happen at one moment and no other.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** A client sends nothing before the last answer is there: a request begins where a piece does. */
const REQUEST_LINE = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/;
const LONGEST_LINE = 8_192;

export class Checkpoint {
  /** Called with each request, `PUT /bucket/name?query`, percent-decoded; it goes on when that resolves. Default: at once. */
  inspect: (request: string) => Promise<void> | void = () => undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: URL) {
    this.#server = createServer((host) => void this.#join(host, connect(Number(target.port), target.hostname)));
  }

  /** @param url of the bucket's server. */
  static async before(url: string): Promise<Checkpoint> {
    const checkpoint = new Checkpoint(new URL(url));
    await once(checkpoint.#server.listen(0, '127.0.0.1'), 'listening');
    return checkpoint;
  }

  /** Where the host finds the bucket. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #join(host: Socket, bucket: Socket): Promise<void> {
    const ends = [host, bucket];
    for (const socket of ends) this.#sockets.add(socket.on('close', () => this.#sockets.delete(socket)));
    try {
      await Promise.all([pipeline(host, (pieces) => this.#inspected(pieces), bucket), pipeline(bucket, host)]);
    } catch {
      // Whichever side went, the other is to hear of it.
      for (const socket of ends) socket.destroy();
    }
  }

  async *#inspected(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
    for await (const piece of pieces) {
      const [, method, url] = REQUEST_LINE.exec(piece.toString('latin1', 0, LONGEST_LINE)) ?? [];
      if (url !== undefined) await this.inspect(`${method} ${decodeURIComponent(url)}`);
      yield piece;
    }
  }
}
