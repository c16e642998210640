// The options that say who is told what happens in the registry, and what becomes of events that wait.
import { z } from 'zod';
import { checkOptions, duration, type Plugin, pluginOf, size } from '../plugin/index.js';

const queue = z.strictObject({
  /** The most events that wait for a sink. Default: 10,000. */
  maxEvents: z.int().min(1).max(10_000_000).default(10_000),
  /** How much they may take up, about: memory, or with `store` room there. Default: 32 MiB. */
  maxBytes: size({ min: 1 }).default(32 * 1024 * 1024),
  /**
   * What becomes of events for which there is no room: `drop-oldest`, `drop-newest`, or `hold`, with which changes
   * wait for room up to 10 s and are then answered 503, while new pulls are dropped. Default: `drop-oldest`.
   */
  overflow: z.enum(['drop-oldest', 'drop-newest', 'hold']).default('drop-oldest'),
  /** Keeps what waits where a restart does not lose it. Default: in memory. */
  store: pluginOf('queue').optional(),
});

/** What a sink is called: as its options say, else as its plugin. */
export function sinkName({ definition, options, name }: Plugin<'notification'>): string {
  const { value } = checkOptions(definition.options, options);
  const given = typeof value === 'object' && value !== null && 'name' in value ? value.name : undefined;
  return typeof given === 'string' ? given : name;
}

/** Who is told what happens. */
export const notifications = z.strictObject({
  /** Where events go; each has a queue of its own. Default: nowhere. */
  sinks: z
    .array(pluginOf('notification'))
    .superRefine((sinks, context) => {
      const names = sinks.map(sinkName);
      for (const [index, name] of names.entries()) {
        if (names.indexOf(name) === index) continue;
        context.addIssue({
          code: 'custom',
          path: [index],
          message: `there is another sink called "${name}": give it a name`,
        });
      }
    })
    .default([]),
  /** Whether HEAD of a manifest or a blob is a pull, too. Default: false. */
  includeHead: z.boolean().default(false),
  /** What waits for a sink. */
  queue: queue.prefault({}),
  /** A sink that is handed, once, what another has refused `maxAttempts` times. Default: the log names it. */
  deadLetters: pluginOf('notification').optional(),
  /** How long closing the registry waits for the delivery of what is pending, up to 1 min. Default: 5 s. */
  drainTimeout: duration({ max: '1m' }).default(5_000),
});
