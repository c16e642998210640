// How bytes of unknown length become parts: gathered in one buffer while the other is written, one
// write under way at a time and in order, so that what stands is a content at every moment.
import { DriverError } from '../errors.js';
import type { Bucket, BucketWriteOptions } from './bucket.js';
import { partName } from './names.js';
import { type Piece, sizeOf } from './standing.js';

/** The most parts of one content, as S3 has it. */
const MAX_PARTS = 10_000;

/** The first buffer of a writer: most of what is appended at a time is smaller than a part. */
const FIRST_BUFFER_BYTES = 256 * 1024;

export interface PartOptions {
  /** The size of a part, which is that of a buffer too; in bytes. */
  readonly partBytes: number;
  /** The key, for errors. */
  readonly key: string;
}

/** Writes parts after those that stand; the last of them is written again, longer, where it is too small to be joined. */
class PartWriter {
  readonly #bucket: Bucket;
  readonly #name: string;
  readonly #options: PartOptions;
  /** The last part, while it is to be replaced. */
  #small: Piece | undefined;
  /** Where the buffer's content begins. */
  #offset: number;
  #count: number;
  #buffer: Buffer;
  #length = 0;
  #spare: Buffer | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(bucket: Bucket, name: string, parts: readonly Piece[], options: PartOptions) {
    const last = parts.at(-1);
    this.#bucket = bucket;
    this.#name = name;
    this.#options = options;
    this.#small = last !== undefined && last.size < bucket.minPartBytes ? last : undefined;
    this.#offset = this.#small?.offset ?? sizeOf(parts);
    this.#count = parts.length - (this.#small === undefined ? 0 : 1);
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(FIRST_BUFFER_BYTES, options.partBytes));
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#offset + this.#length;
  }

  /** Reads the last part, where it is to be replaced. Nothing is written of it alone. */
  async begin(): Promise<void> {
    if (this.#small === undefined || this.#small.size === 0) return;
    // Somebody may have made it longer: then its version is another, and the write is refused.
    for await (const chunk of await this.#bucket.read(this.#small.name, { start: 0, end: this.#small.size - 1 })) {
      await this.add(chunk);
    }
  }

  /** Copies a chunk; waits where the buffer is full and the one before is not written yet. */
  async add(chunk: Uint8Array): Promise<void> {
    for (let taken = 0; taken < chunk.byteLength; ) {
      if (this.#length === this.#buffer.length) this.#grow();
      const piece = chunk.subarray(taken, taken + this.#buffer.length - this.#length);
      this.#buffer.set(piece, this.#length);
      this.#length += piece.byteLength;
      taken += piece.byteLength;
      if (this.#length === this.#options.partBytes) await this.startPart();
    }
  }

  /** Writes what is in the buffer, be it empty, once the part before is written. */
  async startPart(): Promise<void> {
    await this.#writing;
    if (this.#count === MAX_PARTS) throw new DriverError('quota', this.#options.key);
    const expect = this.#small === undefined ? 'absent' : { version: this.#small.version };
    this.#writing = this.#write(this.#buffer.subarray(0, this.#length), this.#offset, expect);
    // A failure is seen by whoever awaits the part next, which may be a slow source later.
    this.#writing.catch(() => undefined);
    this.#small = undefined;
    this.#count++;
    this.#offset += this.#length;
    this.#length = 0;
    [this.#buffer, this.#spare] = [this.#spare ?? Buffer.alloc(0), this.#buffer];
  }

  /** Resolves when all that was started is written. */
  async finish(): Promise<void> {
    if (this.#length > 0) await this.startPart();
    await this.#writing;
  }

  #grow(): void {
    const larger = Buffer.allocUnsafeSlow(this.#options.partBytes);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }

  async #write(bytes: Uint8Array, offset: number, expect: BucketWriteOptions['expect']): Promise<void> {
    await this.#bucket.write(partName(this.#name, offset), bytes, { expect });
  }
}

/**
 * Appends `source` to the content whose parts are `parts`. What was received before the source
 * failed is written too, so that the size then tells how much the caller need not send again.
 *
 * @returns the new size.
 * @throws what the source threw; DriverError `offset-conflict` when somebody else appends.
 */
export async function appendParts(
  bucket: Bucket,
  name: string,
  parts: readonly Piece[],
  source: AsyncIterable<Uint8Array>,
  options: PartOptions,
): Promise<number> {
  const writer = new PartWriter(bucket, name, parts, options);
  let begun = false;
  try {
    for await (const chunk of source) {
      if (chunk.byteLength === 0) continue;
      if (!begun) await writer.begin();
      begun = true;
      await writer.add(chunk);
    }
  } catch (error) {
    // After a failed write this fails in the same way, and writes nothing.
    if (begun) await writer.finish().catch(() => undefined);
    throw error;
  }
  if (!begun && parts.length > 0) return sizeOf(parts);
  if (!begun) await writer.startPart();
  await writer.finish();
  return writer.position;
}
