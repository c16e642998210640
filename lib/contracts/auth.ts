// The contract of an auth handler: asked once a request, it grants, challenges or denies.
import type { Context } from 'koa';
import type { Scope } from '../model/scope.js';

/**
 * What a request wants to do, as scopes. Handlers that ask others pass it on as it is, or name its
 * members one by one: the signal is made when it is asked for, and a spread (`...request`) loses it.
 */
export interface AccessRequest {
  /** Without all of these the request is refused. Empty for `GET /v2/`, which asks only who the caller is. */
  readonly required: readonly Scope[];
  /**
   * Would be used if granted, and is not missed otherwise: `pull` on the source of a cross-repository
   * mount.
   */
  readonly optional: readonly Scope[];
  /** The request itself, for handlers that know the host application's own session. */
  readonly ctx: Context;
  readonly signal: AbortSignal;
}

/** Somebody who has proved who it is. */
export interface Actor {
  /** As logs and events show it: never a secret. */
  readonly name: string;
  /** What it belongs to, for handlers that decide by that. */
  readonly groups?: readonly string[] | undefined;
}

/** Who the caller is and what was granted. */
export interface Grant {
  /** Who it is, for logs and events; left out for an anonymous caller. */
  readonly actor?: Actor | undefined;
  /** Of the optional scopes, those that are granted. `required` ones are granted by the mere answer. */
  readonly granted: readonly Scope[];
  /**
   * Capability: whether the caller may also do this. The catalogue then lists only what the caller
   * may pull. A handler that cannot say leaves it out.
   */
  allows?(scope: Scope): boolean | Promise<boolean>;
}

/**
 * Decides who may do what. Asked once a request; anything that it answers or throws but what is said
 * here is a fault, answered 500.
 *
 * `GET /v2/` requires nothing, and is where clients find out how to log in: a handler throws a
 * `Challenge` there for everybody who has not said who it is. Empty Basic credentials are those of
 * nobody (`parseCredentials` knows).
 *
 * Failed logins need not be counted here: the registry slows down and then refuses whoever guesses
 * passwords, by the option `failedLogins`.
 */
export interface AuthHandler {
  /**
   * @throws Challenge (401) where the caller has to say who it is: without credentials, or with wrong
   *   or malformed ones.
   * @throws RegistryError `DENIED` (403) where it is known and may not; `UNAVAILABLE` (503) where it
   *   cannot be found out now.
   */
  authorize(request: AccessRequest): Promise<Grant> | Grant;

  /** Capability: rejects while what it depends on is not well; asked by `registry(…).health()`. */
  check?(): Promise<void>;

  /** Ends what it holds. */
  close?(): Promise<void>;
}
