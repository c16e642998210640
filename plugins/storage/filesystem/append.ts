// How bytes of unknown length reach a file: gathered without copying into batches of about a
// mebibyte, one being written while the next is read, so that memory stays constant.
import type { FileHandle } from 'node:fs/promises';

/** Bytes of a batch. Two are in flight at most, beside one chunk of the source. */
const BATCH_BYTES = 1024 * 1024;

/** Chunks of a batch, so that a source of tiny chunks costs no more memory than one of large ones. */
const BATCH_CHUNKS = 1024;

/** What is left of `chunks` after their first `count` bytes. */
function dropBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let rest = count;
  let index = 0;
  for (; index < chunks.length; index++) {
    const length = chunks[index]?.byteLength ?? 0;
    if (rest < length) break;
    rest -= length;
  }
  const [first, ...others] = chunks.slice(index);
  return first === undefined ? [] : [first.subarray(rest), ...others];
}

class BatchWriter {
  readonly #file: FileHandle;
  #position: number;
  #batch: Uint8Array[] = [];
  #bytes = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(file: FileHandle, position: number) {
    this.#file = file;
    this.#position = position;
  }

  /** Takes a chunk; answers a promise when the source has to wait for the disk. */
  add(chunk: Uint8Array): Promise<void> | undefined {
    if (chunk.byteLength === 0) return undefined;
    this.#batch.push(chunk);
    this.#bytes += chunk.byteLength;
    return this.#bytes >= BATCH_BYTES || this.#batch.length >= BATCH_CHUNKS ? this.#startBatch() : undefined;
  }

  /** Writes what is left; resolves with the position after it. */
  async finish(): Promise<number> {
    await this.#startBatch();
    await this.#writing;
    return this.#position;
  }

  /** Waits for the batch before, then starts this one. */
  async #startBatch(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    await this.#writing;
    this.#writing = this.#write(batch);
    // A failure is seen by whoever awaits the batch next, which may be a slow source later.
    this.#writing.catch(() => undefined);
  }

  async #write(batch: readonly Uint8Array[]): Promise<void> {
    let rest = batch;
    while (rest.length > 0) {
      const { bytesWritten } = await this.#file.writev(rest, this.#position);
      this.#position += bytesWritten;
      rest = dropBytes(rest, bytesWritten);
    }
  }
}

/**
 * Writes `source` to `file` from `position` on. What was received before the source failed is
 * written too, so that the size then tells how much the caller need not send again.
 *
 * @returns the position after the last byte.
 * @throws what the source threw, or the error of the write.
 */
export async function appendFrom(
  file: FileHandle,
  position: number,
  source: AsyncIterable<Uint8Array>,
): Promise<number> {
  const writer = new BatchWriter(file, position);
  try {
    for await (const chunk of source) {
      const wait = writer.add(chunk);
      if (wait !== undefined) await wait;
    }
  } catch (error) {
    // After a failed write this fails in the same way, and writes nothing.
    await writer.finish().catch(() => undefined);
    throw error;
  }
  return writer.finish();
}
