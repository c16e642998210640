// A proxy before a real S3 server: it notes what is asked, and stages what no server does on demand,
// such as an answer that is lost on its way.
import { once } from 'node:events';
import {
  type Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/** An answer that the store itself would not give. */
export interface StagedAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * What becomes of a request: it is passed on; it is passed on, and the connection breaks where the answer
 * was to come; it never arrives; nothing answers it; or it is answered here.
 */
export type Fate = 'pass' | 'lose-answer' | 'lose-request' | 'hold' | StagedAnswer;

export interface StoreProxy {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** The operations that were asked for, such as `PutObject`, in order; the test may empty it. */
  readonly operations: string[];
  /** Decides about each request, by its operation and headers. Default: all pass. */
  decide: (operation: string, headers: IncomingHttpHeaders) => Fate | Promise<Fate>;
  /** How many requests wait for the store or its answer, the bodies included. */
  underWay(): number;
  close(): Promise<void>;
}

/** The name that S3's documentation has for a request. */
function operationOf({ method = '', url = '' }: IncomingMessage): string {
  const { pathname, searchParams: query } = new URL(url, 'http://store');
  const named = query.get('x-id');
  if (named !== null) return named;
  if (query.has('list-type')) return 'ListObjectsV2';
  if (query.has('uploads')) return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads';
  if (query.has('uploadId')) return 'CompleteMultipartUpload';
  if (query.has('delete')) return 'DeleteObjects';
  if (method === 'HEAD') return /^\/[^/]+\/?$/.test(pathname) ? 'HeadBucket' : 'HeadObject';
  return `${method} ${pathname}`;
}

/** Starts a proxy before the store at `target`, on a port of its own. */
export async function startStoreProxy(target: string, agent: Agent): Promise<StoreProxy> {
  const operations: string[] = [];
  const open = new Set<IncomingMessage>();
  // A client that tries nothing twice must not find that its idle connection was closed meanwhile.
  const server = createServer({ keepAliveTimeout: 60_000 }, async (incoming, outgoing) => {
    const operation = operationOf(incoming);
    operations.push(operation);
    open.add(incoming);
    outgoing.once('close', () => open.delete(incoming));
    serve(await proxy.decide(operation, incoming.headers), incoming, outgoing);
  }).listen(0, '127.0.0.1');

  function serve(fate: Fate, incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (fate === 'lose-request') {
      incoming.socket.destroy();
    } else if (typeof fate === 'object') {
      incoming.resume().once('end', () => outgoing.writeHead(fate.status).end(fate.body));
    } else if (fate === 'hold') {
      incoming.resume();
    } else {
      forward(fate, incoming, outgoing);
    }
  }

  function forward(fate: Fate, incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method, url, headers } = incoming;
    const passed = request(new URL(url ?? '', target), { method, headers, agent }, (answer) => {
      if (fate === 'lose-answer') answer.resume().once('end', () => incoming.socket.destroy());
      else answer.pipe(outgoing.writeHead(answer.statusCode ?? 500, answer.headers));
      outgoing.once('close', () => answer.destroy());
    });
    passed.once('error', () => incoming.socket.destroy());
    incoming.pipe(passed);
  }

  await once(server, 'listening');
  const proxy: StoreProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    operations,
    decide: () => 'pass',
    underWay: () => open.size,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return proxy;
}
