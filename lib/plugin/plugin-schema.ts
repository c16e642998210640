// A plugin as the value of an option: checked with its own options, so that one check of the whole
// object finds everything.
import { z } from 'zod';
import type { PluginKind } from '../contracts/index.js';
import { inspectOptions } from './check-options.js';
import { isPlugin, type Plugin } from './define-plugin.js';

function whyNot(kind: PluginKind, value: unknown): string {
  if (isPlugin(value)) return `must be a plugin of kind ${kind}, and ${value.name} is one of kind ${value.kind}`;
  if (typeof value === 'function' && 'definition' in value) {
    return `must be a plugin of kind ${kind}: the factory has to be called, with options or without`;
  }
  return `must be a plugin of kind ${kind}`;
}

/**
 * The zod schema of an option whose value is a plugin of `kind`. What is wrong with the plugin's own
 * options is found too, below the plugin's name: `storage.gcs.bucket`.
 */
export function pluginOf<K extends PluginKind>(kind: K): z.ZodType<Plugin<K>, Plugin<K>> {
  const sort = z.custom<Plugin<K>>((value) => isPlugin(value, kind), { error: ({ input }) => whyNot(kind, input) });
  return sort.superRefine((plugin, context) => {
    const { problems = [] } = inspectOptions(plugin.definition.options, plugin.options);
    for (const { at, message } of problems) {
      context.addIssue({ code: 'custom', path: [plugin.name, ...at], message });
    }
  });
}
