// One request on its way through the chain: what was parsed of it, who sent it, and the tools to
// answer it. Whatever most requests do not need is made when it is first asked for.
import { randomUUID } from 'node:crypto';
import type { Context } from 'koa';
import type { Grant, Logger } from '../contracts/index.js';
import type { Digest } from '../model/digest.js';
import type { Reference } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { Events } from '../notifications/events.js';
import type { Services } from '../services/index.js';
import type { Mount } from './mount.js';
import type { Route } from './routes.js';
import type { Running } from './running.js';
import { type UrlOptions, Urls } from './urls.js';

/** What handlers work with: the services, and who is told what they did. */
export interface Serving extends Services {
  readonly events: Events;
}

/** What the HTTP face of one registry is made of. */
export interface HttpParts {
  readonly log: Logger;
  readonly settings: HttpSettings;
  readonly running: Running;
  /** The services, once the plugins are up; throws `UNAVAILABLE` while they are not. */
  services(): Serving | Promise<Serving>;
}

/** The options that handlers read. */
export interface HttpSettings {
  readonly urls: UrlOptions;
  readonly headers: Readonly<Record<string, string>>;
  readonly maxManifestBytes: number;
  readonly bodyTimeout: number;
  readonly minChunkBytes: number;
  readonly maxTags: number;
  readonly maxRepositories: number;
  readonly deleteEnabled: boolean;
  readonly metadata: MetadataSettings | undefined;
  /** May change while the registry runs. */
  readOnly: boolean;
}

/** The endpoint document's own part. */
export interface MetadataSettings {
  readonly fallback?: string | undefined;
  readonly mirrors: readonly { readonly root: string; readonly manifests: boolean }[];
}

/** What the path named, parsed; a route has those that its pattern names. */
interface Named {
  repository?: RepositoryName;
  digest?: Digest;
  reference?: Reference;
  session?: string;
}

const TRUSTED_ID = /^[\w.:-]{1,128}$/;

export class Call {
  readonly ctx: Context;
  readonly mount: Mount;
  readonly id: string;
  readonly #parts: HttpParts;
  #log: Logger | undefined;
  #grant: Grant | undefined;
  #controller: AbortController | undefined;
  #urls: Urls | undefined;
  named: Named = {};
  route!: Route;
  services!: Serving;

  constructor(ctx: Context, mount: Mount, parts: HttpParts) {
    this.ctx = ctx;
    this.mount = mount;
    this.#parts = parts;
    const given = ctx.app.proxy ? ctx.get('X-Request-Id') : '';
    this.id = TRUSTED_ID.test(given) ? given : randomUUID();
  }

  get settings(): HttpSettings {
    return this.#parts.settings;
  }

  get repository(): RepositoryName {
    return this.#part('repository');
  }

  get digest(): Digest {
    return this.#part('digest');
  }

  get reference(): Reference {
    return this.#part('reference');
  }

  get session(): string {
    return this.#part('session');
  }

  #part<K extends keyof Named>(name: K): NonNullable<Named[K]> {
    const value = this.named[name];
    if (value === undefined) throw new Error(`the route ${this.route.path} names no ${name}`);
    return value;
  }

  /** The registry's logger with this request's id, and its actor once that is known. */
  get log(): Logger {
    this.#log ??= this.#parts.log.child({
      requestId: this.id,
      ...(this.#grant?.actor && { actor: this.#grant.actor.name }),
    });
    return this.#log;
  }

  get grant(): Grant {
    if (this.#grant === undefined) throw new Error('the request is not authorised yet');
    return this.#grant;
  }

  set grant(grant: Grant) {
    this.#grant = grant;
    this.#log = undefined;
  }

  get urls(): Urls {
    this.#urls ??= new Urls(this.ctx, this.mount.base, this.settings.urls);
    return this.#urls;
  }

  /** Aborted when the client goes away before it is answered. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      const { res } = this.ctx;
      const gone = () => {
        if (!res.writableFinished) controller.abort(new Error('the client went away'));
      };
      if (res.destroyed) gone();
      else res.once('close', gone);
      this.#controller = controller;
    }
    return this.#controller.signal;
  }

  /** A parameter of the query; the first where there are several, `undefined` where it is missing. */
  query(name: string): string | undefined {
    return this.queries(name)[0];
  }

  queries(name: string): readonly string[] {
    const value = this.ctx.query[name];
    return value === undefined ? [] : typeof value === 'string' ? [value] : value;
  }

  get method(): string {
    return this.ctx.req.method ?? '';
  }

  /** A header of the request, by its name in lower case. */
  header(name: string): string | undefined {
    const value = this.ctx.req.headers[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** Puts a header on the answer; by Node's own setter, for Koa's makes several arrays for every single one. */
  set(name: string, value: string | number | readonly string[]): void {
    const { res } = this.ctx;
    if (!res.headersSent) res.setHeader(name, value);
  }
}
