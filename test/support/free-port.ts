// Ports for programs that cannot bind to port 0 and say which one they got.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** A TCP port that nothing listens on at 127.0.0.1, at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const ATTEMPTS = 5;

/**
 * Starts something on a free port. Another process may take the port before it is bound, so an error
 * that says `address already in use` is answered with another port, a few times.
 */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort());
    } catch (error) {
      const taken = /EADDRINUSE|address already in use/i.test(String(error));
      if (!taken || attempt === ATTEMPTS) throw error;
    }
  }
}
