// The registry that believes the token server's tokens. It knows no users: only where clients get a
// token (TOKEN_SERVER), whose tokens it takes (ISSUER), for whom they must be made out (SERVICE), and
// where the public keys are. REGISTRY_ROOT, HOST, PORT, LOG_LEVEL as in `examples/standalone`.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { token } from 'koa-registry/plugins/auth/token';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';

const { REGISTRY_ROOT = './data', HOST = '127.0.0.1', PORT = '5000', LOG_LEVEL = 'info' } = process.env;
const { TOKEN_SERVER = 'http://127.0.0.1:5001', ISSUER = 'token-server', SERVICE = 'registry' } = process.env;

const images = registry({
  storage: filesystem({ rootDirectory: REGISTRY_ROOT }),
  auth: token({
    realm: `${TOKEN_SERVER}/token`,
    service: SERVICE,
    issuer: ISSUER,
    jwksUrl: `${TOKEN_SERVER}/jwks.json`,
    // The token server next door may be asked often; after a change of its keys nobody waits for long.
    jwksCooldown: '1s',
  }),
  delete: { enabled: true },
  logger: pino({ level: LOG_LEVEL }),
});

const server = createServer({ requestTimeout: 0 }, new Koa().use(images).callback());
server.listen(Number(PORT), HOST, () => {
  const { address, port } = server.address() as AddressInfo;
  console.log(`koa-registry listens on http://${address}:${port}/v2/, tokens come from ${TOKEN_SERVER}/token`);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(() => void images.close());
    server.closeIdleConnections();
  });
}
