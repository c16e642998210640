// Blobs that nobody has seen before, and pushing them the monolithic way (OCI distribution-spec,
// "Pushing a blob monolithically": POST, then PUT).
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { headerOf } from './answer-reader.js';
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
  const session = await connection.exchange(
    request('POST', `/v2/${repository}/blobs/uploads/`, { 'Content-Length': 0 }),
  );
  expectAnswer(session, 202);
  const location = new URL(headerOf(session, 'location') ?? '', 'http://localhost');
  location.searchParams.set('digest', blob.digest);
  const headers = { 'Content-Length': blob.size, 'Content-Type': 'application/octet-stream' };
  const upload = request('PUT', location.pathname + location.search, headers, blob.parts);
  expectAnswer(await connection.exchange(upload), 201);
}
