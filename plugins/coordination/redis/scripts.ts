// What is done with a lease in Redis, each in one atomic step.
import type { RedisClient } from 'koa-registry/plugins/redis/connection';
import type { Terms } from './lease.js';

/** A lease's name, and its keys: the holder's secret, and the last token. A cluster keeps both on one node. */
export interface LeaseName {
  readonly text: string;
  readonly holder: string;
  readonly token: string;
}

export function leaseName(prefix: string, text: string): LeaseName {
  const holder = `${prefix}{lease:${text}}`;
  return { text, holder, token: `${holder}:token` };
}

/** How long the last token is remembered, in milliseconds: longer than a clock goes back, and any lease lasts. */
const TOKEN_MEMORY = 86_400_000;

// A token has 16 digits, of which Lua would write 14.
const TAKE = `
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local token = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
redis.call('SET', KEYS[2], string.format('%.0f', token), 'PX', ARGV[3])
return token`;

// Redis may have forgotten the lease, by a restart or because it was renewed late. As long as nobody has
// had it since, it is still this holder's.
const KEEP = `
local holder = redis.call('GET', KEYS[1])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if holder and holder ~= ARGV[1] or last > tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1`;

const GIVE_BACK = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

/** The token; `undefined` when somebody has it. */
export async function take(client: RedisClient, name: LeaseName, owner: string, ttl: number) {
  const { holder, token } = name;
  const answer = Number(await client.eval(TAKE, 2, holder, token, owner, millis(ttl), millis(TOKEN_MEMORY + ttl)));
  return answer === 0 ? undefined : answer;
}

/** Renews it; `false` when somebody has it or has had it since. */
export async function keep(client: RedisClient, { name, owner, token, ttl }: Terms): Promise<boolean> {
  const memory = millis(TOKEN_MEMORY + ttl);
  return (await client.eval(KEEP, 2, name.holder, name.token, owner, millis(ttl), token, memory)) === 1;
}

export async function giveBack(client: RedisClient, name: LeaseName, owner: string): Promise<void> {
  await client.eval(GIVE_BACK, 1, name.holder, owner);
}

function millis(duration: number): number {
  return Math.max(1, Math.ceil(duration));
}
