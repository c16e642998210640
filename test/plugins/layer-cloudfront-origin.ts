// Stands for the CDN, which nobody can install: a loopback server that verifies the signature of a URL by itself, and
// only then serves a file below a root.
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { permitted } from './layer-cloudfront-fixture.js';

export interface VerifyingOrigin {
  readonly url: string;
  /** `GET 200`, in the order of the answers. */
  readonly journal: readonly string[];
  close(): Promise<void>;
}

function isPermitted(url: string): boolean {
  try {
    return permitted(url).expires * 1000 > Date.now();
  } catch {
    return false;
  }
}

async function serve(url: string, root: string, { method }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!isPermitted(url)) return void response.writeHead(403).end();
  const file = join(root, decodeURIComponent(new URL(url).pathname));
  const { size } = await stat(file);
  response.writeHead(200, { 'Content-Length': size });
  if (method === 'HEAD') response.end();
  else await pipeline(createReadStream(file), response);
}

/** Listens at a free port of 127.0.0.1. */
export async function startOrigin(root: string): Promise<VerifyingOrigin> {
  const journal: string[] = [];
  const server = createServer((request, response) => {
    response.once('finish', () => journal.push(`${request.method} ${response.statusCode}`));
    serve(`${url}${request.url}`, root, request, response).catch(() => response.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return { url, journal, close };
}
