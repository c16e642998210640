// A registry like the standalone example, with a layer handler: what it costs to send clients elsewhere is measured
// on it. Everything comes from the environment: REGISTRY_ROOT, HOST, PORT, SOCKET, and LAYER,
// which is accel, redirect or trivial.
import { createServer } from 'node:http';
import Koa from 'koa';
import { definePlugin, type Plugin, registry } from 'koa-registry';
import { accel } from 'koa-registry/plugins/layer/accel';
import { redirect } from 'koa-registry/plugins/layer/redirect';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';
import { z } from 'zod';

const { REGISTRY_ROOT = '', HOST, PORT, SOCKET, LAYER = '' } = process.env;

const BASE_URL = 'http://127.0.0.1:9/layers/';

/** The least that a handler can do. */
const trivial = definePlugin({
  kind: 'layer',
  name: 'trivial',
  options: z.strictObject({}),
  create: () => ({ resolve: ({ key }) => ({ redirect: BASE_URL + key }) }),
});

const layers: Readonly<Record<string, Plugin<'layer'>>> = {
  accel: accel(),
  redirect: redirect({ baseUrl: BASE_URL }),
  trivial: trivial(),
};

const app = new Koa();
app.use(
  registry({
    storage: filesystem({ rootDirectory: REGISTRY_ROOT }),
    layer: layers[LAYER],
    logger: pino({ level: 'error' }),
  }),
);
const handler = app.callback();
if (SOCKET) createServer({ requestTimeout: 0 }, handler).listen(SOCKET);
createServer({ requestTimeout: 0 }, handler).listen(Number(PORT), HOST);
