// A Koa service in the test's own process, and a journal of what its clients asked it for.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type Koa from 'koa';

export interface KoaService {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** What was asked and answered, in the order of the answers, without states of uploads: `HEAD /v2/a/manifests/b 404`. */
  readonly journal: string[];
  /** Answers requests by this application, which may need to know the address of something that needs ours. */
  serve(app: Koa): void;
  close(): Promise<void>;
}

/** Listens at a free port of 127.0.0.1. */
export async function listen(): Promise<KoaService> {
  const server = createServer({ requestTimeout: 0 }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A service that a failed test does not close must not keep its file from ending.
  server.unref();
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const journal: string[] = [];
  server.on('request', ({ method, url }, response) => {
    const asked = `${method} ${url?.replace(/_state=[\w-]+/, '_state=…')}`;
    response.once('finish', () => journal.push(`${asked} ${response.statusCode}`));
  });
  const close = async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  return { host, url: `http://${host}`, journal, serve: (app) => void server.on('request', app.callback()), close };
}
