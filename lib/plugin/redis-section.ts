// The section `redis` of distribution's configuration, as 2.8 and as 3 write it, in the words of the
// plugin cache/redis.
import { z } from 'zod';
import { goDuration } from './go-duration.js';
import type { OptionPath } from './option-path.js';

const text = z.string().nullish();
const secretText = text.meta({ writeOnly: true });
const texts = z.array(z.string()).nullish();
const duration = goDuration.nullish();

/**
 * How go-redis fills its pool, tries again, and presents itself. Here one connection carries all
 * commands, and what it cannot tell is asked of the store at once.
 */
const needless = z.unknown().optional();

/** A replica may still have what was deleted. */
const mastersOnly = z.literal(false, { error: 'is not supported by this version: only masters are asked' }).nullish();

const TLS = z.strictObject({
  enabled: z.boolean().nullish(),
  certificate: text,
  key: secretText,
  rootCas: texts.refine((files) => (files?.length ?? 0) <= 1, 'must be one file, which may hold several certificates'),
  // What only a server looks at; distribution 3.0 has it where later versions have rootcas.
  clientCas: texts.refine((files) => (files?.length ?? 0) === 0, 'has no effect on a client: use rootCas'),
});

type Tls = z.output<typeof TLS>;

function checkTls(tls: Tls, context: z.RefinementCtx): void {
  const refuse = (key: keyof Tls, message: string) => context.addIssue({ code: 'custom', path: [key], message });
  if (tls.certificate && !tls.key) refuse('key', 'required with "certificate"');
  if (tls.key && !tls.certificate) refuse('certificate', 'required with "key"');
  // Some versions of distribution would encrypt, others not.
  if (tls.enabled === false && tlsFiles(tls) !== undefined) refuse('enabled', 'contradicts the files beside it');
}

const FIELDS = z.strictObject({
  addr: text,
  addrs: texts,
  masterName: text,
  /** What others who build on distribution call `masterName`, with all sentinels in `addr`. */
  sentinelMasterSet: text,
  sentinelUsername: text,
  sentinelPassword: secretText,
  username: text,
  password: secretText,
  db: z.int().nullish(),
  dialTimeout: duration,
  readTimeout: duration,
  writeTimeout: duration,
  tls: TLS.superRefine(checkTls).nullish(),
  readOnly: mastersOnly,
  routeByLatency: mastersOnly,
  routeRandomly: mastersOnly,
  pool: needless,
  poolFifo: needless,
  poolSize: needless,
  poolTimeout: needless,
  minIdleConns: needless,
  maxIdleConns: needless,
  maxActiveConns: needless,
  connMaxIdleTime: needless,
  connMaxLifetime: needless,
  contextTimeoutEnabled: needless,
  maxRetries: needless,
  minRetryBackoff: needless,
  maxRetryBackoff: needless,
  maxRedirects: needless,
  protocol: needless,
  unstableResp3: needless,
  clientName: needless,
  disableIdentity: needless,
  identitySuffix: needless,
});

/** What the section says. */
export type RedisSection = z.output<typeof FIELDS>;

/** The schema of the section. */
export const REDIS_SECTION = FIELDS.refine((section) => addressesOf(section).length > 0, {
  path: ['addrs'],
  error: 'required, unless there is "addr"',
});

/** The options of cache/redis that the section stands for. */
export function redisOptions(section: RedisSection): object {
  const { username, password, sentinelUsername, sentinelPassword, db, dialTimeout, readTimeout, writeTimeout } =
    section;
  return said({
    ...placeOf(section),
    username,
    password,
    sentinelUsername,
    sentinelPassword,
    db,
    // In Go a time-out of zero is the default.
    dialTimeout: dialTimeout || undefined,
    // A command is written and answered within one time here, which is to suffice for either.
    commandTimeout: Math.max(readTimeout ?? 0, writeTimeout ?? 0) || undefined,
    tls: tlsFiles(section.tls) ?? (section.tls?.enabled || undefined),
  });
}

/** What a document calls differently than the plugin. */
const WRITTEN_AS: Readonly<Record<PropertyKey, string>> = {
  sentinels: 'addrs',
  cluster: 'addrs',
  commandTimeout: 'readTimeout',
};

/** Where in the section stands what became the plugin's option at `path`. */
export function redisPath(path: OptionPath): PropertyKey[] {
  return path.map((key) => WRITTEN_AS[key] ?? key);
}

function addressesOf({ addr, addrs }: RedisSection): readonly string[] {
  // Documents for either version of distribution have both.
  const written = addrs?.length ? addrs : (addr ?? '').split(',');
  return written.map((address) => address.trim()).filter((address) => address !== '');
}

/** As go-redis tells the three apart. */
function placeOf(section: RedisSection): object {
  const addresses = addressesOf(section);
  const sentinelMasterSet = section.masterName || section.sentinelMasterSet;
  if (sentinelMasterSet) return { sentinels: addresses, sentinelMasterSet };
  return addresses.length > 1 ? { cluster: addresses } : { addr: addresses[0] };
}

function tlsFiles(tls: Tls | null | undefined) {
  const files = said({ ca: tls?.rootCas?.[0], cert: tls?.certificate, key: tls?.key });
  return Object.keys(files).length > 0 ? files : undefined;
}

/** Without what was left out: in Go an empty text is one that nobody has written. */
function said(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => ![undefined, null, ''].includes(value)));
}
