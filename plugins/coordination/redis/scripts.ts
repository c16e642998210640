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

// Remembers the last token for twice the lease's time: a holder whose lease Redis has lost counts on it for one,
// and on an answer to its last renewal for another. And until the clock is past it, where that has gone back:
// then no later one can be less. A token has 16 digits, of which Lua would write 14.
const REMEMBER = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function remember(token)
  local ahead = math.max(0, math.ceil((token - now) / 1000))
  local life = 2 * tonumber(ARGV[2]) + ahead
  redis.call('SET', KEYS[2], string.format('%.0f', token), 'PX', string.format('%.0f', life))
end`;

const TAKE = `
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
${REMEMBER}
local token = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
remember(token)
return token`;

// Redis may have forgotten the lease, by a restart or because it was renewed late. As long as nobody has
// had it since, it is still this holder's.
const KEEP = `
local holder = redis.call('GET', KEYS[1])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if holder and holder ~= ARGV[1] or last > tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
${REMEMBER}
remember(tonumber(ARGV[3]))
return 1`;

const GIVE_BACK = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

/** The token; `undefined` when somebody has it. */
export async function take(client: RedisClient, name: LeaseName, owner: string, ttl: number) {
  const answer = Number(await client.eval(TAKE, 2, name.holder, name.token, owner, millis(ttl)));
  return answer === 0 ? undefined : answer;
}

/** Renews it; `false` when somebody has it or has had it since. */
export async function keep(client: RedisClient, { name, owner, token, ttl }: Terms): Promise<boolean> {
  return (await client.eval(KEEP, 2, name.holder, name.token, owner, millis(ttl), token)) === 1;
}

export async function giveBack(client: RedisClient, name: LeaseName, owner: string): Promise<void> {
  await client.eval(GIVE_BACK, 1, name.holder, owner);
}

function millis(duration: number): number {
  return Math.max(1, Math.ceil(duration));
}
