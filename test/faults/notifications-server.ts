// Several registries with durable queues, in a process of their own that a test kills: each has its store, its queue
// and two webhooks, one of which is told several events at once.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { directory } from 'koa-registry/plugins/queue/directory';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';

const [, , folder = '', listener = '', count = '1'] = process.argv;

const app = new Koa();
for (let number = 0; number < Number(count); number++) {
  const root = join(folder, String(number));
  const sinkOf = (name: string, batch: number) =>
    webhook({ name, batch, url: `${listener}/${number}/${name}`, backoff: 100, maxBackoff: 1_000 });
  const images = registry({
    prefix: `/${number}`,
    storage: filesystem({ rootDirectory: root, fsync: false }),
    notifications: {
      sinks: [sinkOf('single', 1), sinkOf('several', 10)],
      // A kill takes nothing from the kernel: one that syncs shows that this does no harm.
      queue: { store: directory({ path: join(root, 'queue'), segmentBytes: '8KiB', fsync: number === 0 }) },
    },
    logger: pino({ level: 'warn' }),
  });
  app.use(images);
  // What is pending is delivered without waiting for a request.
  void images.ready();
}
const server = createServer(app.callback()).listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening on ${(server.address() as AddressInfo).port}\n`);
});
