// An auth handler for tokens of a token server (Docker "Token Authentication Specification"): who may
// do what is what the token says, and whoever has none is told where to get one.

import type { Context } from 'koa';
import {
  type AccessRequest,
  type AuthHandler,
  bearerChallenge,
  type Challenge,
  type ChallengeOptions,
  definePlugin,
  duration,
  type Grant,
  optionalPeer,
  type PluginHost,
  parseCredentials,
  RegistryError,
  type Scope,
} from 'koa-registry';
import { z } from 'zod';
import { parseBundle } from './token/certificates.js';
import type { VerifiedToken } from './token/claims.js';
import { parseJwks } from './token/jwks.js';
import { KeyFile } from './token/key-file.js';
import { KeyRing } from './token/key-ring.js';
import { KeyUrl } from './token/key-url.js';
import type { KeySource } from './token/latest-keys.js';
import { SIGNING_ALGORITHMS } from './token/trusted-keys.js';
import { InvalidToken, TokenVerifier } from './token/verifier.js';

/** An address that may be logged and told to clients. */
const address = z
  .url({ protocol: /^https?$/, error: 'must be a URL that begins with http:// or https://' })
  .refine((url) => !URL.canParse(url) || new URL(url).username === '', 'must not contain a name or a password');

/** What of it is printable in a header between quotes. */
const name = z.string().regex(/^[\x20-\x7e]+$/, 'must be printable ASCII, and not empty');

const options = z
  .strictObject({
    /** Where clients get their tokens: the URL of the token server. Required, unless `autoRedirect` is on. */
    realm: address.optional(),
    /** The name of this registry: clients ask for a token for it, and the claim `aud` has to contain it. */
    service: name,
    /** Who makes the tokens: the claim `iss` has to be it, letter for letter. */
    issuer: z.string().min(1, 'must not be empty'),
    /**
     * The path of a PEM file. Tokens may be signed with the key of each of its certificates, or of one
     * that a certificate authority among them has signed (header `x5c`). Read again when it changes.
     */
    rootCertBundle: z.string().min(1, 'must not be empty').optional(),
    /** The path of a JSON Web Key Set of public keys (RFC 7517). Read again when it changes. */
    jwks: z.string().min(1, 'must not be empty').optional(),
    /** The URL of a JSON Web Key Set, fetched at the start and from time to time. */
    jwksUrl: address.optional(),
    /** The algorithms that are allowed. Default: all with a public key, from `EdDSA` to `RS512`. */
    signingAlgorithms: z
      .array(z.enum(SIGNING_ALGORITHMS, { error: `must be one of ${SIGNING_ALGORITHMS.join(', ')}` }))
      .min(1, 'must name at least one')
      .default([...SIGNING_ALGORITHMS]),
    /** How far the issuer's clock may be from ours: for `exp`, `nbf` and `iat`. Default: `60s`. */
    leeway: duration({ max: '1h' }).default(60_000),
    /** Whether the realm is on the host to which the request was sent, at `autoRedirectPath`. Default: `false`. */
    autoRedirect: z.boolean().default(false),
    /** Default: `/auth/token`. */
    autoRedirectPath: z
      .string()
      .regex(/^\/[\x21\x23-\x5b\x5d-\x7e]*$/, 'must be the path of a URL')
      .default('/auth/token'),
    /** How old the keys of `jwksUrl` may get before they are fetched again: a second at least. Default: `10m`. */
    jwksMaxAge: duration({ min: '1s' }).default(600_000),
    /**
     * How long to wait after one fetch of `jwksUrl` before the next, because of a token that names an
     * unknown key or because the last fetch failed: a second at least. Default: `30s`.
     */
    jwksCooldown: duration({ min: '1s' }).default(30_000),
  })
  .refine(({ realm, autoRedirect }) => realm !== undefined || autoRedirect === true, {
    path: ['realm'],
    message: 'is required, unless autoRedirect is on',
    when: isObject,
  })
  .refine(({ rootCertBundle, jwks, jwksUrl }) => [rootCertBundle, jwks, jwksUrl].some((one) => one !== undefined), {
    path: ['rootCertBundle'],
    message: 'is required, unless there is jwks or jwksUrl',
    when: isObject,
  });

/** Whatever else is wrong, this is said as well. */
function isObject({ value }: { readonly value: unknown }): boolean {
  return typeof value === 'object' && value !== null;
}

type TokenOptions = z.output<typeof options>;

class TokenAuth implements AuthHandler {
  readonly #options: TokenOptions;
  readonly #verifier: TokenVerifier;
  readonly #keys: KeyRing;

  constructor(options: TokenOptions, verifier: TokenVerifier, keys: KeyRing) {
    this.#options = options;
    this.#verifier = verifier;
    this.#keys = keys;
  }

  authorize(request: AccessRequest): Grant | Promise<Grant> {
    const credentials = parseCredentials(request.ctx.headers.authorization);
    if (credentials?.scheme !== 'bearer') throw this.#challenge(request);
    const verified = this.#verifier.verify(credentials.token);
    if (!(verified instanceof Promise)) return this.#grant(request, verified);
    return verified.then(
      (token) => this.#grant(request, token),
      (cause) => {
        throw cause instanceof InvalidToken ? this.#challenge(request, { error: 'invalid_token', cause }) : cause;
      },
    );
  }

  #grant(request: AccessRequest, token: VerifiedToken): Grant {
    const allows = (scope: Scope) => token.allows(scope);
    // 401, not 403: what is missing may be in the next token.
    if (!request.required.every(allows)) {
      throw this.#challenge(request, { error: 'insufficient_scope', actor: token.actor });
    }
    // No `allows`: a token names what its bearer asked for, not all that it may do.
    return { actor: token.actor, granted: request.optional.filter(allows) };
  }

  check(): Promise<void> {
    return this.#keys.check();
  }

  /** Names all that is required, also what the token allowed: the next one will allow what is named, and no more. */
  #challenge({ required, ctx }: AccessRequest, challenge: ChallengeOptions = {}): Challenge {
    const { autoRedirect, autoRedirectPath, realm = '', service } = this.#options;
    const where = autoRedirect ? `${originOf(ctx)}${autoRedirectPath}` : realm;
    return bearerChallenge({ realm: where, service, scopes: required }, challenge);
  }
}

/** @throws RegistryError `UNSUPPORTED`, as 400, for a request that names no host to which a client could be sent. */
function originOf({ protocol, host }: Context): string {
  const origin = `${protocol}://${host}`;
  if ((protocol === 'http' || protocol === 'https') && host !== '' && URL.canParse(origin)) return origin;
  throw new RegistryError('UNSUPPORTED', { problem: 'the request names no host' }, { status: 400 });
}

async function openSources(options: TokenOptions, host: PluginHost): Promise<KeySource[]> {
  const { rootCertBundle, jwks, jwksUrl, jwksMaxAge, jwksCooldown } = options;
  const sources: KeySource[] = [];
  if (rootCertBundle !== undefined) {
    sources.push(await KeyFile.open('rootCertBundle', rootCertBundle, parseBundle, host));
  }
  if (jwks !== undefined) sources.push(await KeyFile.open('jwks', jwks, parseJwks, host));
  if (jwksUrl !== undefined) {
    sources.push(await KeyUrl.open(jwksUrl, { maxAge: jwksMaxAge, cooldown: jwksCooldown }, host));
  }
  return sources;
}

/**
 * Lets those in who bring a token of a token server. Needs the package `jose`.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export const token = definePlugin({
  kind: 'auth',
  name: 'token',
  options,
  create: async (options, host) => {
    const jose = await optionalPeer('jose', () => import('jose'));
    const keys = new KeyRing(await openSources(options, host), host.clock);
    const { keys: trusted, anchors } = await keys.current();
    if (trusted.length + anchors.length === 0) throw new Error('there is no key that could verify a token');
    return new TokenAuth(options, new TokenVerifier(jose, keys, options, host.clock), keys);
  },
});
