// A cache of descriptors in Redis, shared by the hosts of a registry. It fails open, and answers nothing
// that was deleted, on any host.
//
// - `delete` leaves a tombstone for longer than a look into the store takes, and `set` writes only where
//   nothing stands: a look-up that began before cannot bring back what it found.
// - Unless Redis confirms it, `delete` resolves only when an outage has lasted so long that the
//   heartbeat of every host has noticed. What it could not delete is remembered, and made up for before
//   this host takes Redis for there again; no host uses it before the slowest has had time to do so.
// - Redis may come back without its last writes. Keys carry the era, which is another one after each
//   restart and failover; in a new era a host writes nothing before its own look-ups from the old one
//   are over. Hosts see an era end within a heartbeat of each other: `delete` tells the last few.
import { type DescriptorCache, definePlugin, duration } from 'koa-registry';
import { checkRedisOptions, redisClient, redisShape } from 'koa-registry/plugins/redis/connection';
import { z } from 'zod';
import { type CacheSettings, RedisCache } from './redis/cache.js';

const options = z
  .strictObject({
    ...redisShape,
    /** For how long a descriptor is remembered; being asked for does not prolong it. Default: 1 h. */
    expiry: duration({ min: '1s' }).default(3_600_000),
    /** No look into the store may take longer: for so long after a delete nothing is remembered at its place. Default: 5 min. */
    tombstone: duration({ min: '100ms' }).default(300_000),
    /** How long Redis may take to answer; after that the store is asked. Default: 250 ms. */
    commandTimeout: duration({ min: 1, max: '1m' }).default(250),
  })
  .superRefine(checkRedisOptions);

/**
 * Longer than the slowest host needs to connect again once Redis is back, and to say what it has deleted meanwhile.
 * Where another may take over, it first has to give up a master that hangs.
 */
function graceOf({ dialTimeout, breaker, commandTimeout, sentinels = [], cluster = [] }: z.output<typeof options>) {
  const places = 1 + sentinels.length + cluster.length;
  const masters = places > 1 ? 2 : 1;
  return 2 * (places * dialTimeout + masters * (breaker.pause + commandTimeout));
}

/**
 * Descriptors in Redis 5 or later, standalone, with sentinels, or a cluster. Needs the package `ioredis`.
 *
 * Starts though Redis is away, and is used some seconds after it is there. All hosts of a registry should
 * have the same options.
 */
export const redis = definePlugin({
  kind: 'cache',
  name: 'redis',
  shared: true,
  options,
  create: async (chosen, { logger }): Promise<DescriptorCache> => {
    const { keyPrefix, expiry, tombstone, commandTimeout, breaker } = chosen;
    const settings: CacheSettings = { expiry, tombstone, grace: graceOf(chosen) };
    const cache = new RedisCache(await redisClient(chosen), settings, { keyPrefix, commandTimeout, breaker, logger });
    await cache.known;
    return cache;
  },
});
