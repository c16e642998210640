// Registries that want to know who asks: with the credentials that they accept, already made.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import bcrypt from 'bcrypt';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { basic, bearer } from '../support/credentials.js';
import { REPOSITORY } from './dataset.js';
import type { Contender } from './server.js';

const SERVER = fileURLToPath(new URL('guarded-server.js', import.meta.url));

function guarded(name: string, prepare: (folder: string) => Promise<{ env: object; headers: object }>): Contender {
  return {
    name,
    prepare: async (folder, root, port) => {
      const { env, headers } = await prepare(folder);
      const place = { REGISTRY_ROOT: root, HOST: '127.0.0.1', PORT: String(port), NODE_ENV: 'production' };
      return { command: [process.execPath, SERVER], env: { ...place, ...env }, headers: { ...headers } };
    },
  };
}

export const withHtpasswd = guarded('with htpasswd', async (folder) => {
  const USERS = join(folder, 'users.htpasswd');
  await writeFile(USERS, `bench:${await bcrypt.hash('bench', 10)}\n`);
  return { env: { USERS }, headers: basic('bench', 'bench') };
});

export const withToken = guarded('with token', async (folder) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const JWKS = join(folder, 'jwks.json');
  await writeFile(JWKS, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'bench' }] }));
  const access = [{ type: 'repository', name: REPOSITORY, actions: ['pull'] }];
  const token = await new SignJWT({ access })
    .setProtectedHeader({ alg: 'ES256', kid: 'bench' })
    .setIssuer('bench')
    .setAudience('bench')
    .setSubject('bench')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  return { env: { JWKS }, headers: bearer(token) };
});
