// The options of a registry: one schema, checked at once, every key explained.
import { z } from 'zod';
import type { Logger } from './contracts/index.js';
import { OptionsError } from './errors.js';
import { http, mirror } from './options/http.js';
import { federation, offload, urls } from './options/layers.js';
import { notifications } from './options/notifications.js';
import { checkOptions, duration, pluginOf, size } from './plugin/index.js';

const LOG_METHODS = ['debug', 'info', 'warn', 'error', 'child'] as const;

function isLogger(value: unknown): value is Logger {
  return (
    typeof value === 'object' &&
    value !== null &&
    LOG_METHODS.every((name) => typeof Reflect.get(value, name) === 'function')
  );
}

const prefix = z
  .string()
  .regex(/^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)*\/?$/, 'must be a path such as "/portal"')
  .refine((path) => !/\/v2\/?$/.test(path), 'is what precedes "/v2": leave that off')
  .transform((path) => path.replace(/\/$/, ''));

const failedLogins = z.strictObject({
  /** Whether failed logins with a password are counted, by name and address, in this process. Default: true. */
  enabled: z.boolean().default(true),
  /** How long the answer to the first failure is held back; it doubles with each. Default: 200 ms. */
  delay: duration().default(200),
  /** The longest that an answer is held back. At most 10 s. Default: 5 s. */
  maxDelay: duration({ max: '10s' }).default(5_000),
  /** After so many failures that name is answered 429 at that address, unless with credentials that were right lately. Default: 20. */
  limit: z.int().min(1).default(20),
  /** For how long failures are remembered after the last one. Default: 15 min. */
  window: duration({ min: '1s' }).default(900_000),
});

const purge = z.strictObject({
  /** Whether uploads that nobody goes on with are removed, by one host of all that share the store. Default: true. */
  enabled: z.boolean().default(true),
  /**
   * For how long nobody has touched an upload that is removed: neither begun nor appended. At least an hour, as
   * what a slow client sends may be gathered for that long before it is stored. Default: 7 days.
   */
  age: duration({ min: '1h' }).prefault('7d'),
  /** How long after the end of a purge the next one begins, whichever host it is. Default: 24 h. */
  interval: duration({ min: '1m' }).prefault('24h'),
  /** Only say in the log how many uploads would be removed. Default: false. */
  dryRun: z.boolean().default(false),
});

const fields = z.strictObject({
  /** Where content is kept. */
  storage: pluginOf('storage'),
  /** What precedes `/v2` in the path: `/portal`. Not needed below koa-mount. Default: nothing. */
  prefix: prefix.default(''),
  /** What the registry remembers of the store. Default: in this process's memory. */
  cache: pluginOf('cache').optional(),
  /** Who may do what. Default: everybody everything, and the log says so. */
  auth: pluginOf('auth').optional(),
  /** What becomes of those who guess passwords. */
  failedLogins: failedLogins.prefault({}),
  /** Who is told of pushes, pulls, mounts and deletes. */
  notifications: notifications.prefault({}),
  /** Keeps several hosts out of each other's way. Default: the requests of this process take turns. */
  coordination: pluginOf('coordination').optional(),
  /** Sends clients elsewhere for the bytes of a blob. Default: the registry streams them. */
  layer: pluginOf('layer').optional(),
  /** When `layer` is asked, and what becomes of its failures. */
  offload: offload.prefault({}),
  /**
   * Sites that have layers which are not here. A manifest may be pushed without them, and whoever asks for them is
   * redirected. The first site that serves a layer is taken, before the URLs that a manifest itself names.
   */
  federation,
  /** Manifest formats besides OCI images and indexes, Docker schema 2 images and Docker lists. */
  formats: z.array(pluginOf('format')).default([]),
  delete: z
    .strictObject({
      /** Whether blobs, manifests and tags may be deleted. Default: false. */
      enabled: z.boolean().default(false),
    })
    .prefault({}),
  /** Refuse every change. May be switched while the registry runs, by `registry(…).readOnly`. Default: false. */
  readOnly: z.boolean().default(false),
  uploads: z
    .strictObject({
      /** The least size of a chunk but the last, as told to clients in `OCI-Chunk-Min-Length`. Default: 1. */
      minChunkBytes: size({ min: 1 }).default(1),
      /**
       * Where the state of an upload is between two requests: in the `Location` that the client follows, signed
       * with `http.secret`, or among the notes of `coordination`. Default: `location`.
       */
      state: z.enum(['location', 'coordination']).default('location'),
      /** What becomes of uploads that nobody goes on with. */
      purge: purge.prefault({}),
    })
    .prefault({}),
  http: http.prefault({}),
  tags: z
    .strictObject({
      /** The most tags that one page has. Default: 1000. */
      maxEntries: z.int().min(1).default(1000),
    })
    .prefault({}),
  catalog: z
    .strictObject({
      /** The most repositories that one page has. Default: 1000. */
      maxEntries: z.int().min(1).default(1000),
    })
    .prefault({}),
  validation: z
    .strictObject({
      manifests: z
        .strictObject({
          /** Whether a manifest is refused when a blob or manifest that it refers to is not in its repository. Default: true. */
          references: z.boolean().default(true),
          /** Which URLs a manifest may name as the place of a layer: by the rest it is refused. */
          urls: urls.prefault({}),
        })
        .prefault({}),
    })
    .prefault({}),
  metadata: z
    .strictObject({
      /** Whether `GET <prefix>/` answers the endpoint document. Default: false. */
      enabled: z.boolean().default(false),
      /** Where a client should look for what is not here, such as `v1`. */
      fallback: z.string().optional(),
      /** Where the same content may be pulled. */
      mirrors: z.array(mirror).default([]),
    })
    .prefault({}),
  /** pino's interface. Default: pino itself, writing JSON to the standard output. */
  logger: z.custom<Logger>(isLogger, 'must have the methods of a pino logger').optional(),
});

const schema = fields.refine(
  ({ uploads, coordination }) => uploads.state === 'location' || coordination !== undefined,
  {
    path: ['uploads', 'state'],
    message: 'needs the option coordination',
  },
);

/** What `registry()` takes. */
export type RegistryOptions = z.input<typeof schema>;

/** The same with all defaults. */
export type ResolvedOptions = z.output<typeof schema>;

/** @throws OptionsError with every problem of the options and of all plugins' options. */
export function resolveOptions(options: RegistryOptions): ResolvedOptions {
  const checked = checkOptions(schema, options);
  if (checked.problems !== undefined) throw new OptionsError(checked.problems);
  return checked.value;
}
