// A host application with a registry in it, over a real socket, and what the two wrote to their logs.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import Koa, { type Middleware } from 'koa';
import type { Plugin, StorageDriver } from 'koa-registry';
import { definePlugin, type Registry, type RegistryOptions, registry, startPlugin } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pino } from 'pino';
import { z } from 'zod';
import { journal } from '../support/log-journal.js';

/** A line of pino's. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export const WARN = 40;
export const ERROR = 50;

/** A real pino logger and everything that it wrote. */
export function recordingLogger(level = 'debug') {
  const lines: LogLine[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      journal(chunk.toString('utf8'));
      for (const line of chunk.toString('utf8').split('\n')) if (line !== '') lines.push(JSON.parse(line) as LogLine);
      done();
    },
  });
  return { logger: pino({ level }, stream), lines };
}

/** A storage plugin for a driver that a test has at hand. */
export function storageOf(create: () => StorageDriver | Promise<StorageDriver>): Plugin<'storage'> {
  return definePlugin({ kind: 'storage', name: 'of-a-test', options: z.strictObject({}), create })();
}

/** A memory driver that outlives the registry which uses it. */
export async function memoryDriver(): Promise<StorageDriver> {
  return (await startPlugin(memory())).instance;
}

export interface Host {
  readonly url: string;
  readonly app: Koa;
  readonly server: Server;
  readonly registry: Registry;
  readonly lines: readonly LogLine[];
  /** What the application was told of by its `error` event. */
  readonly errors: Error[];
}

export interface HostOptions {
  readonly options?: Partial<RegistryOptions>;
  /** The application's own middleware, before the registry and after it. */
  readonly before?: readonly Middleware[];
  readonly after?: readonly Middleware[];
  readonly proxy?: boolean;
  /** Default: 0. */
  readonly requestTimeout?: number;
}

/** Runs `work` against an application that listens, and closes it. */
export async function withHost<T>(hostOptions: HostOptions, work: (host: Host) => Promise<T>): Promise<T> {
  const { options = {}, before = [], after = [], proxy = false, requestTimeout = 0 } = hostOptions;
  const { logger, lines } = recordingLogger();
  const app = new Koa({ proxy });
  const errors: Error[] = [];
  app.on('error', (error: Error) => errors.push(error));
  const ours = registry({ storage: memory(), logger, ...options });
  for (const middleware of [...before, ours, ...after]) app.use(middleware);
  const server = createServer({ requestTimeout }, app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    return await work({ url, app, server, registry: ours, lines, errors });
  } finally {
    server.close();
    server.closeAllConnections();
    await ours.close();
  }
}
