// The cluster as plain processes on one machine: Redis, a bucket, three hosts, and nginx in front.
//
//   npm run build && node dist/examples/cluster/start.js
//
// Needs redis-server, nginx and versitygw, which is an S3 server over a folder. PORT is the balancer's, all
// other ports are free ones. What is pushed is kept in CLUSTER_ROOT.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { balancerConfig, nginxConfig } from './balancer.js';
import { freePort, Processes } from './processes.js';

const { PORT = '5000', CLUSTER_ROOT = './data/cluster', LOG_LEVEL = 'warn' } = process.env;

const SERVER = fileURLToPath(new URL('server.js', import.meta.url));
const NAMES = ['registry-1', 'registry-2', 'registry-3'];

const processes = new Processes();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void processes.stop());

const root = resolve(CLUSTER_ROOT);
const scratch = await mkdtemp(join(tmpdir(), 'koa-registry-cluster-'));
for (const folder of [join(root, 'redis'), join(root, 'buckets', 'layers')]) await mkdir(folder, { recursive: true });

// Nobody waits for anybody: what a host needs may come later.
const redisPort = await freePort();
processes.run('redis-server', [
  ...['--port', `${redisPort}`, '--bind', '127.0.0.1', '--dir', join(root, 'redis')],
  ...['--appendonly', 'yes', '--maxmemory-policy', 'noeviction', '--loglevel', 'warning'],
]);

const bucketPort = await freePort();
const [ID, KEY] = ['registry', randomBytes(32).toString('hex')];
processes.run('versitygw', ['--quiet', '--port', `127.0.0.1:${bucketPort}`, 'posix', join(root, 'buckets')], {
  ROOT_ACCESS_KEY_ID: ID,
  ROOT_SECRET_ACCESS_KEY: KEY,
});

const shared = {
  SECRET: randomBytes(32).toString('hex'),
  REDIS_URL: `redis://127.0.0.1:${redisPort}`,
  STORE: 's3',
  BUCKET: 'layers',
  ENDPOINT: `http://127.0.0.1:${bucketPort}`,
  AWS_ACCESS_KEY_ID: ID,
  AWS_SECRET_ACCESS_KEY: KEY,
  HOST: '127.0.0.1',
  LOG_LEVEL,
};
const hosts: string[] = [];
for (const NAME of NAMES) {
  const port = await freePort();
  processes.run(process.execPath, [SERVER], { ...shared, NAME, PORT: `${port}` });
  hosts.push(`127.0.0.1:${port}`);
}

const front = `127.0.0.1:${Number(PORT) || (await freePort())}`;
const config = join(scratch, 'nginx.conf');
await writeFile(config, nginxConfig(balancerConfig(front, hosts), scratch));
processes.run('nginx', ['-e', 'stderr', '-p', scratch, '-c', config]);

for (const host of hosts) await untilHealthy(host);
if (!processes.stopping) {
  console.log(
    `The cluster listens on http://${front}/v2/ - try: skopeo copy --dest-tls-verify=false oci:IMAGE docker://${front}/hello:latest`,
  );
}
await processes.ended;
await rm(scratch, { recursive: true, force: true });

async function untilHealthy(host: string): Promise<void> {
  while (!processes.stopping) {
    const answer = await fetch(`http://${host}/healthz`).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
    await delay(100);
  }
}
