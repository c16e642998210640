// Who is logged in with a browser: a random id in a cookie, and what it stands for in memory.
import { randomBytes } from 'node:crypto';
import type { Context, Middleware } from 'koa';

interface Session {
  readonly user: string;
  /** In milliseconds since 1970. */
  readonly until: number;
}

const COOKIE = 'portal-session';
const LIFETIME = 8 * 60 * 60 * 1000;

export class Sessions {
  readonly #sessions = new Map<string, Session>();

  /** Puts the name of whoever is logged in on `ctx.state.user`. */
  middleware(): Middleware {
    return (ctx, next) => {
      const session = this.#sessions.get(ctx.cookies.get(COOKIE) ?? '');
      if (session !== undefined && session.until > Date.now()) ctx.state.user = session.user;
      return next();
    };
  }

  /** Always with a new id: one that was there before the login may be known to somebody else. */
  begin(ctx: Context, user: string): void {
    this.#forget(ctx);
    const id = randomBytes(32).toString('base64url');
    this.#sessions.set(id, { user, until: Date.now() + LIFETIME });
    ctx.cookies.set(COOKIE, id, { httpOnly: true, sameSite: 'lax', maxAge: LIFETIME });
  }

  end(ctx: Context): void {
    this.#forget(ctx);
    ctx.cookies.set(COOKIE, null);
  }

  /** Forgets the session that a request belongs to, and those that have expired. */
  #forget(ctx: Context): void {
    const [current, now] = [ctx.cookies.get(COOKIE), Date.now()];
    for (const [id, { until }] of this.#sessions) if (id === current || until <= now) this.#sessions.delete(id);
  }
}
