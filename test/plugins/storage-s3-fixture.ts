// What the tests of `storage/s3` share: drivers on one bucket as several hosts have them, and how
// content is sent, read and compared.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { Agent } from 'node:http';
import { S3 } from '@aws-sdk/client-s3';
import {
  type DriverErrorReason,
  isDriverError,
  type Logger,
  type Plugin,
  type StorageDriver,
  startPlugin,
} from 'koa-registry';
import { s3 } from 'koa-registry/plugins/storage/s3';
import type { S3Server } from '../support/versitygw.js';
import { type Fate, type StoreProxy, startStoreProxy } from './storage-s3-proxy.js';

export const MIB = 1024 * 1024;

export type Settings = Partial<NonNullable<Parameters<typeof s3>[0]>>;

/** The plugin on a server, with the smallest parts. */
export function pluginOn(server: S3Server, settings: Settings = {}): Plugin<'storage'> {
  const { bucket, accessKey, secretKey, url } = server;
  return s3({ bucket, accessKey, secretKey, endpoint: url, secure: false, chunkSize: '5MiB', ...settings });
}

/** Uses three drivers on one bucket, below a prefix of their own. */
export async function withHosts(
  server: S3Server,
  use: (first: StorageDriver, second: StorageDriver, third: StorageDriver) => Promise<void>,
): Promise<void> {
  const start = () => startPlugin(pluginOn(server, { rootDirectory }));
  const rootDirectory = randomUUID();
  const hosts = [await start(), await start(), await start()] as const;
  try {
    await use(hosts[0].instance, hosts[1].instance, hosts[2].instance);
  } finally {
    for (const { close } of hosts) await close();
  }
}

/** The SDK's own client, for what goes on behind a driver's back. */
export async function withClient(server: S3Server, use: (client: S3) => Promise<void>): Promise<void> {
  const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
  const client = new S3({ region: 'us-east-1', endpoint: server.url, forcePathStyle: true, credentials });
  try {
    await use(client);
  } finally {
    client.destroy();
  }
}

/** Uses a proxy before a server. */
export async function withProxy(server: S3Server, use: (proxy: StoreProxy) => Promise<void>): Promise<void> {
  const agent = new Agent();
  const proxy = await startStoreProxy(server.url, agent);
  try {
    await use(proxy);
  } finally {
    await proxy.close();
    agent.destroy();
  }
}

/** Uses a driver that reaches the server through a proxy, which has forgotten the requests of the start. */
export async function withProxied(
  server: S3Server,
  use: (driver: StorageDriver, proxy: StoreProxy) => Promise<void>,
  settings: Settings = {},
): Promise<void> {
  await withProxy(server, async (proxy) => {
    const own = { endpoint: proxy.url, rootDirectory: randomUUID(), ...settings };
    const { instance, close } = await startPlugin(pluginOn(server, own));
    try {
      proxy.operations.length = 0;
      await use(instance, proxy);
    } finally {
      await close();
    }
  });
}

/** A logger whose events are its messages, by level. */
export function recordingLogger(): { readonly logger: Logger; readonly events: EventEmitter } {
  const events = new EventEmitter();
  const at =
    (level: string): Logger['info'] =>
    (...said: unknown[]) =>
      void events.emit(`log-${level}`, ...said);
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return { logger, events };
}

export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

/** Lets the first request of an operation meet its fate; all others pass. */
export function strike(proxy: StoreProxy, operation: string, fate: Fate): void {
  let struck = false;
  proxy.decide = (asked) => {
    if (asked !== operation || struck) return 'pass';
    struck = true;
    return fate;
  };
}

export async function fails(reason: DriverErrorReason, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => isDriverError(error, reason), reason);
}

/** Asserts what an error and its causes say, and that they tell no secret. */
export function saying(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    const messages: string[] = [];
    for (let at = error; at instanceof Error; at = at.cause) messages.push(at.message);
    const text = messages.join('\n');
    assert.match(text, pattern);
    assert.ok(!text.includes('canary'), 'a secret is told');
    return true;
  };
}

export async function* inPieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export async function assertContent(driver: StorageDriver, key: string, expected: Uint8Array): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of await driver.open(key)) chunks.push(chunk);
  const actual = Buffer.concat(chunks);
  assert.equal(actual.length, expected.length);
  assert.ok(actual.equals(expected), 'the content differs');
}
