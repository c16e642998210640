// What a token says (Docker "Token Authentication Implementation"), once its signature, its issuer, its
// audience and its time are known to be right.
import type { Actor, Scope } from 'koa-registry';
import { z } from 'zod';

/** What is `null` was left empty by an issuer that writes its lists so. */
const ACCESS = z.array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()).nullish() }));

const CLAIMS = z.object({
  exp: z.number(),
  iat: z.number().optional(),
  sub: z.string().nullish(),
  access: ACCESS.nullish(),
});

/** In milliseconds, the points of time since 1970. */
interface ClaimsTime {
  readonly now: number;
  readonly leeway: number;
  /** When the key's trust ends, and with it that in whatever it has signed. */
  readonly until: number;
}

/** `repository(plugin)` is a repository like any other (Docker "Token Scope Documentation", resource class). */
const RESOURCE_CLASS = /\([a-z0-9]+\)$/;

/** What remains of a token that was verified: who it was made for, what it allows, and until when. */
export class VerifiedToken {
  /** Left out for a token that was given to nobody in particular. */
  readonly actor: Actor | undefined;
  /** In milliseconds since 1970. */
  readonly until: number;
  readonly #actions = new Map<string, Set<string>>();

  private constructor({ sub, access }: z.output<typeof CLAIMS>, until: number) {
    this.actor = sub ? { name: sub } : undefined;
    this.until = until;
    for (const { type, name, actions } of access ?? []) {
      const resource = `${type.replace(RESOURCE_CLASS, '')}:${name}`;
      this.#actions.set(resource, new Set([...(this.#actions.get(resource) ?? []), ...(actions ?? [])]));
    }
  }

  /** `undefined` for claims that are not of the form which they should have, or that were made in the future. */
  static of(payload: unknown, { now, leeway, until }: ClaimsTime): VerifiedToken | undefined {
    const { success, data } = CLAIMS.safeParse(payload);
    if (!success || (data.iat ?? 0) * 1000 > now + leeway) return undefined;
    return new VerifiedToken(data, Math.min(data.exp * 1000 + leeway, until));
  }

  allows({ type, name, action }: Scope): boolean {
    const actions = this.#actions.get(`${type}:${name}`);
    return actions !== undefined && (actions.has(action) || actions.has('*'));
  }
}
