// Node cuts off any request that takes longer than `server.requestTimeout`, 300 seconds by default:
// a slow upload of a large layer among them. The host application should know.
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from '../contracts/index.js';

export function warnOfRequestTimeout(socket: Socket, log: Logger): void {
  const { requestTimeout = 0 } = (socket as Socket & { server?: Partial<Server> }).server ?? {};
  if (requestTimeout === 0) return;
  log.warn(
    { requestTimeout },
    `server.requestTimeout cuts off uploads that take longer than ${requestTimeout / 1000} s; set it to 0, or to what your slowest push may take`,
  );
}
