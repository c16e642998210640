// Reading files with the fewest trips to the thread pool: opening and reading go there, looking at
// and closing a file that is open for reading do not, as neither waits for the disk.
import { closeSync, fstatSync, open, read } from 'node:fs';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { FileStream } from './stream.js';

/** A first read: more than any link and most manifests. Also the largest range that is read at once. */
const SMALL_BYTES = 64 * 1024;

/** Buffers of first reads that are kept for the next. */
const MAX_SPARE_BUFFERS = 16;

const openFile = promisify(open);

/** Fills `buffer` from `position` on, as far as the file goes. */
async function readFully(fd: number, buffer: Buffer, position: number): Promise<Buffer> {
  let filled = 0;
  while (filled < buffer.length) {
    const count = await readOnce(fd, buffer, filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled === buffer.length ? buffer : buffer.subarray(0, filled);
}

function readOnce(fd: number, buffer: Buffer, offset: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, offset, buffer.length - offset, position, (error, count) =>
      error ? reject(error) : resolve(count),
    );
  });
}

/** Reads small files whole, through buffers that it uses again. */
export class SmallFileReader {
  readonly #spare: Buffer[] = [];

  /** The content of a file. Rejects with the error of the system call. */
  async read(path: string): Promise<Buffer> {
    const fd = await openFile(path, 'r');
    try {
      return await this.#readOpen(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Copies what is small out of the buffer: most files are links of a hundred bytes. */
  async #readOpen(fd: number): Promise<Buffer> {
    const first = this.#spare.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES);
    try {
      const count = await readOnce(fd, first, 0, 0);
      if (count < SMALL_BYTES) return Buffer.from(first.subarray(0, count));
    } finally {
      if (this.#spare.length < MAX_SPARE_BUFFERS) this.#spare.push(first);
    }
    return readFully(fd, Buffer.allocUnsafeSlow(fstatSync(fd).size), 0);
  }
}

/** A stream of what was read already. */
function streamOf(bytes: Buffer): Readable {
  const stream = new Readable({ read() {} });
  stream.push(bytes);
  stream.push(null);
  return stream;
}

/**
 * The bytes from `start` to `end`, both inclusive, as a stream; or why there is none. Rejects with
 * the error of the system call.
 */
export async function openRange(
  path: string,
  start: number,
  end: number,
): Promise<Readable | 'not-found' | 'invalid-offset'> {
  const fd = await openFile(path, 'r');
  let streaming = false;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return 'not-found';
    if (start > 0 && start >= stat.size) return 'invalid-offset';
    const last = Math.min(end, stat.size - 1);
    const length = last - start + 1;
    if (length <= SMALL_BYTES) return streamOf(await readFully(fd, Buffer.allocUnsafe(length), start));
    streaming = true;
    return new FileStream(fd, start, last + 1);
  } finally {
    if (!streaming) closeSync(fd);
  }
}
