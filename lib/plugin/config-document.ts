// The shape of distribution's `config.yml`, as far as a registry within a service can honour it. The
// sections of the drivers are those of the plugins at hand.
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { z } from 'zod';
import type { PluginKind } from '../contracts/index.js';
import { inspectOptions } from './check-options.js';
import { bindPlugin, isPlugin, type Plugin, type PluginDefinition } from './define-plugin.js';
import { matchKeys } from './match-keys.js';
import { Outline } from './outline.js';

/** A factory made by `definePlugin`, whatever its options. */
export interface AnyPluginFactory {
  readonly definition: PluginDefinition<PluginKind, StandardSchemaV1>;
}

/** The host application's own (it listens, it logs), or without meaning here. */
const hostsOwn = z.unknown().optional();

/** What distribution can do and this version cannot; silence about it would be a false promise. */
const unsupported = z
  .custom<null>((value) => value === undefined || value === null, { error: 'is not supported by this version' })
  .optional();

const flag = z.boolean().nullish();
const text = z.string().nullish();
const count = z.int().positive().nullish();
const inMemory = z.literal('inmemory', { error: 'only "inmemory" is supported by this version' }).nullish();

function section<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape).nullish();
}

const STORAGE_SETTINGS = {
  delete: section({ enabled: flag }),
  cache: section({ blobDescriptor: inMemory, layerInfo: inMemory, blobDescriptorSize: unsupported }),
  maintenance: section({
    readOnly: section({ enabled: flag }),
    uploadPurging: section({
      enabled: z.literal(false, { error: 'is not supported by this version; set it to false' }),
      age: hostsOwn,
      interval: hostsOwn,
      dryRun: hostsOwn,
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
  // Whether distribution looks at `manifests.urls`, which are not looked at here.
  enabled: flag,
  disabled: flag,
  manifests: section({ references: flag, urls: unsupported, indexes: unsupported }),
});

/** What distribution calls differently. */
const OTHER_NAMES: Readonly<Record<string, string>> = { memory: 'inmemory' };

/** The section of a plugin's options; its output is the plugin. */
function pluginSection({ definition }: AnyPluginFactory) {
  const build = (written: unknown, context: z.RefinementCtx): Plugin => {
    const plugin = bindPlugin(definition, matchKeys(Outline.of(definition.options), written ?? {}));
    for (const { at, message } of inspectOptions(definition.options, plugin.options).problems ?? []) {
      context.addIssue({ code: 'custom', path: [...at], message });
    }
    return plugin;
  };
  return z.unknown().transform(build).optional();
}

/** A section for each plugin of a kind, under every name that it goes by. */
function pluginSections(plugins: readonly AnyPluginFactory[], kind: PluginKind) {
  const sections = plugins
    .filter(({ definition }) => definition.kind === kind)
    .flatMap((plugin) => {
      const { name } = plugin.definition;
      return [name, OTHER_NAMES[name] ?? name].map((key) => [key, pluginSection(plugin)] as const);
    });
  return Object.fromEntries(sections);
}

/** The plugins among the members of a section, in the order in which they are written. */
export function pluginsIn<K extends PluginKind>(members: object | null | undefined, kind: K): readonly Plugin<K>[] {
  return Object.values(members ?? {}).filter((member) => isPlugin(member, kind));
}

function exactlyOne(kind: PluginKind, plugins: readonly AnyPluginFactory[]) {
  const named = plugins.filter(({ definition }) => definition.kind === kind).map(({ definition }) => definition.name);
  return (members: object | null | undefined, context: z.RefinementCtx) => {
    if (pluginsIn(members, kind).length === 1) return;
    const choice = named.length === 0 ? `, but no plugin of kind ${kind} was handed over` : `: ${named.join(', ')}`;
    context.addIssue({ code: 'custom', message: `must have a section for exactly one plugin${choice}` });
  };
}

/** The plugin that redirects blobs to the backend, where it is at hand. */
export function redirectPlugin(plugins: readonly AnyPluginFactory[]): Plugin<'layer'> | undefined {
  const factory = plugins.find(({ definition }) => definition.kind === 'layer' && definition.name === 'redirect');
  return factory && pluginsIn([bindPlugin(factory.definition)], 'layer')[0];
}

/** The schema of a document whose driver sections are those of `plugins`. */
export function configDocument(plugins: readonly AnyPluginFactory[]) {
  const canRedirect = redirectPlugin(plugins) !== undefined;
  const disable = flag.refine((disabled) => disabled !== false || canRedirect, 'needs the plugin layer/redirect');
  const redirect = section({ disable });
  const storage = z.strictObject({ ...pluginSections(plugins, 'storage'), ...STORAGE_SETTINGS, redirect });
  const auth = z.strictObject(pluginSections(plugins, 'auth'));
  return z.strictObject({
    version: hostsOwn,
    log: hostsOwn,
    logLevel: hostsOwn,
    reporting: hostsOwn,
    // The host application asks `registry(…).health()` as often as it likes.
    health: hostsOwn,
    storage: storage.superRefine(exactlyOne('storage', plugins)),
    auth: auth.superRefine(exactlyOne('auth', plugins)).nullish(),
    http: HTTP,
    catalog: section({ maxEntries: count }),
    tags: section({ maxTags: count }),
    validation: VALIDATION,
    notifications: unsupported,
    proxy: unsupported,
    redis: unsupported,
    middleware: unsupported,
    policy: unsupported,
    compatibility: unsupported,
  });
}
