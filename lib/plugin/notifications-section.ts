// The section `notifications` of a configuration: distribution's endpoints, each a webhook.
import { z } from 'zod';
import type { Plugin } from './define-plugin.js';
import { goDuration } from './go-duration.js';
import { type AnyPluginFactory, bindSection, factoryOf, pluginsIn } from './plugin-sections.js';

const texts = z.array(z.string()).nullish();

const endpoint = z.strictObject({
  name: z.string().nullish(),
  disabled: z.boolean().nullish(),
  url: z.string().nullish().meta({ writeOnly: true }),
  headers: z.record(z.string(), texts).nullish().meta({ writeOnly: true }),
  timeout: goDuration.nullish(),
  threshold: z.int().nullish(),
  backoff: goDuration.nullish(),
  ignoredMediaTypes: texts,
  ignore: z.strictObject({ mediaTypes: texts, actions: texts }).nullish(),
});

/** What is written of an endpoint, as options of `notification/webhook`. */
function webhookOptions({ disabled: _, ignoredMediaTypes, ignore, ...written }: z.output<typeof endpoint>): object {
  const mediaTypes = [...(ignoredMediaTypes ?? []), ...(ignore?.mediaTypes ?? [])];
  const given = Object.entries({ ...written, ignore: { mediaTypes, actions: ignore?.actions ?? [] } });
  return Object.fromEntries(given.filter(([, value]) => value !== null && value !== undefined));
}

/** The section's schema; the output of an endpoint is the plugin, unless it is disabled. */
export function notificationsSection(plugins: readonly AnyPluginFactory[]) {
  const factory = factoryOf(plugins, 'notification', 'webhook');
  const sink = endpoint.transform((written, context) => {
    if (written.disabled === true) return undefined;
    if (factory !== undefined) return bindSection(factory, webhookOptions(written), context);
    context.addIssue({ code: 'custom', message: 'needs the plugin notification/webhook' });
    return undefined;
  });
  return z
    .strictObject({
      // References are always there.
      events: z.strictObject({ includeReferences: z.unknown().optional() }).nullish(),
      endpoints: z.array(sink).nullish(),
    })
    .nullish();
}

/** The sinks that a section names. */
export function configuredSinks(
  section: z.output<ReturnType<typeof notificationsSection>> | undefined,
): Plugin<'notification'>[] | undefined {
  const sinks = pluginsIn(section?.endpoints, 'notification');
  return sinks.length === 0 ? undefined : [...sinks];
}
