// Leases and notes in Redis: of the hosts of a registry one at a time works on something.
//
// - A lease is a key with the holder's secret and a time to live; it is renewed at a third of that, and
//   renewed or given back only where the secret is still the holder's.
// - The holder counts its time from before it asked, by a clock that only measures: it knows that its
//   time is over before Redis does, also after a pause.
// - Tokens are microseconds of Redis's clock, or one more than the last where that has gone back. The last
//   is remembered until the clock is past it, and until nobody can take an older lease for his own any more.
import { type Coordinator, definePlugin, duration } from 'koa-registry';
import { checkRedisOptions, redisClient, redisShape } from 'koa-registry/plugins/redis/connection';
import { z } from 'zod';
import { RedisCoordinator } from './redis/coordinator.js';

const options = z
  .strictObject({
    ...redisShape,
    /** How long Redis may take to answer; after that leases cannot be had. Default: 1 s. */
    commandTimeout: duration({ min: 1, max: '1m' }).default(1_000),
  })
  .superRefine(checkRedisOptions);

/**
 * Leases and notes in Redis 5 or later, standalone, with sentinels, or a cluster. Needs the package
 * `ioredis`.
 *
 * Starts though Redis is away. While it is, leases are refused at once, and those that are held go on
 * until their time is over.
 */
export const redis = definePlugin({
  kind: 'coordination',
  name: 'redis',
  shared: true,
  options,
  create: async (chosen, { logger }): Promise<Coordinator> => {
    const { keyPrefix, commandTimeout, breaker } = chosen;
    const connection = { keyPrefix, commandTimeout, breaker, logger };
    const coordinator = new RedisCoordinator(await redisClient(chosen), connection);
    await coordinator.started;
    return coordinator;
  },
});
