// A registry like the standalone example, with a webhook or without: what it costs to tell others is measured on it.
// Everything comes from the environment: REGISTRY_ROOT, HOST, PORT, LISTENER (a URL; none without), BATCH, TIMEOUT.
import { createServer } from 'node:http';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';

const { REGISTRY_ROOT = '', HOST, PORT, LISTENER, BATCH = '1', TIMEOUT } = process.env;

const sinks = LISTENER ? [webhook({ url: LISTENER, batch: Number(BATCH), timeout: TIMEOUT })] : [];
// Where all events are to be delivered, none may be dropped that waits for its measurement.
const queue = TIMEOUT ? { maxEvents: 1_000_000, maxBytes: '1GiB' } : {};

const app = new Koa();
app.use(
  registry({
    storage: filesystem({ rootDirectory: REGISTRY_ROOT }),
    notifications: { sinks, queue },
    delete: { enabled: true },
    logger: pino({ level: 'fatal' }),
  }),
);
createServer({ requestTimeout: 0 }, app.callback()).listen(Number(PORT), HOST);
