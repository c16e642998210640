// A registry whose listeners never take anything, in a process of its own whose memory can be measured: one sink is
// away, one hangs, and one has a queue on the disk.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { callback } from 'koa-registry/plugins/notification/function';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { directory } from 'koa-registry/plugins/queue/directory';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pino } from 'pino';

const [, , folder = '', maxEvents = '1'] = process.argv;

const hang = () => new Promise(() => undefined);
const queue = { maxEvents: Number(maxEvents) };
const quiet = pino({ level: 'silent' });
const inMemory = registry({
  prefix: '/memory',
  storage: memory(),
  // Nobody listens at port 1.
  notifications: { sinks: [webhook({ url: 'http://127.0.0.1:1/' }), callback({ function: hang })], queue },
  logger: quiet,
});
const onDisk = registry({
  prefix: '/disk',
  storage: memory(),
  notifications: {
    sinks: [callback({ function: hang })],
    queue: { ...queue, store: directory({ path: join(folder, 'queue'), fsync: false }) },
  },
  logger: quiet,
});

const app = new Koa();
app.use(inMemory);
app.use(onDisk);
app.use((ctx) => {
  ctx.body = { memory: inMemory.counters().notifications, disk: onDisk.counters().notifications };
});
const server = createServer(app.callback()).listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening on ${(server.address() as AddressInfo).port}\n`);
});
