// A company's portal with a registry in it: people log in with a browser, look at the images there, and
// make themselves a personal token for docker, podman or skopeo. Everybody who is logged in may pull
// everything; push and delete below `<name>/…` may only the person of that name.
//
//   npm run build && node dist/examples/portal/server.js
//
// Everything comes from the environment: HOST, PORT, REGISTRY_ROOT, LOG_LEVEL, and PORTAL_PEOPLE (see
// people.ts). A real portal would keep sessions and tokens in a database, and stand behind TLS.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import bodyParser from 'koa-bodyparser';
import { registry } from 'koa-registry';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';
import { portalAccess } from './access.js';
import { demoPeople, People } from './people.js';
import { PREFIX, portalRoutes } from './routes.js';
import { Sessions } from './sessions.js';
import { PersonalTokens } from './tokens.js';

const { HOST = '127.0.0.1', PORT = '5000', REGISTRY_ROOT = './data', LOG_LEVEL = 'warn', PORTAL_PEOPLE } = process.env;

const people = new People(PORTAL_PEOPLE ?? demoPeople());
const sessions = new Sessions();
const tokens = new PersonalTokens();

const images = registry({
  prefix: PREFIX,
  storage: filesystem({ rootDirectory: REGISTRY_ROOT }),
  auth: portalAccess(tokens),
  delete: { enabled: true },
  logger: pino({ level: LOG_LEVEL }),
});

const app = new Koa();

// Clients know no path before `/v2`: at the root of this host they find the portal's registry. From
// there on they go where its answers send them, which is below the prefix.
app.use((ctx, next) => {
  if (ctx.path === '/v2' || ctx.path.startsWith('/v2/')) ctx.path = PREFIX + ctx.path;
  return next();
});
app.use(sessions.middleware());
app.use(images);
// After the registry, whose bodies are nobody's to parse.
app.use(bodyParser({ enableTypes: ['form'] }));
app.use(portalRoutes({ people, sessions, tokens }));

// A large layer over a slow line takes longer than Node's five minutes.
const server = createServer({ requestTimeout: 0 }, app.callback());
server.listen(Number(PORT), HOST, () => {
  const { address, family, port } = server.address() as AddressInfo;
  const host = `${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  console.log(`The portal listens on http://${host}${PREFIX}/ - make yourself a token there, and then try:`);
  console.log(`skopeo copy --dest-tls-verify=false --dest-creds=NAME:TOKEN oci:IMAGE docker://${host}/NAME/hello`);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(() => void images.close());
    server.closeIdleConnections();
  });
}
