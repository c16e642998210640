// What is done with a queue in Redis, each in one atomic step. A queue is a stream, and a counter of the bytes of its
// events; an entry of the stream has an event's id and its JSON.
//
// Positions in a stream are times: after a failover another event may stand where one was. So whoever removes an
// entry names the event, too.
import type { RedisClient } from 'koa-registry/plugins/redis/connection';

/** A cluster keeps both on one node. */
export interface QueueKeys {
  readonly stream: string;
  readonly bytes: string;
}

/** How much waits. */
export interface Standing {
  readonly length: number;
  readonly bytes: number;
}

/** An event's id and its JSON. */
export interface Addition {
  readonly id: string;
  readonly text: string;
}

/** An event in the queue. */
export interface Entry extends Addition {
  readonly position: string;
}

export function queueKeys(prefix: string, sink: string): QueueKeys {
  const stream = `${prefix}{queue:${sink}}`;
  return { stream, bytes: `${stream}:bytes` };
}

const STANDING = `
local length = redis.call('XLEN', KEYS[1])
local bytes = tonumber(redis.call('GET', KEYS[2]) or '0')
if length == 0 then bytes = 0 end`;

// The arguments are ids and texts in turns.
const ADD = `
for i = 1, #ARGV, 2 do
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[i], 'event', ARGV[i + 1])
  redis.call('INCRBY', KEYS[2], #ARGV[i + 1])
end
${STANDING}
return {length, bytes}`;

// As many as are asked for, or as fit, by what they take up on average.
const FIRST = `
${STANDING}
local count = tonumber(ARGV[1])
if bytes > 0 then count = math.min(count, math.max(1, math.floor(tonumber(ARGV[2]) * length / bytes))) end
return {length, bytes, redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', count) or {}}`;

// The arguments are positions and ids in turns. A stream that is empty stays, for it remembers which positions there
// have been; the counter begins anew.
const TAKE = `
for i = 1, #ARGV, 2 do
  local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  if entry and entry[2][2] == ARGV[i + 1] then
    redis.call('XDEL', KEYS[1], ARGV[i])
    redis.call('DECRBY', KEYS[2], #(entry[2][4] or ''))
  end
end
${STANDING}
if length == 0 then redis.call('DEL', KEYS[2]) end
return {length, bytes}`;

type Numbers = readonly [length: number, bytes: number];
type Fields = readonly [name: string, id: string, name?: string, text?: string];

function standingOf([length, bytes]: Numbers): Standing {
  return { length, bytes };
}

/** Finds out how much waits, and nothing else. */
export async function standing(client: RedisClient, { stream, bytes }: QueueKeys): Promise<Standing> {
  return standingOf((await client.eval(`${STANDING}\nreturn {length, bytes}`, 2, stream, bytes)) as Numbers);
}

/** Adds events at the end. */
export async function add(
  client: RedisClient,
  { stream, bytes }: QueueKeys,
  events: readonly Addition[],
): Promise<Standing> {
  const texts = events.flatMap(({ id, text }) => [id, text]);
  return standingOf((await client.eval(ADD, 2, stream, bytes, ...texts)) as Numbers);
}

/** The first entries, `count` at most, and about as many as `room` bytes hold. */
export async function first(
  client: RedisClient,
  { stream, bytes }: QueueKeys,
  count: number,
  room: number,
): Promise<Standing & { readonly entries: readonly Entry[] }> {
  const answer = await client.eval(FIRST, 2, stream, bytes, count, room);
  const [length, size, found] = answer as readonly [...Numbers, (readonly [position: string, fields: Fields])[]];
  const entries = found.map(([position, [, id, , text = '']]) => ({ position, id, text }));
  return { length, bytes: size, entries };
}

/** Removes entries, unless they are gone. */
export async function take(
  client: RedisClient,
  { stream, bytes }: QueueKeys,
  entries: readonly Entry[],
): Promise<Standing> {
  const names = entries.flatMap(({ position, id }) => [position, id]);
  return standingOf((await client.eval(TAKE, 2, stream, bytes, ...names)) as Numbers);
}
