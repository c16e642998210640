// Registries that tell a listener what happens, where there is none, or one that hangs, or one that takes everything:
// and how fast it gets that.
import { once } from 'node:events';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { type Sample, timed } from './load.js';
import type { Contender } from './server.js';

const SERVER = fileURLToPath(new URL('notified-server.js', import.meta.url));

function notified(name: string, settings: () => Promise<Readonly<Record<string, string>>>): Contender {
  return {
    name,
    prepare: async (_folder, root, port) => {
      const place = { REGISTRY_ROOT: root, HOST: '127.0.0.1', PORT: String(port), NODE_ENV: 'production' };
      return { command: [process.execPath, SERVER], env: { ...place, ...(await settings()) } };
    },
  };
}

/** At a free port, for as long as this process has something else to do. */
async function urlOf(server: NetServer): Promise<string> {
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

export const withoutSink = notified('without notifications', async () => ({}));

export const withDeadSink = notified('with a dead webhook', async () => ({ LISTENER: 'http://127.0.0.1:9/' }));

/** Whoever connects is never answered. */
export const withHangingSink = notified('with a webhook that hangs', async () => ({
  LISTENER: await urlOf(createServer((socket) => void socket.on('error', () => undefined).unref())),
}));

interface Message {
  readonly events: number;
  readonly response: ServerResponse;
}

/** A registry whose listener lets events gather, and then takes them as fast as they come. */
class Delivering {
  readonly contender: Contender;
  #take: (message: Message) => void = ({ response }) => void response.end();

  constructor(name: string, batch: number) {
    const server = createHttpServer(async (request, response) => {
      const { events } = JSON.parse(await text(request)) as { readonly events: readonly unknown[] };
      this.#take({ events: events.length, response });
    });
    this.contender = notified(name, async () => ({
      LISTENER: await urlOf(server),
      BATCH: String(batch),
      TIMEOUT: '5m',
    }));
  }

  /** Lets `cause` have the registry gather events, and takes as many as it answers on the clock. */
  async measure(cause: () => Promise<number>): Promise<Sample> {
    const first = new Promise<Message>((resolve) => {
      this.#take = resolve;
    });
    const count = await cause();
    const held = await first;
    return timed(async (operation) => {
      let [left, last] = [count, performance.now()];
      await new Promise<void>((resolve) => {
        this.#take = ({ events, response }) => {
          response.end();
          const now = performance.now();
          for (let taken = 0; taken < events; taken++) operation((now - last) / events, 0);
          last = now;
          left -= events;
          if (left <= 0) resolve();
        };
        this.#take(held);
      });
    });
  }
}

const DELIVERING = [
  new Delivering('a webhook, 100 events at a time', 100),
  new Delivering('a webhook, one event at a time', 1),
] as const;

export const [deliveringBatches, deliveringSingly] = DELIVERING.map(({ contender }) => contender) as [
  Contender,
  Contender,
];

/** How fast a registry of these delivers the events that `cause` has gathered. */
export function measureEvents(name: string, cause: () => Promise<number>): Promise<Sample> {
  const delivering = DELIVERING.find(({ contender }) => contender.name === name);
  if (delivering === undefined) throw new Error(`${name} tells nobody`);
  return delivering.measure(cause);
}
