// The Koa face of a registry: one middleware over the chain that every request goes through.

import type { Middleware } from 'koa';
import compose from 'koa-compose';
import { authorize, permit } from './authorize.js';
import { Call, type HttpParts, type Serving } from './call.js';
import { answerError } from './errors.js';
import { findMount } from './mount.js';
import { warnOfRequestTimeout } from './request-timeout.js';
import { findRoute } from './router.js';
import type { Route } from './routes.js';

export type { HttpParts, HttpSettings, MetadataSettings, Serving } from './call.js';
export { Running } from './running.js';

/** Of a request that meets nothing to wait for, only the last and the outermost wait: each that did would cost its turns. */
type Step = (call: Call, next: () => Promise<void>) => Promise<void>;

/** Failures of everything below become answers. */
function answerErrors({ running }: HttpParts): Step {
  return async (call, next) => {
    running.begin();
    try {
      await next();
    } catch (error) {
      answerError(call, error);
    } finally {
      running.end();
    }
  };
}

const route: Step = (call, next) => {
  findRoute(call);
  return next();
};

const allow: Step = (call, next) => {
  const { route } = call;
  const authorized = authorize(call, route);
  if (authorized !== undefined) return authorized.then(() => permitted(call, next));
  return permitted(call, next);
};

function permitted(call: Call, next: () => Promise<void>): Promise<void> {
  permit(call, call.route);
  return next();
}

const handle: Step = async (call) => {
  const { route } = call;
  if (isChange(route)) await call.services.events.room();
  await route.handler(call);
};

/** Of what others may have to be told. */
function isChange({ access, method }: Route): boolean {
  return (access === 'push' || access === 'delete') && method !== 'GET';
}

/** Puts the headers on that every answer carries, and waits for the services. */
function prepare(parts: HttpParts): Step {
  const headers = Object.entries({
    ...parts.settings.headers,
    'Docker-Distribution-API-Version': 'registry/2.0',
  });
  const serve = (call: Call, services: Serving, next: () => Promise<void>) => {
    call.services = services;
    return next();
  };
  return (call, next) => {
    for (const [name, value] of headers) call.set(name, value);
    call.set('X-Request-Id', call.id);
    // koa-compress asks this: content under a digest travels byte for byte.
    (call.ctx as { compress?: boolean }).compress = false;
    const services = parts.services();
    return services instanceof Promise ? services.then((up) => serve(call, up, next)) : serve(call, services, next);
  };
}

/** What is not the registry's goes to `next()`, untouched. */
export function createMiddleware(parts: HttpParts, prefix: string): Middleware {
  const chain = compose<Call>([answerErrors(parts), prepare(parts), route, allow, handle]);
  const withRoot = parts.settings.metadata !== undefined;
  let warned = false;
  return (ctx, next) => {
    const mount = findMount(ctx, prefix, withRoot);
    if (mount === undefined) return next();
    if (!warned) {
      warned = true;
      warnOfRequestTimeout(ctx.req.socket, parts.log);
    }
    return chain(new Call(ctx, mount, parts));
  };
}
