// Blobs that nobody has seen before, and pushing them the monolithic way (OCI distribution-spec,
// "Pushing a blob monolithically": POST, then PUT).
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Answer, headerOf } from './answer-reader.js';
import { type Connection, request } from './connection.js';
import { expectAnswer } from './load.js';

/** A blob as parts that are sent one after the other. */
export interface Blob {
  readonly parts: readonly Uint8Array[];
  readonly digest: string;
  readonly size: number;
}

export function blobOf(bytes: Uint8Array): Blob {
  return { parts: [bytes], digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, size: bytes.length };
}

const TAIL_BYTES = 32;

/**
 * Incompressible blobs of one size, no two alike. They differ in their last bytes only, so that they
 * share their memory and only the first costs a hash over the whole.
 */
export class RandomBlobs {
  readonly #size: number;
  #prefix: { readonly bytes: Buffer; readonly hash: Hash } | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  next(): Blob {
    this.#prefix ??= this.#fill();
    const tail = randomBytes(TAIL_BYTES);
    const digest = this.#prefix.hash.copy().update(tail).digest('hex');
    return { parts: [this.#prefix.bytes, tail], digest: `sha256:${digest}`, size: this.#size };
  }

  #fill() {
    const bytes = randomBytes(this.#size - TAIL_BYTES);
    return { bytes, hash: createHash('sha256').update(bytes) };
  }
}

/** @throws Error unless the server takes it: 202 for the session, 201 for the blob. */
export async function pushBlob(connection: Connection, repository: string, blob: Blob): Promise<void> {
  const location = await startUpload(connection, repository);
  location.searchParams.set('digest', blob.digest);
  const headers = { 'Content-Length': blob.size, 'Content-Type': 'application/octet-stream' };
  const upload = request('PUT', location.pathname + location.search, headers, blob.parts);
  expectAnswer(await connection.exchange(upload), 201);
}

/** As {@link pushBlob}, by a PATCH and a PUT without a body; answers how long the PUT took, in milliseconds. */
export async function pushBlobByPatch(connection: Connection, repository: string, blob: Blob): Promise<number> {
  const { pathname, search } = await startUpload(connection, repository);
  const headers = { 'Content-Length': blob.size, 'Content-Type': 'application/octet-stream' };
  const patched = await connection.exchange(request('PATCH', pathname + search, headers, blob.parts));
  const location = locationOf(patched, 202);
  location.searchParams.set('digest', blob.digest);
  const start = performance.now();
  const finish = request('PUT', location.pathname + location.search, { 'Content-Length': 0 });
  expectAnswer(await connection.exchange(finish), 201);
  return performance.now() - start;
}

async function startUpload(connection: Connection, repository: string): Promise<URL> {
  const start = request('POST', `/v2/${repository}/blobs/uploads/`, { 'Content-Length': 0 });
  return locationOf(await connection.exchange(start), 202);
}

function locationOf(answer: Answer, status: number): URL {
  expectAnswer(answer, status);
  return new URL(headerOf(answer, 'location') ?? '', 'http://localhost');
}

/** Removes what was pushed into a repository of its own, behind the server's back: `root` is its root directory. */
export async function removePushed(root: string, repository: string, blobs: readonly Blob[]): Promise<void> {
  const keys = join(root, 'docker/registry/v2');
  const folders = blobs.map(({ digest }) => {
    const hex = digest.slice('sha256:'.length);
    return join('blobs/sha256', hex.slice(0, 2), hex);
  });
  for (const folder of [...folders, join('repositories', repository)]) {
    await rm(join(keys, folder), { recursive: true, force: true });
  }
}
