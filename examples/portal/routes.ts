// What the portal itself answers, beside its registry: logging in and out, the start page, new tokens.
import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { BROWSE_SCRIPT, homePage, loginPage, tokenPage } from './pages.js';
import type { People } from './people.js';
import type { Sessions } from './sessions.js';
import type { PersonalTokens } from './tokens.js';

/** Where the portal stands, its registry at `/v2` below that. */
export const PREFIX = '/portal';

const HOME = `${PREFIX}/`;

export interface PortalParts {
  readonly people: People;
  readonly sessions: Sessions;
  readonly tokens: PersonalTokens;
}

/** A field of a form, which anybody may have sent, in whatever form. */
function field({ request }: Context, name: string): string {
  const value = (request.body as Readonly<Record<string, unknown>> | undefined)?.[name];
  return typeof value === 'string' ? value : '';
}

/** Pages run no script but their own, stand in nobody's frame, and are nobody's to keep. */
const guarded: Middleware = async (ctx, next) => {
  ctx.set({
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    'X-Content-Type-Options': 'nosniff',
  });
  await next();
};

const loggedIn: Middleware = async (ctx, next) => {
  if (ctx.state.user === undefined) ctx.redirect(`${PREFIX}/login`);
  else await next();
};

export function portalRoutes({ people, sessions, tokens }: PortalParts): Middleware {
  const router = new Router({ prefix: PREFIX }).use(guarded);

  router.get('/login', (ctx) => {
    ctx.body = loginPage();
  });

  router.post('/login', async (ctx) => {
    const user = field(ctx, 'user');
    if (await people.prove(user, field(ctx, 'password'))) {
      sessions.begin(ctx, user);
      ctx.redirect(HOME);
    } else {
      ctx.status = 403;
      ctx.body = loginPage('That is not the name and the password of anybody here.');
    }
  });

  router.post('/logout', (ctx) => {
    sessions.end(ctx);
    ctx.redirect(`${PREFIX}/login`);
  });

  router.get('/', loggedIn, (ctx) => {
    // Without the slash at the end, what the page refers to would be somewhere else.
    if (ctx.path === HOME) ctx.body = homePage(ctx.state.user);
    else ctx.redirect(HOME);
  });

  router.post('/tokens', loggedIn, (ctx) => {
    const { user } = ctx.state;
    ctx.body = tokenPage(user, tokens.create(user), ctx.host);
  });

  router.get('/browse.js', (ctx) => {
    ctx.type = 'js';
    ctx.body = BROWSE_SCRIPT;
  });

  return router.routes() as Middleware;
}
