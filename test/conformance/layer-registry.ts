// A registry with a layer handler, in a Koa application on a free port, as clients meet it; and what
// the handler was asked and answered there.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import Koa from 'koa';
import {
  type AuthHandler,
  basicChallenge,
  type Digest,
  definePlugin,
  digestOf,
  type Layer,
  type LayerAnswer,
  type LayerHandler,
  type LayerRequest,
  type LayerStore,
  type Plugin,
  parseRepositoryName,
  type Registry,
  registry,
  type StorageDriver,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { abandon, exchange, followRedirect, locationOf } from './layer-exchange.js';
import { type LogLine, recorder } from './layer-log.js';
import type { BlobReply, BlobRequest, LayerSetup } from './layer-setup.js';
import type { Site } from './layer-site.js';

/** What proves the client of the suite; a handler must not pass it on. */
export const CREDENTIALS = Buffer.from('client:canary-of-the-conformance-suite').toString('base64');

/** One time that the handler was asked. */
export interface Asked {
  readonly layer: Layer;
  readonly request: LayerRequest;
  readonly answer?: LayerAnswer | undefined;
  /** What it threw. */
  readonly failure?: unknown;
}

/** What was seen of the handler from inside of the registry. */
export interface Observation {
  /** Each that was made; a registry makes one. */
  readonly handlers: LayerHandler[];
  readonly asked: Asked[];
  /** How often the registry closed it. */
  closed: number;
  signal?: AbortSignal;
}

/** What a request for a blob may differ in. */
export interface Wanted extends Partial<BlobRequest> {
  /** Whether it says who it is. Default: true. */
  readonly known?: boolean;
}

export class LayerRegistry {
  readonly setup: LayerSetup;
  readonly driver: StorageDriver;
  readonly registry: Registry;
  readonly repository = parseRepositoryName(`conformance/${randomUUID()}`);
  readonly observation: Observation = { handlers: [], asked: [], closed: 0 };
  readonly log: LogLine[] = [];
  /** What the application was told of as `error`: faults, of which there should be none. */
  readonly errors: unknown[] = [];
  /** Whatever a client was answered that asked for a blob. */
  readonly replies: BlobReply[] = [];
  /** Whether the driver can no longer say where its objects are. */
  storeFails = false;
  readonly #site: Site;

  constructor(setup: LayerSetup, driver: StorageDriver, site: Site) {
    this.setup = setup;
    this.driver = driver;
    this.#site = site;
    this.registry = registry({
      storage: given(this.#failingWhenTold(driver)),
      auth: challenging(),
      layer: observed(setup.layer, this.observation),
      logger: recorder(this.log),
    });
    const app = new Koa({ proxy: true });
    app.on('error', (error: unknown) => this.errors.push(error));
    app.use(this.registry);
    site.serve(app);
  }

  /** The handler itself, which is there once the registry is. */
  async handler(): Promise<LayerHandler> {
    await this.registry.ready();
    return this.observation.handlers[0] ?? assert.fail('the registry has made no handler');
  }

  /** What the handler is told of the store. */
  get store(): LayerStore {
    const { url, path } = this.driver;
    return { ...(url && { url }), ...(path && { path }) };
  }

  async push(bytes: Buffer): Promise<Digest> {
    const digest = digestOf(bytes);
    const url = `${this.#site.url}/v2/${this.repository}/blobs/uploads/?digest=${digest}`;
    const headers = { ...this.#headers({}), 'Content-Length': String(bytes.length) };
    const { status } = await exchange(url, { method: 'POST', headers, body: bytes });
    assert.equal(status, 201, `a push was answered ${status}`);
    return digest;
  }

  /** What a client is answered, and no more. */
  async ask(digest: Digest, wanted: Wanted = {}): Promise<BlobReply> {
    const { method = 'GET' } = wanted;
    const reply = await exchange(this.#urlOf(digest), { method, headers: this.#headers(wanted) });
    this.replies.push(reply);
    return reply;
  }

  /** What a client has in the end; `undefined` where only a front server that is not there could tell. */
  async pull(digest: Digest, wanted: Wanted = {}): Promise<BlobReply | undefined> {
    return this.follow(await this.ask(digest, wanted), wanted);
  }

  async follow(reply: BlobReply, { method = 'GET', headers = {} }: Wanted): Promise<BlobReply | undefined> {
    const isRedirect = locationOf(reply) !== undefined;
    if (!isRedirect && !this.#isForFrontServer(reply)) return reply;
    if (this.setup.follow !== undefined) return this.setup.follow(reply, { method, headers });
    return isRedirect ? followRedirect(reply, { method, headers }) : undefined;
  }

  /** Asks and goes away. */
  async leave(digest: Digest, turns: number): Promise<void> {
    await abandon(this.#urlOf(digest), { method: 'GET', headers: this.#headers({}) }, turns);
  }

  /** Headers with which the handler answered; once they came through a front server they are none. */
  #isForFrontServer(reply: BlobReply): boolean {
    if (this.setup.front !== undefined) return false;
    const isOf = ({ answer }: Asked) =>
      answer !== undefined &&
      'headers' in answer &&
      Object.entries(answer.headers).every(([name, value]) => reply.headers[name.toLowerCase()] === value);
    return reply.status === 200 && this.observation.asked.some(isOf);
  }

  #urlOf(digest: Digest): string {
    return `${this.setup.front ?? this.#site.url}/v2/${this.repository}/blobs/${digest}`;
  }

  #headers({ headers = {}, known = true }: Wanted): BlobRequest['headers'] {
    return { ...(known && { Authorization: `Basic ${CREDENTIALS}` }), ...this.setup.headers, ...headers };
  }

  #failingWhenTold({ url, path, close: _, ...methods }: StorageDriver): StorageDriver {
    const attempt = <T>(method: () => T): T => {
      if (this.storeFails) throw new Error('the store cannot say where its objects are');
      return method();
    };
    return {
      ...methods,
      ...(url && { url: async (key, options) => attempt(() => url(key, options)) }),
      ...(path && { path: (key) => attempt(() => path(key)) }),
    };
  }
}

/** A storage plugin for a driver that is at work, and that others close. */
function given(driver: StorageDriver): Plugin<'storage'> {
  return definePlugin({ ...memory.definition, name: 'shared', create: () => driver })();
}

/** Knows one client, and challenges everybody else. */
function challenging(): Plugin<'auth'> {
  const authorize: AuthHandler['authorize'] = ({ ctx, required }) => {
    if (ctx.headers.authorization !== `Basic ${CREDENTIALS}`) throw basicChallenge('conformance');
    return { actor: { name: 'client' }, granted: required };
  };
  return definePlugin({
    kind: 'auth',
    name: 'conformance',
    options: memory.definition.options,
    create: () => ({ authorize }),
  })();
}

/** The same plugin, made and started as it would be, with what it does written down. */
function observed({ definition, options }: Plugin<'layer'>, seen: Observation): Plugin<'layer'> {
  return definePlugin({
    ...definition,
    create: async (checked, host) => {
      const handler = await definition.create(checked, host);
      seen.handlers.push(handler);
      seen.signal = host.signal;
      return observedHandler(handler, seen);
    },
  })(options);
}

function observedHandler(handler: LayerHandler, seen: Observation): LayerHandler {
  const check: LayerHandler['check'] = async (options) => handler.check?.(options);
  return {
    resolve: async (layer, request) => {
      try {
        const answer = await handler.resolve(layer, request);
        seen.asked.push({ layer, request, answer });
        return answer;
      } catch (failure) {
        seen.asked.push({ layer, request, failure });
        throw failure;
      }
    },
    close: async () => {
      seen.closed += 1;
      await handler.close?.();
    },
    ...(handler.check && { check }),
  };
}
