// Turns a configuration file in the shape of distribution's `config.yml` into the options of
// `registry()`. Reading the file and its YAML is the caller's.
import { OptionsError } from '../errors.js';
import { checkOptions } from './check-options.js';
import { isPlainObject } from './clone-options.js';
import { type AnyPluginFactory, cachesInRedis, configDocument } from './config-document.js';
import type { Plugin } from './define-plugin.js';
import { matchKeys } from './match-keys.js';
import { middlewarePlugin } from './middleware-section.js';
import { configuredSinks } from './notifications-section.js';
import { Outline } from './outline.js';
import { delegatePlugin, pluginsIn } from './plugin-sections.js';

/** What a configuration file can say: a part of the options of `registry()`, to be spread into the rest. */
export interface ConfiguredOptions {
  readonly storage: Plugin<'storage'>;
  readonly cache?: Plugin<'cache'> | undefined;
  readonly auth?: Plugin<'auth'> | undefined;
  readonly layer?: Plugin<'layer'> | undefined;
  readonly notifications?: { readonly sinks?: Plugin<'notification'>[] | undefined } | undefined;
  readonly prefix?: string | undefined;
  readonly readOnly?: boolean | undefined;
  readonly delete?: { readonly enabled?: boolean | undefined } | undefined;
  readonly uploads?: { readonly purge?: ConfiguredPurge | undefined } | undefined;
  readonly http?: ConfiguredHttp | undefined;
  readonly tags?: { readonly maxEntries?: number | undefined } | undefined;
  readonly catalog?: { readonly maxEntries?: number | undefined } | undefined;
  readonly validation?: { readonly manifests?: ConfiguredManifests | undefined } | undefined;
}

/** Durations are milliseconds. */
interface ConfiguredPurge {
  readonly enabled?: boolean | undefined;
  readonly age?: number | undefined;
  readonly interval?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

interface ConfiguredManifests {
  readonly references?: boolean | undefined;
  readonly urls?: { readonly allow?: string[] | undefined; readonly deny?: string[] | undefined } | undefined;
}

interface ConfiguredHttp {
  readonly host?: string | undefined;
  readonly relativeUrls?: boolean | undefined;
  readonly secret?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/**
 * The options that a document in the shape of distribution's `config.yml` asks for, with the plugins
 * at hand: `storage: { gcs: { bucket } }` needs the factory `gcs`. Keys may be written as
 * distribution writes them (`rootdirectory`) or as the plugin does (`rootDirectory`).
 *
 * ```ts
 * registry({ ...fromConfig(parse(await readFile('config.yml', 'utf8')), [filesystem, htpasswd]), logger });
 * ```
 *
 * What belongs to the host application is skipped: `version`, `log`, and of `http` the address, TLS,
 * HTTP/2, debug server and drain time-out. So are settings whose effect the registry has anyway
 * (`storage.cache` in memory, `storage.tag.concurrencylimit`, the pool of `redis`).
 *
 * A blob is redirected as `middleware.storage` says (`cloudfront`, `redirect`, `rewrite`: layer plugins of these names),
 * or else to the backend where a plugin `layer/delegate` is among those handed over, unless
 * `storage.redirect.disable` forbids both. Descriptors are kept in the Redis of the section `redis`
 * where `storage.cache` says so, which needs a plugin `cache/redis`. Coordination is not switched on by a
 * document: distribution has none. `notifications.endpoints` need the plugin `notification/webhook`.
 *
 * @param document the parsed YAML or JSON; it is neither changed nor kept.
 * @throws OptionsError with everything in the document that is wrong, unknown, or not supported.
 */
export function fromConfig(document: unknown, plugins: readonly AnyPluginFactory[]): ConfiguredOptions {
  const schema = configDocument(plugins);
  const { value, problems } = checkOptions(schema, spellOut(matchKeys(Outline.of(schema), document)));
  if (problems !== undefined) throw new OptionsError(problems);
  const [storage] = pluginsIn(value.storage, 'storage');
  const [auth] = pluginsIn(value.auth, 'auth');
  if (storage === undefined) throw new OptionsError([{ path: 'storage', message: 'required' }]);
  const [cache] = cachesInRedis(value.storage.cache) ? pluginsIn([value.redis], 'cache') : [];
  const { http, catalog, tags, validation } = value;
  return withoutAbsent({
    storage,
    cache,
    auth,
    layer:
      value.storage.redirect?.disable === true
        ? undefined
        : (middlewarePlugin(value.middleware) ?? delegatePlugin(plugins)),
    notifications: { sinks: configuredSinks(value.notifications) },
    prefix: http?.prefix ?? undefined,
    readOnly: value.storage.maintenance?.readOnly?.enabled ?? undefined,
    delete: { enabled: value.storage.delete?.enabled ?? undefined },
    uploads: { purge: configuredPurge(value.storage.maintenance?.uploadPurging) },
    http: {
      host: http?.host ?? undefined,
      relativeUrls: http?.relativeUrls ?? undefined,
      secret: http?.secret ?? undefined,
      headers: joinHeaders(http?.headers ?? {}),
    },
    tags: { maxEntries: tags?.maxTags ?? undefined },
    catalog: { maxEntries: catalog?.maxEntries ?? undefined },
    validation: { manifests: configuredManifests(validation) },
  });
}

type Written<T> = { readonly [K in keyof T]?: T[K] | null };

function configuredPurge(written: Written<ConfiguredPurge> | null | undefined): ConfiguredPurge {
  return {
    enabled: written?.enabled ?? undefined,
    age: written?.age ?? undefined,
    interval: written?.interval ?? undefined,
    dryRun: written?.dryRun ?? undefined,
  };
}

interface WrittenValidation {
  readonly enabled?: boolean | null | undefined;
  readonly disabled?: boolean | null | undefined;
  readonly manifests?:
    | (Written<Omit<ConfiguredManifests, 'urls'>> & {
        readonly urls?: Written<NonNullable<ConfiguredManifests['urls']>> | null | undefined;
      })
    | null
    | undefined;
}

/** Of lists that are switched off distribution takes no notice; where there are none it allows nothing. */
function configuredManifests(written: WrittenValidation | null | undefined): ConfiguredManifests {
  const { references, urls } = written?.manifests ?? {};
  if (written?.disabled === true && written.enabled !== true) return { references: references ?? undefined };
  const [allow, deny] = [urls?.allow ?? [], urls?.deny ?? []];
  return {
    references: references ?? undefined,
    urls: {
      allow: allow.length === 0 && deny.length > 0 ? undefined : allow,
      deny: deny.length > 0 ? deny : undefined,
    },
  };
}

/** distribution lets `storage: inmemory` stand for a section without options. */
function spellOut(document: unknown): unknown {
  if (!isPlainObject(document)) return document;
  const sections = ['storage', 'auth'].filter((name) => typeof document[name] === 'string');
  return { ...document, ...Object.fromEntries(sections.map((name) => [name, { [String(document[name])]: null }])) };
}

function joinHeaders(headers: Readonly<Record<string, string | readonly string[]>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')]));
}

/** Drops members that are `undefined`, and groups in which nothing is left. */
function withoutAbsent<T extends object>(options: T): T {
  const entries = Object.entries(options).map(([key, value]) => [
    key,
    isPlainObject(value) ? withoutAbsent(value) : value,
  ]);
  const present = entries.filter(
    ([, value]) => !(value === undefined || (isPlainObject(value) && Object.keys(value).length === 0)),
  );
  return Object.fromEntries(present) as T;
}
