// The shape of distribution's `config.yml`, as far as a registry within a service can honour it. The
// sections of the drivers are those of the plugins at hand.
import { z } from 'zod';
import { goDuration } from './go-duration.js';
import { middlewareSection } from './middleware-section.js';
import { notificationsSection } from './notifications-section.js';
import {
  type AnyPluginFactory,
  bindSection,
  delegatePlugin,
  exactlyOne,
  factoryOf,
  pluginSections,
} from './plugin-sections.js';
import { REDIS_SECTION, type RedisSection, redisOptions, redisPath } from './redis-section.js';

export type { AnyPluginFactory } from './plugin-sections.js';

/** The host application's own (it listens, it logs), or without meaning here. */
const hostsOwn = z.unknown().optional();

/** What distribution can do and this version cannot; silence about it would be a false promise. */
const unsupported = z
  .custom<null>((value) => value === undefined || value === null, { error: 'is not supported by this version' })
  .optional();

const flag = z.boolean().nullish();
const text = z.string().nullish();
const count = z.int().positive().nullish();
const patterns = z.array(z.string()).nullish();

function section<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape).nullish();
}

const STORAGE_SETTINGS = {
  delete: section({ enabled: flag }),
  maintenance: section({
    readOnly: section({ enabled: flag }),
    uploadPurging: section({
      enabled: flag,
      age: goDuration.nullish(),
      interval: goDuration.nullish(),
      dryRun: flag,
    }),
  }),
  tag: section({ concurrencyLimit: hostsOwn }),
};

const HTTP = section({
  addr: hostsOwn,
  net: hostsOwn,
  tls: hostsOwn,
  http2: hostsOwn,
  h2c: hostsOwn,
  debug: hostsOwn,
  drainTimeout: hostsOwn,
  host: text,
  prefix: text,
  relativeUrls: flag,
  secret: text.meta({ writeOnly: true }),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).nullish(),
});

const VALIDATION = section({
  enabled: flag,
  disabled: flag,
  manifests: section({ references: flag, urls: section({ allow: patterns, deny: patterns }), indexes: unsupported }),
});

/** What says where descriptors are kept; `layerInfo` is the older name. */
interface CacheSection {
  readonly blobDescriptor?: string | null | undefined;
  readonly layerInfo?: string | null | undefined;
}

/** Whether a document wants descriptors in Redis. */
export function cachesInRedis(cache: CacheSection | null | undefined): boolean {
  return (cache?.blobDescriptor ?? cache?.layerInfo) === 'redis';
}

function cacheSection(redis: AnyPluginFactory | undefined) {
  const place = z
    .enum(['inmemory', 'redis'], { error: 'only "inmemory" and "redis" are supported by this version' })
    .refine((name) => name !== 'redis' || redis !== undefined, 'needs the plugin cache/redis')
    .nullish();
  return (
    z
      .strictObject({ blobDescriptor: place, layerInfo: place, blobDescriptorSize: z.int().min(0).nullish() })
      // Of a cache in Redis distribution does not look at the size either.
      .refine((cache) => cachesInRedis(cache) || (cache.blobDescriptorSize ?? undefined) === undefined, {
        path: ['blobDescriptorSize'],
        error: 'is not supported by this version',
      })
      .nullish()
  );
}

/** The output is the plugin, where it is at hand. */
function redisSection(redis: AnyPluginFactory | undefined) {
  const build = (written: RedisSection, context: z.RefinementCtx) => {
    const options = redisOptions(written);
    return redis === undefined ? options : bindSection(redis, options, context, redisPath);
  };
  return REDIS_SECTION.transform(build).nullish();
}

/** The section `storage`, with those of the plugins of that kind. */
function storageSection(plugins: readonly AnyPluginFactory[], redis: AnyPluginFactory | undefined) {
  const canRedirect = delegatePlugin(plugins) !== undefined;
  const disable = flag.refine((disabled) => disabled !== false || canRedirect, 'needs the plugin layer/delegate');
  return z
    .strictObject({
      ...pluginSections(plugins, 'storage'),
      ...STORAGE_SETTINGS,
      cache: cacheSection(redis),
      redirect: section({ disable }),
    })
    .superRefine(exactlyOne('storage', plugins));
}

/** The schema of a document whose driver sections are those of `plugins`. */
export function configDocument(plugins: readonly AnyPluginFactory[]) {
  const redis = factoryOf(plugins, 'cache', 'redis');
  const auth = z.strictObject(pluginSections(plugins, 'auth'));
  const document = z.strictObject({
    version: hostsOwn,
    log: hostsOwn,
    logLevel: hostsOwn,
    reporting: hostsOwn,
    // The host application asks `registry(…).health()` as often as it likes.
    health: hostsOwn,
    storage: storageSection(plugins, redis),
    auth: auth.superRefine(exactlyOne('auth', plugins)).nullish(),
    http: HTTP,
    catalog: section({ maxEntries: count }),
    tags: section({ maxTags: count }),
    validation: VALIDATION,
    notifications: notificationsSection(plugins),
    proxy: unsupported,
    // Checked wherever it stands, and without effect unless the cache is to be there: it only says where a Redis is.
    redis: redisSection(redis),
    middleware: middlewareSection(plugins),
    policy: unsupported,
    compatibility: unsupported,
  });
  return document.refine(({ storage, redis: place }) => !cachesInRedis(storage?.cache) || isWritten(place), {
    path: ['redis'],
    error: 'required by storage.cache',
    // Whatever else is wrong: everything is said at once.
    when: () => true,
  });
}

function isWritten(section: unknown): boolean {
  return section !== undefined && section !== null;
}
