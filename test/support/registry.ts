// A registry at work in a Koa application on a free port of 127.0.0.1, mounted as a test wants it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import {
  definePlugin,
  isDriverError,
  type Logger,
  type Plugin,
  type Registry,
  type RegistryOptions,
  registry,
  type StorageDriver,
  startPlugin,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { z } from 'zod';
import { type Answer, begin, type OpenRequest, type RequestOptions, send } from './http-client.js';
import { journalLine } from './log-journal.js';

/** How a registry stands in its host application. */
export interface Mount {
  readonly name: string;
  /** What precedes `/v2` in the paths that clients use. */
  readonly base: string;
  /** The options that this mount needs. */
  readonly options?: Partial<RegistryOptions>;
  /** Default: a new application of Koa 3. */
  readonly application?: () => Koa;
  /** Default: `app.use(registry)`. */
  readonly attach?: (app: Koa, registry: Registry) => void;
  /** Default: in memory. */
  readonly storage?: () => Plugin<'storage'>;
}

export interface OpenOptions extends Partial<RegistryOptions> {
  /** Stands in for what the mount stores in; shared between several registries where it is given. */
  readonly driver?: StorageDriver;
  /** Koa's `app.proxy`. */
  readonly proxy?: boolean;
}

/** One line that the registry logged. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A storage plugin around a driver that is already there. */
export const given = definePlugin({
  kind: 'storage',
  name: 'given',
  options: z.strictObject({ driver: z.custom<StorageDriver>() }),
  create: ({ driver }): StorageDriver => driver,
});

/** Starts a storage plugin, for tests that look into it or share it; whoever starts it need not close it. */
export async function startStorage(plugin: Plugin<'storage'> = memory()): Promise<StorageDriver> {
  const { instance } = await startPlugin(plugin);
  return instance;
}

/** Every key below a prefix, in order. */
export async function keysBelow(driver: StorageDriver, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  try {
    for await (const { name, kind } of driver.list(prefix)) {
      const key = prefix === '' ? name : `${prefix}/${name}`;
      if (kind === 'object') keys.push(key);
      else keys.push(...(await keysBelow(driver, key)));
    }
  } catch (error) {
    if (!isDriverError(error, 'not-found')) throw error;
  }
  return keys;
}

export class OpenRegistry {
  readonly registry: Registry;
  readonly app: Koa;
  readonly storage: StorageDriver;
  readonly base: string;
  readonly log: readonly LogLine[];
  /** What the application emitted as `error`. */
  readonly errors: readonly unknown[];
  readonly #server: Server;

  constructor(parts: Pick<OpenRegistry, 'registry' | 'app' | 'storage' | 'base' | 'log' | 'errors'>, server: Server) {
    this.registry = parts.registry;
    this.app = parts.app;
    this.storage = parts.storage;
    this.base = parts.base;
    this.log = parts.log;
    this.errors = parts.errors;
    this.#server = server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Sends a request to a path of the registry, `/v2/…`, wherever that stands. */
  send(method: string, path: string, options?: RequestOptions): Promise<Answer> {
    return send(this.port, method, this.base + path, options);
  }

  /** Sends a request to whatever target, as it is. */
  sendRaw(method: string, target: string, options?: RequestOptions): Promise<Answer> {
    return send(this.port, method, target, options);
  }

  /** Begins a request whose body the test sends itself. */
  begin(method: string, path: string, options?: RequestOptions): OpenRequest {
    return begin(this.port, method, this.base + path, options);
  }

  /** The path below the mount that a `Location` or a `Link` leads to, which must be this registry's own. */
  within(location: string | undefined): string {
    const root = `${this.origin}${this.base}`;
    const target = location ?? assert.fail('there is no URL to follow');
    assert.ok(target.startsWith(`${root}/v2/`), `${target} does not lead below ${root}/v2/`);
    return target.slice(root.length);
  }

  /** The keys of everything that is stored. */
  keys(): Promise<string[]> {
    return keysBelow(this.storage);
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    await this.registry.close();
  }
}

export const BARE: Mount = { name: 'bare', base: '' };

/** Starts an application with a registry; deletion is on unless the options say otherwise. */
export async function openRegistry(mount: Mount = BARE, options: OpenOptions = {}): Promise<OpenRegistry> {
  const { driver, proxy = false, ...more } = options;
  const storage = driver ?? (await startStorage(mount.storage?.()));
  const log: LogLine[] = [];
  const errors: unknown[] = [];
  const images = registry({
    storage: given({ driver: storage }),
    logger: recorder(log),
    delete: { enabled: true },
    ...mount.options,
    ...more,
  });
  const app = mount.application?.() ?? new Koa();
  app.proxy = proxy;
  app.on('error', (error: unknown) => errors.push(error));
  if (mount.attach === undefined) app.use(images);
  else mount.attach(app, images);
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new OpenRegistry({ registry: images, app, storage, base: mount.base, log, errors }, server);
}

function recorder(lines: LogLine[], bound: LogLine['fields'] = {}): Logger {
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) => {
    const line = { level, fields: { ...bound, ...fields }, message };
    lines.push(line);
    journalLine(line.fields, message);
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => recorder(lines, { ...bound, ...fields }),
  };
}
