// A process that holds a lease and says what becomes of it, for tests that kill or pause its holder:
// `node dist/test/support/lease-holder.js <addr> <name> <ttl>`.
import { startPlugin } from 'koa-registry';
import { redis } from 'koa-registry/plugins/coordination/redis';

const [addr = '', name = '', ttl = ''] = process.argv.slice(2);
const { instance } = await startPlugin(redis({ addr }));
const lease = await instance.acquire(name, { ttl: Number(ttl), wait: 0 });
if (lease === undefined) throw new Error('somebody else has it');
lease.signal.addEventListener('abort', () => {
  const { message } = lease.signal.reason as Error;
  lease.confirm().then(
    () => process.stdout.write('confirmed\n'),
    (error: Error) => process.stdout.write(`lost: ${message === error.message}, ${message}\n`),
  );
});
process.stdout.write(`token ${lease.token}\n`);
