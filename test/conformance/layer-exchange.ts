// Requests as they leave a client: no header that it was not told to send, no redirect followed unasked.
import { strict as assert } from 'node:assert';
import { request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { BlobReply, BlobRequest } from './layer-setup.js';

export interface Exchange {
  readonly method: string;
  readonly headers?: BlobRequest['headers'];
  readonly body?: Buffer;
}

/** More than any CDN needs. */
const MOST_REDIRECTS = 5;

function begin(url: string, { method, headers = {} }: Exchange) {
  const request = url.startsWith('https:') ? secureRequest : plainRequest;
  return request(url, { method, headers, agent: false });
}

export function exchange(url: string, wanted: Exchange): Promise<BlobReply> {
  return new Promise((resolve, reject) => {
    const outgoing = begin(url, wanted);
    outgoing.on('error', reject);
    outgoing.on('response', async (incoming) => {
      try {
        const chunks: Buffer[] = [];
        for await (const chunk of incoming) chunks.push(chunk);
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) });
      } catch (error) {
        reject(error);
      }
    });
    outgoing.end(wanted.body);
  });
}

/** Sends a request and goes away before it is answered, at one moment or another. */
export async function abandon(url: string, wanted: Exchange, turns: number): Promise<void> {
  const outgoing = begin(url, wanted);
  outgoing.on('error', () => undefined);
  const closed = new Promise((resolve) => outgoing.once('close', resolve));
  outgoing.end();
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
  outgoing.destroy();
  await closed;
}

/** Where a redirect leads; `undefined` for any other answer. */
export function locationOf({ status, headers: { location } }: BlobReply): string | undefined {
  return status >= 300 && status < 400 && typeof location === 'string' ? location : undefined;
}

/** Goes where an answer leads, with the same method and range. */
export async function followRedirect(reply: BlobReply, { method, headers }: BlobRequest): Promise<BlobReply> {
  const range = Object.entries(headers).filter(([name]) => name.toLowerCase() === 'range');
  let last = reply;
  for (let hops = 0; ; hops++) {
    const location = locationOf(last);
    if (location === undefined) return last;
    assert.ok(hops < MOST_REDIRECTS, 'redirects without an end');
    last = await exchange(location, { method, headers: Object.fromEntries(range) });
  }
}
