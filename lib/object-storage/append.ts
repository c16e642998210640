// How bytes of unknown length become objects. They come to stand one after the other, each under a
// precondition, so that what stands is a content at every moment; what is sent ahead nobody sees.
import { DriverError } from '../errors.js';
import type { Bucket } from './bucket.js';
import { partName } from './names.js';
import { Run } from './run.js';
import { type Piece, sizeOf } from './standing.js';

/** The first buffer of a writer: most of what is appended at a time is smaller than a part. */
const FIRST_BUFFER_BYTES = 256 * 1024;

/** The most buffers on their way to the bucket at once, where it takes several. */
const MOST_UNDER_WAY = 4;

const LEAST_SHARE = 1 / 1024;
const LARGEST_LEAST_BYTES = 4 * 1024 * 1024;

/**
 * What a part at `offset` has to have for another to follow: a share of what is before it, so that a
 * content that grows by small chunks has few parts, and small uploads cost nothing.
 *
 * All hosts have to agree on it, whatever their options: one that wrote a part again where another
 * leaves it as it is would not be in that one's way.
 */
function leastBytes({ minPartBytes }: Bucket, offset: number): number {
  return Math.max(minPartBytes, Math.min(Math.floor(offset * LEAST_SHARE), LARGEST_LEAST_BYTES));
}

export interface PartOptions {
  /** The size of a part, which is that of a buffer too; in bytes. */
  readonly partBytes: number;
  /** The key, for errors. */
  readonly key: string;
}

/** Writes parts after those that stand; the last of them is written again, longer, where it is too small. */
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
  readonly #spare: Buffer[] = [];
  readonly #underWay = new Set<Promise<void>>();
  /** Settles when all objects but the open run stand, or one of them never will. */
  #standing: Promise<void> = Promise.resolve();
  #run: Run | undefined;
  #isFirst = true;

  constructor(bucket: Bucket, name: string, parts: readonly Piece[], options: PartOptions) {
    const last = parts.at(-1);
    this.#bucket = bucket;
    this.#name = name;
    this.#options = options;
    this.#small = last !== undefined && last.size < leastBytes(bucket, last.offset) ? last : undefined;
    this.#offset = this.#small?.offset ?? sizeOf(parts);
    this.#count = parts.length - (this.#small === undefined ? 0 : 1);
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(FIRST_BUFFER_BYTES, this.#partBytes));
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

  /** Copies a chunk; waits where the buffer is full and too much is under way. */
  async add(chunk: Uint8Array): Promise<void> {
    for (let taken = 0; taken < chunk.byteLength; ) {
      if (this.#length === this.#buffer.length) this.#grow();
      const piece = chunk.subarray(taken, taken + this.#buffer.length - this.#length);
      this.#buffer.set(piece, this.#length);
      this.#length += piece.byteLength;
      taken += piece.byteLength;
      if (this.#length === this.#partBytes) await this.#sendFull();
    }
  }

  /** Writes what is in the buffer, be it empty, once all before it stands. */
  async startPart(): Promise<void> {
    await this.#standing;
    this.#assertRoom();
    const name = partName(this.#name, this.#offset);
    const expect = this.#small === undefined ? 'absent' : { version: this.#small.version };
    this.#standing = this.#send(async (bytes) => void (await this.#bucket.write(name, bytes, { expect })));
    this.#small = undefined;
    this.#count++;
  }

  /** Resolves when all that was added stands. Where that fails, nothing is under way any more. */
  async finish(): Promise<void> {
    try {
      if (this.#length > 0) await (this.#run === undefined ? this.startPart() : this.#startPiece(this.#run));
      if (this.#run !== undefined) await this.#endRun(this.#run);
      await this.#standing;
    } catch (error) {
      await Promise.allSettled([this.#standing, this.#run?.abort()]);
      throw error;
    }
  }

  get #partBytes(): number {
    return Math.max(this.#options.partBytes, leastBytes(this.#bucket, this.#offset));
  }

  /** The first part goes alone: mostly there is no second. */
  async #sendFull(): Promise<void> {
    if (!this.#isFirst) this.#run ??= await this.#beginRun();
    this.#isFirst = false;
    if (this.#run === undefined) return this.startPart();
    await this.#startPiece(this.#run);
    if (this.#run.isFull) await this.#endRun(this.#run);
  }

  async #beginRun(): Promise<Run | undefined> {
    this.#assertRoom();
    const object = await this.#bucket.begin?.(partName(this.#name, this.#offset));
    if (object === undefined) return undefined;
    this.#count++;
    return new Run(object);
  }

  async #startPiece(run: Run): Promise<void> {
    // One that has failed stays where it is, so that the next is not begun.
    if (this.#underWay.size >= MOST_UNDER_WAY) await Promise.race(this.#underWay);
    this.#send((bytes) => run.add(bytes));
  }

  /** Completes a run, once all before it stands, while the next is sent. */
  async #endRun(run: Run): Promise<void> {
    await this.#standing;
    this.#standing = run.complete();
    this.#standing.catch(() => undefined);
    this.#run = undefined;
  }

  /** Sends the buffer's content, and goes on in another buffer. */
  #send(send: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    const buffer = this.#buffer;
    const sent = send(buffer.subarray(0, this.#length)).then(() => {
      this.#spare.push(buffer);
      this.#underWay.delete(sent);
    });
    // A failure is seen by whoever awaits the part next, which may be a slow source later.
    sent.catch(() => undefined);
    this.#underWay.add(sent);
    this.#offset += this.#length;
    this.#length = 0;
    this.#buffer = this.#spare.pop() ?? Buffer.alloc(0);
    return sent;
  }

  #assertRoom(): void {
    if (this.#count >= this.#bucket.maxParts) throw new DriverError('quota', this.#options.key);
  }

  #grow(): void {
    const larger = Buffer.allocUnsafeSlow(this.#partBytes);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
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
    // After a failed write this fails in the same way, and writes nothing that stands.
    if (begun) await writer.finish().catch(() => undefined);
    throw error;
  }
  if (!begun && parts.length > 0) return sizeOf(parts);
  if (!begun) await writer.startPart();
  await writer.finish();
  return writer.position;
}
