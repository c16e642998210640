// `auth/silly`: lets in whoever says anything of itself, as distribution's handler of that name does.
// For tests of clients; it protects nothing.
import { bearerChallenge, definePlugin, grantIf, parseCredentials } from 'koa-registry';
import { z } from 'zod';

const ACTOR = { name: 'silly' };

const quotable = z.string().regex(/^[\x20-\x7e]+$/, 'must be printable ASCII');

/**
 * Grants everything to the actor `silly`, for whatever `Authorization` header there is; without one
 * (or with Basic credentials that are empty) it sends a Bearer challenge.
 */
export const silly = definePlugin({
  kind: 'auth',
  name: 'silly',
  options: z.strictObject({
    /** Where a client would get a token. */
    realm: quotable,
    /** For whom the token would have to be made out. */
    service: quotable,
  }),
  create: ({ realm, service }, { logger }) => {
    logger.warn({}, 'auth/silly protects nothing: whoever sends an Authorization header may do everything');
    return {
      authorize: (request) => {
        if (parseCredentials(request.ctx.headers.authorization) === undefined) {
          throw bearerChallenge({ realm, service, scopes: request.required });
        }
        return grantIf(request, ACTOR, () => true);
      },
    };
  },
});
