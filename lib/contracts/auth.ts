// The contract of an auth handler: asked once a request, it grants, challenges or denies.
import type { Context } from 'koa';
import type { Scope } from '../model/scope.js';

/** What a request wants to do, as scopes. */
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

/** Who the caller is and what was granted. */
export interface Grant {
  /** Who it is, for logs and events; left out for an anonymous caller. */
  readonly actor?: { readonly name: string };
  /** Of the optional scopes, those that are granted. `required` ones are granted by the mere answer. */
  readonly granted: readonly Scope[];
  /**
   * Capability: whether the caller may also do this. The catalogue then lists only what the caller
   * may pull. A handler that cannot say leaves it out.
   */
  allows?(scope: Scope): boolean | Promise<boolean>;
}

/** Decides who may do what. */
export interface AuthHandler {
  /**
   * @throws Challenge (401) where the caller has to say who it is.
   * @throws RegistryError `DENIED` (403) where it is known and may not.
   */
  authorize(request: AccessRequest): Promise<Grant> | Grant;

  check?(): Promise<void>;

  close?(): Promise<void>;
}
