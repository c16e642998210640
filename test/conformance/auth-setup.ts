// What the author of an auth handler says of it to the suite: the plugin, and who may do what there.
import type { Middleware } from 'koa';
import type { Plugin } from 'koa-registry';

export type RequestHeaders = Readonly<Record<string, string>>;

/** Somebody whom the handler knows. */
export interface AuthCaller {
  /** Its name, as the handler gives it in `Grant.actor`. */
  readonly actor: string;
  /**
   * The headers by which it says who it is. A function is asked before each request, with the scopes
   * that the request needs, as a client asks a token server for them
   * (`repository:conformance/one:pull,push registry:catalog:*`); it answers what a token server would:
   * a token for those of them that this caller may have.
   */
  readonly headers: RequestHeaders | ((scopes: string) => RequestHeaders | Promise<RequestHeaders>);
}

export interface AuthCallers {
  /**
   * May pull, push and delete in `conformance/one` and `conformance/two`, and read the catalogue; may
   * do nothing in `conformance/other`.
   */
  readonly writer: AuthCaller;
  /** May pull in `conformance/one` and `conformance/two`, and nothing else. Left out where there is no such right. */
  readonly reader?: AuthCaller | undefined;
  /**
   * May do nothing at all but read the catalogue, if the handler lets anybody do that. Left out where
   * whoever is known may do everything.
   */
  readonly stranger?: AuthCaller | undefined;
  /** Headers that the handler must refuse, by what is wrong with them: `{ 'wrong password': { Authorization: … } }`. */
  readonly wrong: Readonly<Record<string, RequestHeaders>>;
}

/** An auth handler and all that the suite has to know of it. */
export interface AuthSetup {
  readonly auth: Plugin<'auth'>;
  /** What stands before the registry in the application, such as its session. */
  readonly before?: readonly Middleware[] | undefined;
  readonly callers: AuthCallers;
  /** What somebody without credentials may do in `conformance/one` and `conformance/two`. Default: nothing. */
  readonly anonymous?: 'pull' | undefined;
  /** What must never be seen: passwords, tokens, session ids. Those in `Authorization` need not be named. */
  readonly secrets?: readonly string[] | undefined;
  /** Ends what the setup itself has started. */
  readonly close?: (() => Promise<void>) | undefined;
}
