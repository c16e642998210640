// The sections of a configuration that are a plugin's: which plugins are at hand, and how what is written
// becomes one of them with its options.
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { z } from 'zod';
import type { PluginKind } from '../contracts/index.js';
import { inspectOptions } from './check-options.js';
import { isPlainObject } from './clone-options.js';
import { bindPlugin, isPlugin, type Plugin, type PluginDefinition } from './define-plugin.js';
import { matchKeys } from './match-keys.js';
import type { OptionPath } from './option-path.js';
import { Outline } from './outline.js';
import { bareKey } from './unknown-keys.js';

/** A factory made by `definePlugin`, whatever its options. */
export interface AnyPluginFactory {
  readonly definition: PluginDefinition<PluginKind, StandardSchemaV1>;
}

/** What distribution calls differently. */
const OTHER_NAMES: Readonly<Record<string, string>> = { memory: 'inmemory', s3: 's3aws' };

/** The plugin with these options, whose problems become the section's. */
export function bindSection(
  { definition }: AnyPluginFactory,
  options: unknown,
  context: z.RefinementCtx,
  writtenAt: (path: OptionPath) => OptionPath = (path) => path,
): Plugin {
  const plugin = bindPlugin(definition, options);
  for (const { at, message } of inspectOptions(definition.options, plugin.options).problems ?? []) {
    context.addIssue({ code: 'custom', path: [...writtenAt(at)], message });
  }
  return plugin;
}

/** As {@link bindSection}, of options as distribution writes them. */
export function boundSection(
  factory: AnyPluginFactory,
  written: unknown,
  context: z.RefinementCtx,
  writtenAt?: (path: OptionPath) => OptionPath,
): Plugin {
  const { definition } = factory;
  const outline = Outline.of(definition.options);
  const ignored = new Set(definition.ignores?.map(bareKey));
  return bindSection(factory, withoutIgnored(ignored, outline, matchKeys(outline, written ?? {})), context, writtenAt);
}

/** The section of a plugin's options; its output is the plugin. */
function pluginSection(factory: AnyPluginFactory) {
  const build = (written: unknown, context: z.RefinementCtx): Plugin => boundSection(factory, written, context);
  return z.unknown().transform(build).optional();
}

function withoutIgnored(ignored: ReadonlySet<string>, outline: Outline | undefined, section: unknown): unknown {
  if (ignored.size === 0 || !isPlainObject(section)) return section;
  const kept = Object.entries(section).filter(([key]) => outline?.member(key) || !ignored.has(bareKey(key)));
  return Object.fromEntries(kept);
}

/** A section for each plugin of a kind, under every name that it goes by. */
export function pluginSections(plugins: readonly AnyPluginFactory[], kind: PluginKind) {
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

/** Refuses a section that has not exactly one plugin of its kind; for `superRefine`. */
export function exactlyOne(kind: PluginKind, plugins: readonly AnyPluginFactory[]) {
  const named = plugins.filter(({ definition }) => definition.kind === kind).map(({ definition }) => definition.name);
  return (members: object | null | undefined, context: z.RefinementCtx) => {
    if (pluginsIn(members, kind).length === 1) return;
    const choice = named.length === 0 ? `, but no plugin of kind ${kind} was handed over` : `: ${named.join(', ')}`;
    context.addIssue({ code: 'custom', message: `must have a section for exactly one plugin${choice}` });
  };
}

/** The plugin of this name, where it is at hand. */
export function factoryOf(
  plugins: readonly AnyPluginFactory[],
  kind: PluginKind,
  name: string,
): AnyPluginFactory | undefined {
  return plugins.find(({ definition }) => definition.kind === kind && definition.name === name);
}

/** The plugin that redirects blobs to the backend, where it is at hand; where the backend has no URLs, nothing does. */
export function delegatePlugin(plugins: readonly AnyPluginFactory[]): Plugin<'layer'> | undefined {
  const factory = factoryOf(plugins, 'layer', 'delegate');
  if (factory === undefined) return undefined;
  const { definition } = factory;
  const canBeWithout = Outline.of(definition.options)?.member('required') !== undefined;
  return pluginsIn([bindPlugin(definition, canBeWithout ? { required: false } : {})], 'layer')[0];
}
