// A registry with a sink, in a Koa application below a prefix: what clients do there becomes events.
import { strict as assert } from 'node:assert';
import Koa from 'koa';
import {
  type AuthHandler,
  basicChallenge,
  definePlugin,
  type NotificationSink,
  type Plugin,
  type Registry,
  type RegistryEvent,
  registry,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { digestOf, imageOf, mount, ONE, pushImage, TWO, type Wanted, wanted } from './auth-content.js';
import { exchange } from './layer-exchange.js';
import { type LogLine, recorder } from './layer-log.js';
import { Site } from './layer-site.js';

const PREFIX = '/portal';

export const CLIENT = 'client';

const CREDENTIALS = Buffer.from(`${CLIENT}:canary-of-the-conformance-suite`).toString('base64');

/** What a registry may differ in. */
export interface RegistryTraits {
  /** How long its closing waits for deliveries, in milliseconds. Default: the registry's own. */
  readonly drainTimeout?: number | undefined;
}

/** What was seen of the sink from inside of the registry. */
export interface Observation {
  /** Each that was made; a registry makes one. */
  readonly sinks: NotificationSink[];
  /** How often the registry closed it. */
  closed: number;
  signal?: AbortSignal;
}

/** An image pushed, pulled by its tag and in part, mounted elsewhere, and deleted. */
function everything(name: string): readonly Wanted[] {
  const image = imageOf(name);
  const [layer, manifest] = [digestOf(image.layer), digestOf(image.manifest)];
  return [
    ...pushImage(ONE, 'latest', image),
    wanted('pull', 'GET', ONE, 'manifests/latest'),
    wanted('pull', 'GET', ONE, `blobs/${layer}`),
    mount(TWO, layer, ONE),
    wanted('delete', 'DELETE', ONE, `manifests/${manifest}`),
  ];
}

/** What becomes of {@link everything}: a manifest goes with its tag. */
export const ACTIONS = ['push', 'push', 'push', 'pull', 'pull', 'mount', 'delete', 'delete'] as const;

export class SinkRegistry {
  readonly registry: Registry;
  /** What the host application was told in its own process: that is what there is to arrive. */
  readonly heard: RegistryEvent[] = [];
  readonly observation: Observation = { sinks: [], closed: 0 };
  /** What the application was told of as `error`: faults, of which there should be none. */
  readonly errors: unknown[] = [];
  readonly #site: Site;
  #closed: Promise<void> | undefined;

  private constructor(sink: Plugin<'notification'>, log: LogLine[], { drainTimeout }: RegistryTraits, site: Site) {
    this.#site = site;
    this.registry = registry({
      prefix: PREFIX,
      storage: memory(),
      auth: challenging(),
      notifications: { sinks: [observed(sink, this.observation)], ...(drainTimeout !== undefined && { drainTimeout }) },
      delete: { enabled: true },
      logger: recorder(log),
    });
    this.registry.events.on('*', (event) => void this.heard.push(event));
    const app = new Koa();
    app.on('error', (error: unknown) => this.errors.push(error));
    site.serve(app.use(this.registry));
  }

  static async open(sink: Plugin<'notification'>, log: LogLine[], traits: RegistryTraits): Promise<SinkRegistry> {
    return new SinkRegistry(sink, log, traits, await Site.open());
  }

  /** What precedes the name of a repository in the URL of its content. */
  get root(): string {
    return `${this.#site.url}${PREFIX}/v2/`;
  }

  /** Does everything that becomes an event. */
  async use(name: string): Promise<void> {
    for (const { method, path, body, type } of everything(name)) {
      const headers = {
        Authorization: `Basic ${CREDENTIALS}`,
        'User-Agent': 'conformance/1.0',
        ...(body && { 'Content-Length': String(body.length) }),
        ...(type && { 'Content-Type': type }),
      };
      const reply = await exchange(`${this.#site.url}${PREFIX}${path}`, { method, headers, ...(body && { body }) });
      assert.ok(reply.status < 300, `${method} ${path} was answered ${reply.status}`);
    }
  }

  /** May be repeated. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.registry.close();
    await this.#site.close();
  }
}

/** Knows one client, and challenges everybody else. */
function challenging(): Plugin<'auth'> {
  const authorize: AuthHandler['authorize'] = ({ ctx, optional }) => {
    if (ctx.headers.authorization !== `Basic ${CREDENTIALS}`) throw basicChallenge('conformance');
    return { actor: { name: CLIENT }, granted: optional };
  };
  const { options } = memory.definition;
  return definePlugin({ kind: 'auth', name: 'conformance', options, create: () => ({ authorize }) })();
}

/** The same plugin, made and started as it would be, with what the registry does to it written down. */
function observed({ definition, options }: Plugin<'notification'>, seen: Observation): Plugin<'notification'> {
  return definePlugin({
    ...definition,
    create: async (checked, host) => {
      const sink = await definition.create(checked, host);
      seen.sinks.push(sink);
      seen.signal = host.signal;
      const check: NotificationSink['check'] = async (options) => sink.check?.(options);
      const wrapper: NotificationSink = {
        delivery: sink.delivery,
        write: (events, options) => sink.write(events, options),
        close: async () => {
          seen.closed += 1;
          await sink.close?.();
        },
      };
      return sink.check === undefined ? wrapper : { ...wrapper, check };
    },
  })(options);
}
