// A registry on its own: what `npm start` runs. Everything comes from the environment:
// REGISTRY_ROOT, HOST, PORT, PREFIX, LOG_LEVEL.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';

const { REGISTRY_ROOT = './data', HOST = '127.0.0.1', PORT = '5000', PREFIX = '', LOG_LEVEL = 'warn' } = process.env;

const images = registry({
  prefix: PREFIX,
  storage: filesystem({ rootDirectory: REGISTRY_ROOT }),
  delete: { enabled: true },
  logger: pino({ level: LOG_LEVEL }),
});

const app = new Koa();
app.use(images);

// A large layer over a slow line takes longer than Node's five minutes.
const server = createServer({ requestTimeout: 0 }, app.callback());
server.listen(Number(PORT), HOST, () => {
  const { address, family, port } = server.address() as AddressInfo;
  const host = `${family === 'IPv6' ? `[${address}]` : address}:${port}${PREFIX}`;
  console.log(
    `koa-registry listens on http://${host}/v2/ - try: skopeo copy --dest-tls-verify=false oci:IMAGE docker://${host}/hello:latest`,
  );
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(() => void images.close());
    server.closeIdleConnections();
  });
}
