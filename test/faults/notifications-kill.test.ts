// `kill -9` at random moments of registries with durable queues: every event of an acknowledged push reaches each
// sink at least once, and in order, where an event that comes again brings along those that followed it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RegistryEvent } from 'koa-registry';
import { suite } from 'uvu';
import { startProcess } from '../support/process.js';
import { randomImage } from '../support/random-image.js';
import { RegistryClient } from '../support/registry-client.js';
import { tempFolder } from '../support/temp-folder.js';

const SERVER = fileURLToPath(new URL('./notifications-server.js', import.meta.url));

/** The registries of a process: each of its ends is a round for each of them, 208 in all. */
const REGISTRIES = 16;
const KILLS = 13;
const PUSHERS = 2;
const SINKS = ['single', 'several'];

/** In milliseconds. */
function randomMoment(): number {
  return Math.random() * 300;
}

/** What the sinks are told, by their paths: `/3/single`. */
class Listener {
  readonly received = new Map<string, RegistryEvent[]>();
  /** How a request is answered; `undefined` is a connection that is closed. */
  answer: () => number | undefined = () => 200;
  readonly #server = createServer((request, response) => {
    void this.#take(request).then((status) => {
      if (status === undefined) request.socket.destroy();
      else response.writeHead(status).end();
    });
  });

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1').unref();
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Events that came count, whatever is answered: their order has to be right, too. */
  async #take(request: IncomingMessage): Promise<number | undefined> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return undefined;
    }
    const status = this.answer();
    if (status === undefined) return undefined;
    const { events } = JSON.parse(Buffer.concat(chunks).toString()) as { events: RegistryEvent[] };
    const path = request.url ?? '';
    const before = this.received.get(path) ?? [];
    before.push(...events);
    this.received.set(path, before);
    return status;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** What one pusher was answered 201 for, in order: of each event that there has to be, its {@link targetOf}. */
type Pushed = string[];

/** A blob's digest, or that of a manifest and one of its tags. */
function targetOf(digest = '', tag?: string): string {
  return tag === undefined ? digest : `${digest} as ${tag}`;
}

/** The acknowledged pushes of all pushers of all times, by registry. */
type Ledger = Pushed[][];

/** Pushes one image after another until the registry is gone. */
async function pushUntilKilled(client: RegistryClient, pushed: Pushed): Promise<void> {
  try {
    for (let count = 0; ; count++) {
      const image = randomImage({ layers: [] });
      for (const bytes of image.blobs.values()) pushed.push(await client.pushBlob('team/app', bytes, 'post'));
      // Two events of one push: to have told of the first is not enough.
      const tags = count % 3 === 0 ? ['latest', 'second'] : ['latest'];
      await client.pushManifest('team/app', tags.join('?tag='), image);
      pushed.push(...tags.map((tag) => targetOf(image.digest, tag)));
    }
  } catch (error) {
    // `fetch` says so of a connection that is lost.
    if (!(error instanceof TypeError)) throw error;
  }
}

function startServer(folder: string, listener: string) {
  const args = [SERVER, folder, listener, String(REGISTRIES)];
  return startProcess(process.execPath, args, { ready: /listening on (\d+)/ });
}

/** @param first whether the moment of the kill counts from when every registry has acknowledged something, not from the start. */
async function killedRound(folder: string, listener: string, ledger: Ledger, first: boolean): Promise<void> {
  const server = await startServer(folder, listener);
  const present: Pushed[][] = [];
  const pushing = ledger.flatMap((pushers, number) => {
    const client = new RegistryClient(`http://127.0.0.1:${server.match?.[1]}/${number}`);
    const mine = Array.from({ length: PUSHERS }, (): Pushed => []);
    pushers.push(...mine);
    present.push(mine);
    return mine.map((pushed) => pushUntilKilled(client, pushed));
  });
  const failure = Promise.all(pushing);
  if (first) await Promise.race([failure, untilAcknowledged(present)]);
  await Promise.race([failure, delay(randomMoment())]);
  await server.stop('SIGKILL');
  await failure;
}

async function untilAcknowledged(present: readonly (readonly Pushed[])[]): Promise<void> {
  const isDone = () => present.every((pushers) => pushers.some((pushed) => pushed.length > 0));
  for (const end = performance.now() + 30_000; !isDone() && performance.now() < end; ) await delay(5);
}

/** Starts once more, until everybody was told everything; or not, and then the assertions tell what is missing. */
async function deliverTheRest(folder: string, listener: string, isDone: () => boolean): Promise<void> {
  const server = await startServer(folder, listener);
  for (const end = performance.now() + 30_000; !isDone() && performance.now() < end; ) await delay(20);
  await server.stop('SIGKILL');
  assert.ok(!server.output().includes('"level":50'), server.output());
}

function missing(ledger: Ledger, { received }: Listener): string[] {
  return ledger.flatMap((pushers, number) =>
    SINKS.flatMap((sink) => {
      const told = new Set(
        received.get(`/${number}/${sink}`)?.map(({ target }) => targetOf(target.digest, target.tag)),
      );
      return pushers.flat().filter((target) => !told.has(target));
    }),
  );
}

/** In the order of their first arrival, an event is followed by the next one, or by one that comes again. */
function assertOrder(events: readonly RegistryEvent[], pushers: readonly Pushed[], sink: string): void {
  const places = new Map<string, number>();
  let last = -1;
  for (const { id } of events) {
    const place = places.get(id) ?? places.size;
    places.set(id, place);
    assert.ok(place <= last + 1, `${sink}: after event ${last} comes ${place}`);
    last = place;
  }
  const targets = events.map(({ target }) => targetOf(target.digest, target.tag));
  for (const pushed of pushers) {
    const first = pushed.map((target) => targets.indexOf(target));
    assert.deepEqual(
      first,
      [...first].sort((a, b) => a - b),
      `${sink}: what was pushed later came before`,
    );
  }
}

async function assertDelivered(kills: number, dead: boolean): Promise<void> {
  const folder = tempFolder();
  const listener = new Listener();
  const url = await listener.open();
  const ledger: Ledger = Array.from({ length: REGISTRIES }, () => []);
  try {
    listener.answer = () => (dead ? undefined : Math.random() < 0.1 ? 500 : 200);
    for (let kill = 0; kill < kills; kill++) await killedRound(folder, url, ledger, kill % 2 === 0);
    if (dead) assert.equal(listener.received.size, 0);
    listener.answer = () => 200;
    await deliverTheRest(folder, url, () => missing(ledger, listener).length === 0);
    assert.deepEqual(missing(ledger, listener), [], 'acknowledged pushes nobody was told of');
    for (const [number, pushers] of ledger.entries()) {
      assert.ok(pushers.flat().length > 0, 'no kill came after anything was acknowledged');
      for (const sink of SINKS) assertOrder(listener.received.get(`/${number}/${sink}`) ?? [], pushers, sink);
    }
  } finally {
    listener.close();
  }
}

const test = suite('kill -9, with durable queues');

test('every event of an acknowledged push is delivered at least once, in order', () => assertDelivered(KILLS, false));

test('a sink that is dead all the time is told everything after the last start', () => assertDelivered(3, true));

test.run();
