// Where a Redis is and how it is spoken to: the options that every plugin on Redis has.
import { duration, secret } from 'koa-registry';
import { z } from 'zod';

/** `host:port`, `host`, or `[::1]:port`. */
const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/;

const DEFAULT_PORT = 6379;

/** A server's place. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

function parseAddress(text: string): Address | undefined {
  const [, host, port = DEFAULT_PORT] = ADDRESS.exec(text) ?? [];
  return host === undefined || !isPort(Number(port)) ? undefined : { host: withoutBrackets(host), port: Number(port) };
}

function isPort(port: number): boolean {
  return port > 0 && port < 65_536;
}

function withoutBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

const address = z.string().transform((text, context): Address => {
  const parsed = parseAddress(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: 'must be a host, or host:port' });
  return z.NEVER;
});

const tls = z.strictObject({
  /** The certificate that signs the server's: PEM, or a path. Default: those that Node trusts. */
  ca: z.string().min(1).optional(),
  /** The client's own certificate: PEM, or a path. */
  cert: z.string().min(1).optional(),
  /** Its key: PEM, or a path. */
  key: secret(z.string().min(1)).optional(),
  /** The name that the server's certificate must have. Default: the host's. */
  servername: z.string().min(1).optional(),
});

const breaker = z.strictObject({
  /** After so many commands in a row that failed, Redis counts as away; so it does when a connection closes. Default: 3. */
  failures: z.int().min(1).default(3),
  /** How often Redis is asked whether it is there, and how long to wait before connecting again, at most. Default: 1 s. */
  pause: duration({ min: '10ms', max: '1m' }).default(1_000),
});

/** The options that every plugin on Redis has, by distribution's names where it has them. */
export const redisShape = {
  /** `redis://user:password@host:6379/0`, or `rediss://…` for TLS. */
  url: secret(z.string()).optional(),
  /** `host:port`. */
  addr: address.optional(),
  /** Sentinels, each `host:port`, that know where the master of `sentinelMasterSet` is. */
  sentinels: z.array(address).min(1).optional(),
  /** The name by which the sentinels know the master. */
  sentinelMasterSet: z.string().min(1).optional(),
  sentinelUsername: z.string().min(1).optional(),
  sentinelPassword: secret(z.string().min(1)).optional(),
  /** Some nodes of a Redis Cluster, each `host:port`; they tell of the others. */
  cluster: z.array(address).min(1).optional(),
  username: z.string().min(1).optional(),
  password: secret(z.string().min(1)).optional(),
  /** The number of the database. Default: the one in the URL, else 0. */
  db: z.int().min(0).optional(),
  /** Whether the connection is encrypted, and how. Default: with `rediss://`. */
  tls: z.union([z.boolean(), tls]).optional(),
  /** What every key begins with. */
  keyPrefix: z.string().default('koa-registry:'),
  /** How long a connection may take to come about. Default: 1 s. */
  dialTimeout: duration({ min: 1, max: '1m' }).default(1_000),
  /** When and for how long Redis is taken to be away, so that no request waits for it meanwhile. */
  breaker: breaker.prefault({}),
};

export type RedisOptions = z.output<z.ZodObject<typeof redisShape>>;

const PLACES = ['url', 'addr', 'sentinels', 'cluster'] as const;

/** Which of the options go together; for `superRefine`. */
export function checkRedisOptions(value: RedisOptions, context: z.RefinementCtx): void {
  const refuse = (option: keyof RedisOptions, message: string) =>
    context.addIssue({ code: 'custom', path: [option], message });
  const [place, another] = PLACES.filter((option) => value[option] !== undefined);
  if (place === undefined) refuse('addr', `required, unless there is one of ${PLACES.join(', ')}`);
  if (another !== undefined) refuse(another, `cannot stand beside "${place}": give one of them`);
  if (value.url !== undefined && parseRedisUrl(value.url) === undefined)
    refuse('url', 'must be redis://host:port/db or rediss://…');
  if (value.sentinels !== undefined && value.sentinelMasterSet === undefined)
    refuse('sentinelMasterSet', 'required with "sentinels"');
  for (const option of ['sentinelMasterSet', 'sentinelUsername', 'sentinelPassword'] as const) {
    if (value[option] !== undefined && value.sentinels === undefined)
      refuse(option, 'has no effect without "sentinels"');
  }
  if (value.cluster !== undefined && (value.db ?? 0) !== 0) refuse('db', 'a cluster has no other database than 0');
}

/** What a URL says. */
export interface RedisUrl extends Address {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  readonly encrypted: boolean;
}

const URL_FORM = /^(rediss?):\/\/[^/?#]+(?:\/(\d*))?$/;

/** Reads `redis://user:password@host:port/db`; `undefined` when it is anything else. */
export function parseRedisUrl(text: string): RedisUrl | undefined {
  const [, scheme, db = ''] = URL_FORM.exec(text) ?? [];
  if (scheme === undefined || !URL.canParse(text)) return undefined;
  const { hostname, port, username, password } = new URL(text);
  if (hostname === '' || port === '0') return undefined;
  try {
    return {
      host: withoutBrackets(hostname),
      port: port === '' ? DEFAULT_PORT : Number(port),
      username: decodeURIComponent(username) || undefined,
      password: decodeURIComponent(password) || undefined,
      db: Number(db),
      encrypted: scheme === 'rediss',
    };
  } catch {
    return undefined;
  }
}
