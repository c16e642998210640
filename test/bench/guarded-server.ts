// A registry like the standalone example, with an auth handler: what the cost of a login is measured on.
// Everything comes from the environment: REGISTRY_ROOT, HOST, PORT, USERS (htpasswd) or JWKS (token).
import { createServer } from 'node:http';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { htpasswd } from 'koa-registry/plugins/auth/htpasswd';
import { token } from 'koa-registry/plugins/auth/token';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';

const { REGISTRY_ROOT = '', HOST, PORT, USERS, JWKS } = process.env;

const app = new Koa();
app.use(
  registry({
    storage: filesystem({ rootDirectory: REGISTRY_ROOT }),
    auth:
      USERS !== undefined
        ? htpasswd({ path: USERS })
        : token({ realm: 'http://127.0.0.1/token', service: 'bench', issuer: 'bench', jwks: JWKS }),
    delete: { enabled: true },
    logger: pino({ level: 'error' }),
  }),
);
createServer({ requestTimeout: 0 }, app.callback()).listen(Number(PORT), HOST);
