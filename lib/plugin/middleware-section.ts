// The section `middleware` of a configuration: of what distribution has there, what says how a blob reaches the client.
import { z } from 'zod';
import { isPlugin, type Plugin } from './define-plugin.js';
import { type AnyPluginFactory, boundSection, factoryOf, pluginsIn } from './plugin-sections.js';

const NOT_HERE = 'is not supported by this version';

const none = z.custom<null>((value) => value === undefined || value === null || isEmpty(value), { error: NOT_HERE });

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** An entry of `middleware.storage`; its output is the layer plugin, unless it is disabled. */
function storageMiddleware(plugins: readonly AnyPluginFactory[]) {
  return z
    .strictObject({ name: z.string(), disabled: z.boolean().nullish(), options: z.unknown().optional() })
    .transform(({ name, disabled, options }, context) => {
      const factory = factoryOf(plugins, 'layer', name);
      if (factory === undefined) {
        context.addIssue({ code: 'custom', path: ['name'], message: `needs the plugin layer/${name.slice(0, 100)}` });
        return undefined;
      }
      if (disabled === true) return undefined;
      return boundSection(factory, options, context, (at) => ['options', ...at]);
    });
}

/** The section's schema. */
export function middlewareSection(plugins: readonly AnyPluginFactory[]) {
  return z
    .strictObject({
      registry: none.optional(),
      repository: none.optional(),
      storage: z
        .array(storageMiddleware(plugins))
        .refine((entries) => entries.filter((entry) => isPlugin(entry)).length <= 1, 'must have one entry at most')
        .nullish(),
    })
    .nullish();
}

/** The layer plugin that a section names. */
export function middlewarePlugin(
  section: z.output<ReturnType<typeof middlewareSection>> | undefined,
): Plugin<'layer'> | undefined {
  return pluginsIn(section?.storage, 'layer')[0];
}
