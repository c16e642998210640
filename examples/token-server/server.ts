// A token server: it knows the users, and gives a registry's clients tokens that say what they may do.
//
//   npm run build
//   node dist/examples/token-server/server.js       who you are, and what you may do   :5001
//   node dist/examples/token-server/registry.js     the images                         :5000
//   skopeo login --tls-verify=false -u alice -p rabbit-hole 127.0.0.1:5000
//   skopeo copy --dest-tls-verify=false oci:IMAGE docker://127.0.0.1:5000/team/hello:latest
//
// `users.json` knows alice (rabbit-hole), who may do everything, and bob (teapot-dome), who may pull
// everything and push below `bob/`; whoever says nothing may pull below `public/`.
// Everything else comes from the environment: HOST, PORT, USERS, ISSUER, SERVICE, LIFETIME (seconds, at
// least 60), KEY (a PEM file with a private P-256 key; made at start where there is none). On SIGHUP the
// next key signs: KEY as it is then, or a new one. The registry fetches the public keys from /jwks.json,
// and is none the wiser about passwords. What a service for strangers needs besides is TLS before it and
// something that counts failed logins.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import { SigningKeys } from './keys.js';
import { RefreshTokens } from './refresh-tokens.js';
import { getToken, postToken } from './token-endpoint.js';
import { Users } from './users.js';

const { HOST = '127.0.0.1', PORT = '5001', USERS = 'examples/token-server/users.json', KEY } = process.env;
const { ISSUER = 'token-server', SERVICE = 'registry', LIFETIME = '300' } = process.env;

const lifetime = Math.max(60, Math.floor(Number(LIFETIME))) * 1000;
const keys = await SigningKeys.open(KEY, lifetime);
const endpoint = {
  issuer: { name: ISSUER, service: SERVICE, lifetime, keys },
  users: await Users.read(USERS),
  refreshTokens: new RefreshTokens(),
};

const router = new Router()
  .get('/token', getToken(endpoint))
  .post('/token', postToken(endpoint))
  .get('/jwks.json', (ctx) => {
    ctx.body = keys.published;
  });

const server = createServer(new Koa().use(router.routes()).use(router.allowedMethods()).callback());
server.listen(Number(PORT), HOST, () => {
  const { address, port } = server.address() as AddressInfo;
  console.log(`token server listens on http://${address}:${port}/token`);
});

process.on('SIGHUP', () => {
  keys.rotate().then(
    () => console.log(`tokens are signed by ${keys.current.kid}`),
    (error: Error) => console.error(`the key stays as it is: ${error.message}`),
  );
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close();
    server.closeIdleConnections();
  });
}
