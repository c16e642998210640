// The content of a large file as a stream. Buffers given to the garbage collector at gigabytes a
// second keep it busier than the copying does, so those that an HTTP answer has sent are used again.
import { close, read } from 'node:fs';
import { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

/** One read: measured, smaller costs throughput and larger only memory, of which a stream holds two. */
const CHUNK_BYTES = 256 * 1024;

/** Buffers that are kept for whichever stream is next: to be given memory costs more than to fill it. */
const MAX_SPARE = 32;

const spare: Buffer[] = [];

function keep(sent: readonly Buffer[]): void {
  spare.push(...sent.slice(0, MAX_SPARE - spare.length));
}

/** Streams the bytes from one position to another of an open file, and closes it. */
export class FileStream extends Readable {
  readonly #fd: number;
  #position: number;
  readonly #end: number;
  #reading = false;
  /** Called when the read that is under way when the stream is destroyed has ended. */
  #idle: (() => void) | undefined;
  /** Where all chunks go, when it can tell what it has sent. */
  #answer: ServerResponse | undefined;
  /** What was handed on and not yet sent, in order; the last one may still be queued here. */
  #handed: Buffer[] = [];

  /** @param end the position after the last byte; the file has to be as long. */
  constructor(fd: number, start: number, end: number) {
    // No more than one chunk is read ahead.
    super({ highWaterMark: 1 });
    this.#fd = fd;
    this.#position = start;
    this.#end = end;
  }

  /** As ever; buffers are used again only when all goes to one answer, whose `write` nobody has replaced. */
  override pipe<T extends NodeJS.WritableStream>(destination: T, options?: { end?: boolean }): T {
    const first = this.readableFlowing === null && this.listenerCount('data') === 0;
    const direct = destination instanceof ServerResponse && destination.write === ServerResponse.prototype.write;
    this.#answer = undefined;
    if (first && direct) {
      this.#answer = destination;
      const reclaim = () => this.#reclaim();
      destination.on('drain', reclaim);
      this.once('close', () => destination.off('drain', reclaim));
      destination.once('finish', () => this.#finish());
    }
    return super.pipe(destination, options);
  }

  override _read(): void {
    const length = Math.min(CHUNK_BYTES, this.#end - this.#position);
    this.#reclaim();
    if (length <= 0) {
      this.push(null);
      return;
    }
    const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#reading = true;
    read(this.#fd, buffer, 0, length, this.#position, (error, count) => {
      this.#reading = false;
      if (this.#idle !== undefined) this.#idle();
      else if (error) this.destroy(error);
      else this.#hand(buffer, count);
    });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#idle = () => close(this.#fd, (failure) => callback(error ?? failure));
    if (!this.#reading) this.#idle();
  }

  #hand(buffer: Buffer, count: number): void {
    if (count === 0) {
      // Ending here would leave the client waiting for the rest that its `Content-Length` promised.
      this.destroy(new Error('the file became shorter while it was read'));
      return;
    }
    this.#position += count;
    if (this.#answer !== undefined) this.#handed.push(buffer);
    this.push(count === buffer.length ? buffer : buffer.subarray(0, count));
  }

  /** Takes back what the answer has sent; once anybody else has seen a chunk, never again. */
  #reclaim(): void {
    if (this.#answer === undefined) return;
    if (this.listenerCount('data') !== 1 || this.listenerCount('readable') > 0) {
      this.#answer = undefined;
      this.#handed = [];
    } else if (this.#answer.writableLength === 0) {
      const queued = this.readableLength > 0 ? 1 : 0;
      keep(this.#handed.splice(0, this.#handed.length - queued));
    }
  }

  /** Takes back the rest once the answer is finished: all of it has been sent then. */
  #finish(): void {
    if (this.#answer !== undefined && this.readableEnded) keep(this.#handed.splice(0));
  }
}
