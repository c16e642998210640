// A registry in a process of its own, whose events wait in Redis for a sink that is away: to be killed.
// `node dist/test/plugins/queue-redis-server.js <addr>`.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { redis } from 'koa-registry/plugins/queue/redis';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pino } from 'pino';
import { dead } from './notification-redis-fixture.js';

const [, , addr = ''] = process.argv;

const images = registry({
  storage: memory(),
  notifications: { sinks: [dead], queue: { store: redis({ addr }) } },
  logger: pino({ level: 'silent' }),
});
const server = createServer(new Koa().use(images).callback()).listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening on ${(server.address() as AddressInfo).port}\n`);
});
