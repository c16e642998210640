// Plugins on Redis over TLS: certificates as files and as text, and one that nobody vouches for.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { redis } from 'koa-registry/plugins/coordination/redis';
import { freePort } from '../support/free-port.js';
import { runProcess } from '../support/process.js';
import { RedisServer } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { QUICK, withPlugins } from './redis-fixture.js';

const test = suiteNeeding('Redis over TLS', ['redis-server', 'openssl']);

let server: RedisServer;
let addr: string;
let [cert, key] = ['', ''];

test.before(async () => {
  const folder = tempFolder();
  [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await runProcess('openssl', ['req', '-x509', ...newKey, ...subject, '-keyout', key, '-out', cert]);
  const port = await freePort();
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
  server = await RedisServer.start({ more: ['--tls-port', String(port), ...files] });
  addr = `127.0.0.1:${port}`;
});
test.after(() => server.stop());

async function leases(options: Parameters<typeof redis>[0]): Promise<boolean> {
  let had = false;
  await withPlugins(
    [redis({ ...QUICK, commandTimeout: '5s', dialTimeout: '5s', ...options })],
    async ({ instance }) => {
      const lease = await instance.acquire('name', { ttl: 60_000, wait: 0 }).catch(() => undefined);
      had = lease !== undefined;
      await lease?.release();
    },
  );
  return had;
}

test('a client with a certificate, given as files', async () => {
  assert.equal(await leases({ addr, tls: { ca: cert, cert, key } }), true);
});

test('a client with a certificate, given as text, and a URL', async () => {
  const [certText, keyText] = [readFileSync(cert, 'utf8'), readFileSync(key, 'utf8')];
  assert.equal(await leases({ url: `rediss://${addr}`, tls: { ca: certText, cert: certText, key: keyText } }), true);
});

test('a server that nobody vouches for, or without a certificate of the client: no connection', async () => {
  assert.equal(await leases({ addr, tls: true }), false);
  assert.equal(await leases({ url: `rediss://${addr}` }), false);
  assert.equal(await leases({ addr, tls: { ca: cert } }), false);
});

test.run();
