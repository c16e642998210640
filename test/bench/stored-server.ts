// A registry like the standalone example, on an object store. Everything comes from the environment:
// STORE (a `StoreAddress` as JSON), HOST, PORT.
import { createServer } from 'node:http';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { pino } from 'pino';
import { type StoreAddress, storageAt } from './stores.js';

const { STORE = '', HOST, PORT } = process.env;

const app = new Koa();
app.use(registry({ storage: storageAt(JSON.parse(STORE) as StoreAddress), logger: pino({ level: 'error' }) }));
createServer({ requestTimeout: 0 }, app.callback()).listen(Number(PORT), HOST);
