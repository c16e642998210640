// The client SDK of an object store alone, in a process of its own as the registry has one: it is told by
// HTTP what to transfer, and answers when it is done. Everything comes from the environment: STORE (a
// `StoreAddress` as JSON), HOST, PORT.
import { createHash, type Hash } from 'node:crypto';
import { createServer } from 'node:http';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LARGE_BYTES } from './dataset.js';
import { RandomBlobs } from './push.js';
import { sdkClient } from './sdk-client.js';
import type { StoreAddress } from './stores.js';

const { STORE = '', HOST, PORT } = process.env;

/** What a socket delivers at a time. */
const CHUNK_BYTES = 64 * 1024;

const sdk = sdkClient(JSON.parse(STORE) as StoreAddress);
const blobs = new RandomBlobs(LARGE_BYTES);
const digests = new Map<string, string>();

function* inChunks(content: readonly Uint8Array[], hash: Hash | undefined): Generator<Uint8Array, void, void> {
  for (const bytes of content) {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      const chunk = bytes.subarray(at, at + CHUNK_BYTES);
      hash?.update(chunk);
      yield chunk;
    }
  }
}

const digestOf = (hash: Hash) => `sha256:${hash.digest('hex')}`;

async function push(name: string, checked: boolean, published: boolean): Promise<void> {
  const { parts, digest } = blobs.next();
  const hash = checked ? createHash('sha256') : undefined;
  const first = published ? `${name}.part` : name;
  await sdk.push(first, inChunks(parts, hash), checked);
  if (hash !== undefined && digestOf(hash) !== digest) throw new Error('another content was sent');
  if (published) await sdk.rename(first, name);
  digests.set(name, digest);
}

async function pull(name: string, checked: boolean): Promise<void> {
  const hash = checked ? createHash('sha256') : undefined;
  let length = 0;
  const nowhere = new Writable({
    write(chunk: Uint8Array, _encoding, done) {
      length += chunk.length;
      hash?.update(chunk);
      done();
    },
  });
  await pipeline(await sdk.pull(name, checked), nowhere);
  if (length !== LARGE_BYTES) throw new Error(`${length} bytes came`);
  if (hash !== undefined && digestOf(hash) !== digests.get(name)) throw new Error('another content came');
}

/**
 * `PUT /<name>` pushes a blob that is new, `GET /<name>` pulls it. `?checks=none` leaves out the digest and the
 * SDK's checksums; `?published` pushes under another name first.
 */
async function transfer(method: string, { pathname, searchParams }: URL): Promise<void> {
  const name = pathname.slice(1);
  const checked = searchParams.get('checks') !== 'none';
  if (name === 'v2/') return;
  if (method === 'PUT') await push(name, checked, searchParams.has('published'));
  else await pull(name, checked);
}

createServer(async ({ method = '', url = '' }, answer) => {
  let status = 200;
  try {
    await transfer(method, new URL(url, 'http://localhost'));
  } catch (error) {
    console.error(error);
    status = 500;
  }
  answer.writeHead(status, { 'Content-Length': 0 }).end();
}).listen(Number(PORT), HOST);
