// Where a queue keeps how far it has been delivered: in a file that is replaced now and then, so that after a crash
// a few events come again. One that cannot be read counts as missing: then more of them do.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Logger } from 'koa-registry';

/** How long a position may stay unwritten, in milliseconds. */
const PAUSE = 100;

export class HeadFile {
  readonly #path: string;
  readonly #logger: Logger;
  #position: number;
  #written: number;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, position: number, logger: Logger) {
    this.#path = path;
    this.#position = position;
    this.#written = position;
    this.#logger = logger;
  }

  static async open(folder: string, logger: Logger): Promise<HeadFile> {
    const path = join(folder, 'head');
    const text = await readFile(path, 'latin1').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return textOf(0);
      throw error;
    });
    const position = Number.parseInt(text, 10);
    if (text === textOf(position)) return new HeadFile(path, position, logger);
    logger.warn({ path }, 'how far the queue was delivered cannot be read: events may come again');
    return new HeadFile(path, 0, logger);
  }

  /** The position of the first event that was not delivered. */
  get position(): number {
    return this.#position;
  }

  /** Everything before a position is delivered. */
  note(position: number): void {
    this.#position = position;
    if (position === this.#written) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write().catch((err: unknown) => this.#logger.debug({ err }, 'how far the queue is cannot be written'));
    }, PAUSE).unref();
  }

  /** One at a time, and always the newest. */
  #write(): Promise<void> {
    const written = this.#writing.then(async () => {
      const position = this.#position;
      if (position === this.#written) return;
      await writeFile(`${this.#path}.new`, textOf(position));
      await rename(`${this.#path}.new`, this.#path);
      this.#written = position;
    });
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#write().catch((err: unknown) => {
      this.#logger.warn({ err }, 'how far the queue was delivered cannot be written: events will come again');
    });
  }
}

/** The position in digits, and a checksum: half a position must not be taken for one. */
function textOf(position: number): string {
  const digits = String(position).padStart(16, '0');
  return `${digits} ${crc32(digits).toString(16).padStart(8, '0')}\n`;
}
