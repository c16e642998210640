// A port for a registry that is yet to be made.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Koa from 'koa';

/** Where a registry is to be; it has to have a port before anybody can put a front server before it. */
export class Site {
  readonly url: string;
  readonly #server: Server;
  #handler: (request: IncomingMessage, response: ServerResponse) => void;

  private constructor(server: Server) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    this.#handler = (_, response) => void response.writeHead(503).end();
    server.on('request', (request, response) => this.#handler(request, response));
  }

  static async open(): Promise<Site> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Site(server);
  }

  serve(app: Koa): void {
    this.#handler = app.callback();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
