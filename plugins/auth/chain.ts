// `auth/chain`: several handlers for one registry. The first that recognises the caller decides.
import type { AccessRequest, AuthHandler, Grant } from 'koa-registry';
import { Challenge, definePlugin, pluginOf, RegistryError } from 'koa-registry';
import { z } from 'zod';

type Handlers = readonly AuthHandler[];

/** What the first handler says that does not ask who the caller is. */
async function askInTurn(handlers: Handlers, request: AccessRequest): Promise<Grant> {
  const challenges: Challenge[] = [];
  let outage: unknown;
  for (const handler of handlers) {
    try {
      return await handler.authorize(request);
    } catch (error) {
      // Whose credentials do not suffice was recognised: nobody else need be asked.
      if (error instanceof Challenge && error.error !== 'insufficient_scope') challenges.push(error);
      // One that cannot say may have known the caller, and another may still.
      else if (isOutage(error)) outage ??= error;
      else throw error;
    }
  }
  throw outage ?? joined(challenges);
}

function isOutage(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'UNAVAILABLE';
}

/** One challenge that offers the ways of all. */
function joined(challenges: readonly Challenge[]): Challenge {
  const ways = new Set(challenges.flatMap((challenge) => challenge.challenges));
  const headers = Object.fromEntries(challenges.flatMap((challenge) => Object.entries(challenge.headers)));
  const error = challenges.find((challenge) => challenge.error !== undefined)?.error;
  const detail = challenges.find((challenge) => challenge.detail !== undefined)?.detail;
  return new Challenge([...ways], detail, { headers, error });
}

/** The capability `check` of those that have it. */
function checkOf(handlers: Handlers): Pick<AuthHandler, 'check'> {
  const checkable = handlers.filter(({ check }) => check !== undefined);
  if (checkable.length === 0) return {};
  return { check: async () => void (await Promise.all(checkable.map((handler) => handler.check?.()))) };
}

/**
 * Asks handlers in order. One that grants or denies has decided; one that challenges has not
 * recognised the caller, and the next is asked. When none does, the caller gets the challenges of
 * all, in their order.
 */
export const chain = definePlugin({
  kind: 'auth',
  name: 'chain',
  options: z.strictObject({
    /** Those that are asked: at least one, the cheapest first. */
    handlers: z.array(pluginOf('auth')).min(1, 'must name at least one handler'),
  }),
  create: async (options, host) => {
    const handlers: AuthHandler[] = [];
    for (const handler of options.handlers) handlers.push(await host.start(handler));
    return { authorize: (request) => askInTurn(handlers, request), ...checkOf(handlers) };
  },
});
