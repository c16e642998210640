// A relay in front of a Redis whose connections can fall silent, as those to a machine that has lost its
// power: nothing passes any more, and neither end is told.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export class RedisRelay {
  /** Where it relays to: a port of 127.0.0.1. */
  target = 0;
  /** Whether connections are silent from their beginning. */
  mute = false;
  /** How many connections there have been. */
  accepted = 0;
  readonly #live = new Set<{ silent: boolean; readonly sockets: readonly Socket[] }>();
  readonly #server = createServer({ allowHalfOpen: true }, (socket) => this.#relay(socket));

  static async start(target = 0): Promise<RedisRelay> {
    const relay = new RedisRelay();
    relay.target = target;
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `127.0.0.1:<port>`. */
  get addr(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** From now on nothing passes on the connections that there are. */
  silence(): void {
    for (const connection of this.#live) connection.silent = true;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const { sockets } of this.#live) for (const socket of sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #relay(client: Socket): void {
    this.accepted += 1;
    const server = connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true });
    const connection = { silent: this.mute, sockets: [client, server] };
    this.#live.add(connection);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('data', (bytes) => connection.silent || to.write(bytes));
      from.on('end', () => connection.silent || to.end());
      from.on('error', () => undefined);
      from.on('close', () => connection.silent || to.destroy());
    }
  }
}
