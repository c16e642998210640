// A registry behind an auth handler, in a Koa application on a free port: what a client meets. A back
// door without a handler fills the store that both share.
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import {
  type AuthHandler,
  definePlugin,
  type Grant,
  isDriverError,
  type Logger,
  type Plugin,
  type Registry,
  registry,
  type StorageDriver,
  startPlugin,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { imageOf, ONE, OTHER, pushImage, TWO, type Wanted } from './auth-content.js';
import type { AuthCaller, AuthSetup, RequestHeaders } from './auth-setup.js';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** What was seen of the handler from inside of the registry. */
export interface Observation {
  /** Each that was made; a registry makes one. */
  readonly handlers: AuthHandler[];
  /** The last that was answered. */
  grant?: Grant;
  /** How often the registry closed it. */
  closed: number;
  signal?: AbortSignal;
}

const BACK_DOOR = '/back-door';

export class GuardedRegistry {
  readonly setup: AuthSetup;
  readonly registry: Registry;
  readonly observation: Observation = { handlers: [], closed: 0 };
  readonly log: LogLine[] = [];
  /** What the application was told of as `error`: faults, of which there should be none. */
  readonly errors: unknown[] = [];
  /** Every header of `Authorization` that was sent. */
  readonly sent = new Set<string>();
  readonly answers: Answer[] = [];
  readonly #storage: StorageDriver;
  readonly #backDoor: Registry;
  readonly #server: Server;
  #closed: Promise<void> | undefined;

  private constructor(setup: AuthSetup, storage: StorageDriver) {
    const store = given(storage);
    this.setup = setup;
    this.#storage = storage;
    this.#backDoor = registry({ prefix: BACK_DOOR, storage: store, logger: recorder([]) });
    this.registry = registry({
      storage: store,
      auth: observed(setup.auth, this.observation),
      failedLogins: { enabled: false },
      delete: { enabled: true },
      logger: recorder(this.log),
    });
    const app = new Koa();
    app.on('error', (error: unknown) => this.errors.push(error));
    for (const middleware of [this.#backDoor, ...(setup.before ?? []), this.registry]) app.use(middleware);
    this.#server = createServer(app.callback()).listen(0, '127.0.0.1');
  }

  /** Starts it and gives each of the three repositories its image. */
  static async open(setup: AuthSetup): Promise<GuardedRegistry> {
    const { instance } = await startPlugin(memory());
    const at = new GuardedRegistry(setup, instance);
    try {
      await once(at.#server, 'listening');
      for (const repository of [ONE, TWO, OTHER]) await at.#fill(repository);
      return at;
    } catch (error) {
      await at.close();
      throw error;
    }
  }

  async #fill(repository: string): Promise<void> {
    for (const wanted of pushImage(repository, 'latest', imageOf(repository))) {
      const { status, body } = await this.#exchange({}, { ...wanted, path: BACK_DOOR + wanted.path });
      assert.equal(status, 201, body);
    }
  }

  /** Sends a request as a caller who first gets hold of what the request needs. */
  async as({ headers }: AuthCaller, wanted: Wanted): Promise<Answer> {
    return this.send(typeof headers === 'function' ? await headers(wanted.scopes) : headers, wanted);
  }

  async send(headers: RequestHeaders, wanted: Wanted): Promise<Answer> {
    for (const [name, value] of Object.entries(headers)) {
      if (name.toLowerCase() === 'authorization') this.sent.add(value);
    }
    const answer = await this.#exchange(headers, wanted);
    this.answers.push(answer);
    return answer;
  }

  /** Sends a request and goes away before it is answered, at one moment or another. */
  async abandon({ headers }: AuthCaller, wanted: Wanted, turns: number): Promise<void> {
    const credentials = typeof headers === 'function' ? await headers(wanted.scopes) : headers;
    const outgoing = this.#request(credentials, wanted);
    outgoing.on('error', () => undefined);
    const closed = new Promise((resolve) => outgoing.once('close', resolve));
    outgoing.end();
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
    outgoing.destroy();
    await closed;
  }

  /** Everything that is stored, by its key. */
  async keys(prefix = ''): Promise<string[]> {
    const keys: string[] = [];
    try {
      for await (const { name, kind } of this.#storage.list(prefix)) {
        const key = prefix === '' ? name : `${prefix}/${name}`;
        keys.push(...(kind === 'object' ? [key] : await this.keys(key)));
      }
    } catch (error) {
      if (!isDriverError(error, 'not-found')) throw error;
    }
    return keys;
  }

  /** The lines that the registry wrote of the request with this answer. */
  linesOf({ headers }: Answer): readonly LogLine[] {
    return this.log.filter(({ fields }) => fields.requestId === headers['x-request-id']);
  }

  /** May be repeated. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.registry.close();
    await this.#backDoor.close();
  }

  #request(headers: RequestHeaders, { method, path, body, type }: Wanted) {
    const { port } = this.#server.address() as AddressInfo;
    const content = {
      ...(type !== undefined && { 'Content-Type': type }),
      ...(body !== undefined && { 'Content-Length': String(body.length) }),
    };
    return request({ host: '127.0.0.1', port, method, path, headers: { ...content, ...headers }, agent: false });
  }

  #exchange(headers: RequestHeaders, wanted: Wanted): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = this.#request(headers, wanted);
      outgoing.on('error', reject);
      outgoing.on('response', (incoming) => readAnswer(incoming).then(resolve, reject));
      outgoing.end(wanted.body);
    });
  }
}

async function readAnswer(incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks).toString('utf8') };
}

/** A storage plugin for a driver that several registries share. */
function given(driver: StorageDriver): Plugin<'storage'> {
  return definePlugin({ ...memory.definition, name: 'shared', create: () => driver })();
}

/** The same plugin, made and started as it would be, with what it does written down. */
function observed({ definition, options }: Plugin<'auth'>, seen: Observation): Plugin<'auth'> {
  return definePlugin({
    ...definition,
    create: async (checked, host) => {
      const handler = await definition.create(checked, host);
      seen.handlers.push(handler);
      seen.signal = host.signal;
      const wrapper: AuthHandler = {
        authorize: async (access) => {
          seen.grant = await handler.authorize(access);
          return seen.grant;
        },
        close: async () => {
          seen.closed += 1;
          await handler.close?.();
        },
      };
      return handler.check === undefined ? wrapper : { ...wrapper, check: () => checkOf(handler) };
    },
  })(options);
}

async function checkOf(handler: AuthHandler): Promise<void> {
  await handler.check?.();
}

function recorder(lines: LogLine[], bound: LogLine['fields'] = {}): Logger {
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) =>
    void lines.push({ level, fields: { ...bound, ...fields }, message });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => recorder(lines, { ...bound, ...fields }),
  };
}
