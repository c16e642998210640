// Makes a client of ioredis: to one server, to the master that sentinels name, or to a cluster. What it
// cannot send at once it refuses, and what was lost with a connection is never sent again.
import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import type { Cluster, Redis } from 'ioredis';
import { optionalPeer } from 'koa-registry';
import { parseRedisUrl, type RedisOptions } from './options.js';

/** What all of them can do. */
export type RedisClient = Redis | Cluster;

/** How long the other end may take to close a connection that this one has closed, in milliseconds. */
const FAREWELL = 100;

/**
 * A client that connects by itself, again and again. It rejects commands while it is not connected.
 *
 * @throws MissingPeerError without ioredis; an error of the file system for a certificate that cannot be read.
 */
export async function redisClient(options: RedisOptions): Promise<RedisClient> {
  const { Redis, Cluster } = await optionalPeer('ioredis', () => import('ioredis'));
  const url = options.url === undefined ? undefined : parseRedisUrl(options.url);
  const tls = await tlsOptions(options.tls ?? url?.encrypted ?? false);
  const shared = {
    ...conduct(options),
    ...present({ username: options.username ?? url?.username, password: options.password ?? url?.password, tls }),
  };
  if (options.cluster !== undefined) {
    return new Cluster([...options.cluster], {
      enableOfflineQueue: false,
      clusterRetryStrategy: pauses(options),
      slotsRefreshTimeout: options.dialTimeout,
      redisOptions: shared,
    });
  }
  const place = url ?? options.addr;
  const sentinel = options.sentinels === undefined ? {} : sentinelOptions(options, tls);
  return new Redis({
    ...shared,
    ...sentinel,
    ...(place && { host: place.host, port: place.port }),
    db: options.db ?? url?.db ?? 0,
    enableOfflineQueue: false,
    retryStrategy: pauses(options),
  });
}

/**
 * The servers that take writes: each master of a cluster, or the one that is connected to.
 *
 * @throws Error when none of the cluster is known.
 */
export function mastersOf(client: RedisClient): readonly Redis[] {
  if (!('nodes' in client)) return [client];
  const masters = client.nodes('master');
  if (masters.length === 0) throw new Error('no master of the cluster is known');
  return masters;
}

/**
 * Has the client of a cluster find out who the masters are: otherwise it hears of others only when it is sent on
 * to them. (The option of ioredis for this does not end with the client when that is closed in the middle of it.)
 */
export function refreshMasters(client: RedisClient): void {
  if ('nodes' in client && client.status === 'ready') client.refreshSlotsCache();
}

/** Ends what has come about of a connection, so that the client connects again; what comes about ends by itself. */
export function hangUp(client: RedisClient): void {
  if (client.status === 'connect' || client.status === 'ready') client.disconnect(true);
}

/** Grows from nearly nothing; half of it is chance, so that many hosts do not come back in one moment. */
function pauses({ breaker }: RedisOptions): (attempt: number) => number {
  return (attempt) => Math.ceil(Math.min(breaker.pause, 10 * 2 ** attempt) * (0.5 + Math.random() / 2));
}

/** What is the same for each connection. */
function conduct({ dialTimeout, breaker }: RedisOptions) {
  return {
    connectTimeout: dialTimeout,
    disconnectTimeout: FAREWELL,
    // A command that was under way fails with its connection: sent again later, it could undo what came after.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    maxLoadingRetryTime: breaker.pause,
    // After a failover the old master is still there, and refuses to write.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
}

function sentinelOptions(options: RedisOptions, tls: ConnectionOptions | undefined) {
  const { sentinels = [], sentinelMasterSet, sentinelUsername, sentinelPassword } = options;
  return {
    sentinels: [...sentinels],
    sentinelRetryStrategy: pauses(options),
    sentinelCommandTimeout: options.dialTimeout,
    ...present({ name: sentinelMasterSet, sentinelUsername, sentinelPassword }),
    ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: tls }),
  };
}

async function tlsOptions(tls: NonNullable<RedisOptions['tls']>): Promise<ConnectionOptions | undefined> {
  if (tls === false) return undefined;
  if (tls === true) return {};
  const [ca, cert, key] = await Promise.all([tls.ca, tls.cert, tls.key].map(pem));
  return present({ ca, cert, key, servername: tls.servername });
}

async function pem(text: string | undefined): Promise<string | undefined> {
  return text === undefined || text.includes('-----BEGIN') ? text : readFile(text, 'utf8');
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the members that are `undefined`: ioredis takes those for settings. */
function present<T extends object>(options: T): Present<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Present<T>;
}
