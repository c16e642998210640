// A store that shows writes later than a request waits for, under two registries that share Redis: the
// client is answered 503, and its next try succeeds.
import { lateStorageSuite } from 'koa-registry/conformance';
import { redis as redisCache } from 'koa-registry/plugins/cache/redis';
import { redis } from 'koa-registry/plugins/coordination/redis';
import { memory } from 'koa-registry/plugins/storage/memory';
import { RedisServer } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';

const test = suiteNeeding('two hosts on a very late store', ['redis-server']);
let shared: RedisServer;

test.before(async () => {
  shared = await RedisServer.start();
});
test.after(() => shared.stop());

lateStorageSuite(
  test,
  () => memory(),
  {},
  {
    delay: 1_800,
    shared: () => ({ coordination: redis({ addr: shared.addr }), cache: redisCache({ addr: shared.addr }) }),
  },
);
test.run();
