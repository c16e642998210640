// A listener for events on a port of 127.0.0.1 that does as a test says, over real sockets: it may refuse, hang, break
// off, be away and come back where it was.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { NotificationSink, Plugin, RegistryEvent } from 'koa-registry';
import { startPlugin } from 'koa-registry';
import { startLogged } from './redis-fixture.js';

/** What becomes of a request that was read to its end. */
export type Behaviour = (response: ServerResponse, request: IncomingMessage) => unknown;

export function answer(status: number, body = '', headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (response) => response.writeHead(status, headers).end(body);
}

export const hang: Behaviour = () => undefined;
export const reset: Behaviour = (_response, { socket }) => socket.resetAndDestroy();
export const hangUp: Behaviour = (_response, { socket }) => socket.end();
export const speakNonsense: Behaviour = (_response, { socket }) => socket.end('SSH-2.0-OpenSSH_9.2\r\n');
export const halfHead: Behaviour = (_response, { socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Le');

/** Says another length than it sends, and is gone. */
export function halfBody(status: number): Behaviour {
  return (response, { socket }) => {
    response.writeHead(status, { 'Content-Length': 1000 });
    response.write('half of it', () => socket.destroy());
  };
}

/** A body without an end, in pieces of a size; as long as somebody reads. */
export function endlessBody(status: number, size: number): Behaviour {
  return (response) => {
    response.writeHead(status);
    pipeline(Readable.from(endless(size)), response, () => undefined);
  };
}

async function* endless(size: number) {
  for (;;) {
    yield Buffer.alloc(size, 'x');
    await delay(1);
  }
}

/** A request that has arrived whole. */
export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly events: readonly RegistryEvent[];
}

const live = new Set<Listener>();

/** For `test.after.each`. */
export async function stopListeners(): Promise<void> {
  await Promise.all([...live].map((listener) => listener.stop()));
}

export class Listener {
  /** Every request, in the order in which they came. */
  readonly received: Received[] = [];
  /** The events that were answered 2xx, in that order. */
  readonly accepted: RegistryEvent[] = [];
  /** How many connections it has had. */
  connections = 0;
  /** What becomes of those that {@link next} does not name. */
  usually: Behaviour = answer(200);
  readonly #next: Behaviour[] = [];
  readonly #tls: ServerOptions | undefined;
  #server: Server;
  readonly port: number;

  private constructor(server: Server, tls: ServerOptions | undefined) {
    this.#server = server;
    this.#tls = tls;
    this.port = (server.address() as AddressInfo).port;
    this.#attend();
    live.add(this);
  }

  static async start(tls?: ServerOptions): Promise<Listener> {
    return new Listener(await listen(0, tls), tls);
  }

  get url(): string {
    return `http${this.#tls ? 's' : ''}://127.0.0.1:${this.port}/events`;
  }

  /** The events of all requests, accepted or not. */
  get events(): readonly RegistryEvent[] {
    return this.received.flatMap(({ events }) => events);
  }

  /** What becomes of the next requests, one each. */
  next(...behaviours: readonly Behaviour[]): void {
    this.#next.push(...behaviours);
  }

  /** As if its host were restarted: connections end. */
  async stop(): Promise<void> {
    live.delete(this);
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  /** Comes back where it was. */
  async comeBack(): Promise<void> {
    this.#server = await listen(this.port, this.#tls);
    this.#attend();
    live.add(this);
  }

  #attend(): void {
    this.#server.on(this.#tls ? 'secureConnection' : 'connection', () => {
      this.connections += 1;
    });
    this.#server.on('request', (request, response) => void this.#take(request, response).catch(() => undefined));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const body = await buffer(request);
    const { events } = JSON.parse(body.toString('utf8')) as { readonly events: readonly RegistryEvent[] };
    this.received.push({ method, url, headers, body, events });
    await (this.#next.shift() ?? this.usually)(response, request);
    if (response.headersSent && response.statusCode >= 200 && response.statusCode < 300) this.accepted.push(...events);
  }
}

/** A port that was just given up may be somebody's for a moment. */
async function listen(port: number, tls: ServerOptions | undefined): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const server = tls ? createSecureServer(tls) : createServer();
    try {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      return server;
    } catch (error) {
      if (attempt === 50) throw error;
      await delay(100);
    }
  }
}

/** Each event of a listener once, by when it was first accepted. */
export function firstAccepted({ accepted }: Listener): readonly RegistryEvent[] {
  return [...new Map(accepted.map((event) => [event.id, event])).values()];
}

/** That a listener has accepted events about these digests, all of them, in this order, whatever it had to be told twice. */
export function assertDelivered(listener: Listener, digests: readonly string[]): void {
  assert.deepEqual(
    firstAccepted(listener).map(({ target }) => target.digest),
    digests,
  );
  const ids = new Set(listener.events.map(({ id }) => id));
  assert.equal(ids.size, digests.length, 'an event came again with another id');
}

export function eventOf(more: Partial<RegistryEvent> = {}): RegistryEvent {
  return {
    id: randomUUID(),
    timestamp: new Date().toISOString(),
    action: 'push',
    target: { repository: 'team/app', digest: 'sha256:0', size: 1, length: 1 },
    request: { id: 'r', addr: '127.0.0.1:1', host: 'registry.example', method: 'PUT', useragent: 'test' },
    actor: { name: 'alice' },
    source: { addr: 'host:5000', instanceID: 'i' },
    ...more,
  };
}

/** Starts a sink for a test that writes to it directly; what it logs goes into the journal. */
export async function withSink(
  plugin: Plugin<'notification'>,
  use: (sink: NotificationSink) => Promise<void>,
): Promise<void> {
  const { instance, close } = await startLogged(plugin);
  try {
    await use(instance);
  } finally {
    await close();
  }
}

/** Writes events, one by default, and waits for as long as it takes. */
export function write(sink: NotificationSink, events: readonly RegistryEvent[] = [eventOf()]): Promise<void> {
  return sink.write(events, { signal: new AbortController().signal });
}

/** Why a sink does not take an event; none of it may be nothing. */
export async function failureOf(plugin: Plugin<'notification'>): Promise<Error> {
  const { instance, close } = await startPlugin(plugin);
  try {
    await write(instance);
  } catch (error) {
    return error as Error;
  } finally {
    await close();
  }
  return assert.fail('the event was taken');
}
