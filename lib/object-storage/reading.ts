// Reading: an object whole, and a content of several pieces as one stream.
import { Readable } from 'node:stream';
import type { OpenOptions } from '../contracts/index.js';
import type { Bucket } from './bucket.js';
import type { Piece } from './standing.js';

/** Gathers a stream of a small object. */
export async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Streams a range of a content, piece after piece: none is asked for before the one before has ended. */
export class Concatenation extends Readable {
  readonly #chunks: AsyncGenerator<Uint8Array, void, undefined>;
  #current: Readable | undefined;

  constructor(bucket: Bucket, pieces: readonly Piece[], options: OpenOptions) {
    super();
    this.#chunks = this.#readPieces(bucket, pieces, options);
  }

  override _read(): void {
    this.#chunks.next().then(
      ({ done, value }) => this.push(done ? null : value),
      (error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#current?.destroy();
    callback(error);
  }

  async *#readPieces(bucket: Bucket, pieces: readonly Piece[], { start = 0, end = Infinity, signal }: OpenOptions) {
    for (const { name, offset, size } of pieces) {
      const first = Math.max(start - offset, 0);
      const last = Math.min(end - offset, size - 1);
      if (first > last) continue;
      this.#current = await bucket.read(name, { start: first, end: last, signal });
      // Destroyed while the piece was being opened: nobody else would close it.
      if (this.destroyed) this.#current.destroy();
      yield* this.#current;
    }
  }
}
