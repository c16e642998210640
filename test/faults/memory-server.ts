// A registry on a folder, in a process of its own whose memory can be measured.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';

const [, , rootDirectory = ''] = process.argv;

const app = new Koa();
app.use(registry({ storage: filesystem({ rootDirectory, fsync: false }), logger: pino({ level: 'silent' }) }));
const server = createServer({ requestTimeout: 0 }, app.callback()).listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening on ${(server.address() as AddressInfo).port}\n`);
});
