// Events in the registry's log, one line each, for whoever collects logs anyway.
import { definePlugin, deliveryOptions, type NotificationSink } from 'koa-registry';
import { z } from 'zod';

/** A line of the log for each event: the whole of it as the field `event`, and always the same message. */
export const log = definePlugin({
  kind: 'notification',
  name: 'log',
  options: z.strictObject({
    ...deliveryOptions({ batch: 100 }),
    /** Default: `info`. */
    level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  }),
  create: ({ level, ...delivery }, { logger }): NotificationSink => ({
    delivery,
    write: async (events) => {
      for (const event of events) logger[level]({ event }, 'registry event');
    },
  }),
});
