// `auth/host`: the host application decides, by a function that sees its own session. What is added is
// the challenge for clients that have none, and a wall against other sites' pages that use a
// browser's session.
import type { Context } from 'koa';
import type { AccessRequest, Grant } from 'koa-registry';
import { basicChallenge, Challenge, definePlugin, parseCredentials, RegistryError } from 'koa-registry';
import { z } from 'zod';

/** What a {@link HostAuthorize} may say: yes, "I know nobody", or a challenge of its own. */
export type HostAnswer = Grant | null | Challenge;

/**
 * Decides by what the host application knows of the caller: `ctx.state.user`, a cookie, or a personal
 * token that `parseCredentials(ctx.headers.authorization)` finds. `grantIf` makes the `Grant`, or
 * throws DENIED.
 *
 * @throws RegistryError `DENIED` (403) for somebody who is known and may not; `UNAVAILABLE` (503) where
 *   that cannot be found out now.
 */
export type HostAuthorize = (ctx: Context, access: AccessRequest) => HostAnswer | Promise<HostAnswer>;

/** Whether another site's page has made a browser send this request (Fetch Metadata; RFC 6454 for older browsers). */
function isCrossSite({ headers, host }: Context): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const { origin } = headers;
  return origin !== undefined && hostOf(origin) !== host;
}

/** `undefined` for `null`, which is what a page calls itself that does not want to be known. */
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** Cookies, and the name and password that it remembers, a browser sends by itself; a token it does not. */
function mayRide({ method, headers }: Context): boolean {
  if (method === 'GET' || method === 'HEAD') return false;
  return parseCredentials(headers.authorization)?.scheme !== 'bearer';
}

/** Asks the host application who the caller is and what it may do. */
export const host = definePlugin({
  kind: 'auth',
  name: 'host',
  options: z.strictObject({
    /** What clients without a session log in to, as a person may get to see it: printable ASCII. */
    realm: z.string().regex(/^[\x20-\x7e]+$/, 'must be printable ASCII'),
    /** Asked once a request. `null` is answered with a Basic challenge. */
    authorize: z.custom<HostAuthorize>((value) => typeof value === 'function', 'must be a function'),
    /**
     * Whether pages of other sites may change something through a browser's session; what remembers
     * who asked is then up to the application (`SameSite` cookies, CORS). Default: false.
     */
    crossSite: z.boolean().default(false),
  }),
  create: ({ realm, authorize, crossSite }) => ({
    authorize: async (request) => {
      const { ctx } = request;
      if (!crossSite && mayRide(ctx) && isCrossSite(ctx)) {
        throw new RegistryError('DENIED', { problem: 'a page of another site may not change anything here' });
      }
      // A session does not make a malformed header right.
      if (parseCredentials(ctx.headers.authorization)?.scheme === 'unknown') throw basicChallenge(realm);
      const answer = await authorize(ctx, request);
      if (answer === null) throw basicChallenge(realm);
      if (answer instanceof Challenge) throw answer;
      return answer;
    },
  }),
});
