// One host of a registry that runs on several. It keeps nothing itself: content is in a bucket, what the
// hosts remember and who has the turn is in Redis, and how far an upload is travels with the client, signed.
// So any host can answer any request, and any of them may go at any time.
//
// Everything comes from the environment, and is the same on every host but NAME, HOST and PORT:
//   STORE, BUCKET, ENDPOINT     `s3` or `gcs`, the bucket, and where it is if not at the provider's own address
//   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, GOOGLE_APPLICATION_CREDENTIALS
//                               read by the SDKs, which know other ways too
//   REDIS_URL                   `redis://user:password@host:6379/0`, or `rediss://…`
//   SECRET                      signs the state of uploads
//   NAME, HOST, PORT, LOG_LEVEL
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import Koa from 'koa';
import { registry } from 'koa-registry';
import { redis as redisCache } from 'koa-registry/plugins/cache/redis';
import { redis as redisLeases } from 'koa-registry/plugins/coordination/redis';
import { gcs } from 'koa-registry/plugins/storage/gcs';
import { s3 } from 'koa-registry/plugins/storage/s3';
import { pino } from 'pino';

const { STORE = 's3', BUCKET = 'layers', ENDPOINT, REDIS_URL = 'redis://127.0.0.1:6379', SECRET } = process.env;
const { NAME = hostname(), HOST = '127.0.0.1', PORT = '5000', LOG_LEVEL = 'info' } = process.env;

// Without one each host would sign for itself, and refuse what the others have begun.
if (!SECRET) throw new Error('SECRET is missing: any long random text, the same on every host');
if (STORE !== 's3' && STORE !== 'gcs') throw new Error(`STORE is s3 or gcs, not ${JSON.stringify(STORE)}`);

const images = registry({
  storage:
    STORE === 'gcs'
      ? gcs({ bucket: BUCKET, apiEndpoint: ENDPOINT })
      : s3({ bucket: BUCKET, endpoint: ENDPOINT, secure: !ENDPOINT?.startsWith('http:') }),
  cache: redisCache({ url: REDIS_URL }),
  coordination: redisLeases({ url: REDIS_URL }),
  http: { secret: SECRET, headers: { 'X-Served-By': NAME } },
  delete: { enabled: true },
  logger: pino({ name: NAME, level: LOG_LEVEL }),
});

// The balancer in front says under which address clients know us, and who they are.
const app = new Koa({ proxy: true, maxIpsCount: 1 });

app.use(async (ctx, next) => {
  if (ctx.path === '/healthz') {
    const health = await images.health();
    ctx.status = health.ready ? 200 : 503;
    ctx.body = health;
  } else if (ctx.path === '/counters') {
    ctx.body = images.counters();
  } else {
    await next();
  }
});
app.use(images);

// A large layer over a slow line takes longer than Node's five minutes.
const server = createServer({ requestTimeout: 0 }, app.callback());
server.listen(Number(PORT), HOST, () => {
  console.log(`${NAME} listens on http://${HOST}:${PORT}/v2/`);
  // Whether or not the bucket is there yet: until it is, the answer is 503, and the start is tried again.
  images.ready().catch((error: Error) => console.error(`${NAME}: ${error.message}`));
});

// What is under way ends, what comes anew goes to the other hosts.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close(() => void images.close());
    server.closeIdleConnections();
  });
}
