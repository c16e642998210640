// The suite's own store: in memory, with signed URLs, and with a server of 127.0.0.1 where its objects
// are had without the registry. It stands for a bucket and for the CDN before it.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import {
  definePlugin,
  isDriverError,
  type Plugin,
  parseRange,
  type Started,
  type StorageDriver,
  startPlugin,
  type UrlOptions,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';

/** Above all keys: a name that has to be encoded in a URL. */
const FOLDER = 'layers at 100%';

const SIGNATURE = 'conformance-signature';

function nameOf(key: string): string {
  return `${FOLDER}/${key}`;
}

export class Origin {
  readonly url: string;
  /** Shows the same objects to every registry that starts it. */
  readonly storage: Plugin<'storage'>;
  readonly #driver: StorageDriver;
  readonly #closeDriver: () => Promise<void>;
  readonly #server: Server;
  readonly #key = randomBytes(32);

  private constructor({ instance: driver, close }: Started<'storage'>, server: Server) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#driver = driver;
    this.#closeDriver = close;
    this.#server = server;
    server.on('request', (request, response) => this.#answer(request, response));
    const url = async (key: string, options: UrlOptions) => this.#signed(nameOf(key), options);
    const create = () => ({ ...driver, close: async () => undefined, url, path: nameOf });
    this.storage = definePlugin({ ...memory.definition, name: 'conformance', create })();
  }

  static async open(): Promise<Origin> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Origin(await startPlugin(memory()), server);
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.#closeDriver();
  }

  #signed(name: string, { method, expires }: UrlOptions): string {
    const path = `/${name.split('/').map(encodeURIComponent).join('/')}`;
    const until = String(Date.now() + expires);
    const query = new URLSearchParams({ until, [SIGNATURE]: this.#signature(method, path, until) });
    return `${this.url}${path}?${query}`;
  }

  #signature(...signed: string[]): string {
    return createHmac('sha256', this.#key).update(signed.join('\n')).digest('base64url');
  }

  /** Nobody needs a signature, but one that is there is to be right. */
  #admits(method: string, { pathname, searchParams }: URL): boolean {
    const given = searchParams.get(SIGNATURE);
    if (given === null) return true;
    const until = searchParams.get('until') ?? '';
    const right = Buffer.from(this.#signature(method, pathname, until));
    const sent = Buffer.from(given);
    return sent.length === right.length && timingSafeEqual(sent, right) && Number(until) > Date.now();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#serve(request, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else response.writeHead(isDriverError(error, 'not-found') ? 404 : 400).end();
    }
  }

  async #serve({ method = '', url = '/', headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = new URL(url, this.url);
    if (!['GET', 'HEAD'].includes(method)) return void response.writeHead(405).end();
    if (!this.#admits(method, asked)) return void response.writeHead(403).end();
    const key = decodeURIComponent(asked.pathname.slice(1)).replace(`${FOLDER}/`, '');
    const { kind, size } = await this.#driver.stat(key);
    if (kind !== 'object') return void response.writeHead(404).end();
    const range = parseRange(headers.range, size);
    if (range === 'unsatisfiable') return void response.writeHead(416).end();
    const length = range === undefined ? size : range.end - range.start + 1;
    if (range !== undefined) response.setHeader('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
    response.writeHead(range === undefined ? 200 : 206, { 'Content-Length': length });
    if (method === 'HEAD') return void response.end();
    await pipeline(await this.#driver.open(key, range ?? {}), response);
  }
}
