// `POST /events`: who sends, what is sent, and what of it is new.
import type { Middleware } from 'koa';
import type { RegistryEvent } from 'koa-registry';
import { LRUCache } from 'lru-cache';
import getRawBody from 'raw-body';
import { isSigned } from './signature.js';

const MEDIA_TYPE = /^application\/vnd\.docker\.distribution\.events\.v[12]\+json$/;

/** An event comes again soon or not at all: after so many others it will not. */
const REMEMBERED = 10_000;

/**
 * An event says what a manifest refers to, so it may become longer than the largest manifest, of 4 MiB; and what is
 * answered 413 comes again for ever, with everything else behind it.
 */
const LONGEST_BODY = '8mb';

export interface EndpointOptions {
  /** What the registry signs with. */
  readonly secret: string;
  /**
   * Is handed each event once, in order. It has to be done with it soon: the registry waits for a second and then
   * sends the event again. What takes longer, it puts into a queue of its own.
   */
  take(event: RegistryEvent): void;
}

export function takeEvents({ secret, take }: EndpointOptions): Middleware {
  const taken = new LRUCache<string, true>({ max: REMEMBERED });
  return async (ctx, next) => {
    if (ctx.method !== 'POST' || ctx.path !== '/events') return next();
    // The bytes, before anybody has parsed them: they are what is signed.
    const body = await getRawBody(ctx.req, { limit: LONGEST_BODY });
    if (!isSigned(body, ctx.get('X-Hub-Signature-256'), secret)) return ctx.throw(401, 'the signature is wrong');
    if (!MEDIA_TYPE.test(ctx.get('Content-Type'))) return ctx.throw(415);
    const { events } = JSON.parse(body.toString('utf8')) as { readonly events: readonly RegistryEvent[] };
    for (const event of events) {
      if (taken.has(event.id)) continue;
      take(event);
      // Not before: what could not be taken is asked for again, by answering 500.
      taken.set(event.id, true);
    }
    ctx.status = 204;
  };
}
