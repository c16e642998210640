// Events for an async function of the host application: with it an event counts as delivered once that has
// succeeded, and waits in a queue until then, while `registry(...).events` tells each once and forgets it.
import { definePlugin, deliveryOptions, type NotificationSink, type RegistryEvent } from 'koa-registry';
import { z } from 'zod';

/**
 * Takes events, the oldest first; they are delivered once it returns, or what it returns resolves. What it throws is a
 * failure: the same events come again. It should give up when the signal is aborted, for it will be called again.
 *
 * @throws SinkGoneError when it wants no events any more.
 */
export type EventFunction = (events: readonly RegistryEvent[], options: { readonly signal: AbortSignal }) => unknown;

/** Calls a function of the host application. (`function` is no name that JavaScript lets anybody have.) */
export const callback = definePlugin({
  kind: 'notification',
  name: 'function',
  options: z.strictObject({
    ...deliveryOptions(),
    /** Called with one batch after another, never with two at once unless it ignores the signal. */
    function: z.custom<EventFunction>((value) => typeof value === 'function', 'must be a function'),
  }),
  create: ({ function: take, ...delivery }): NotificationSink => ({
    delivery,
    write: async (events, { signal }) => {
      await take(events, { signal });
    },
  }),
});
