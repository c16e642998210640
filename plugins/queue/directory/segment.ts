// One file of a queue: records one after another, the first of them at the position that is the file's name.
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder } from './folders.js';
import { lengthOf, recordsIn } from './records.js';

const NAME = /^\d{16}\.log$/;

/** How much is read at once, in bytes. */
const CHUNK = 64 * 1024;

export class Segment {
  /** The position of its first record. */
  readonly first: number;
  readonly path: string;
  /** Of the records that were stored for good, which begin the file. */
  count = 0;
  /** What they take up, in bytes. */
  size = 0;
  readonly #fsync: boolean;
  #writing: FileHandle | undefined;
  #reading: FileHandle | undefined;
  /** Whether something may follow that was not stored for good. */
  #isTorn = false;

  /** @param first of a file that is there, or will be with the first record. */
  constructor(folder: string, first: number, fsync: boolean) {
    this.first = first;
    this.path = join(folder, `${String(first).padStart(16, '0')}.log`);
    this.#fsync = fsync;
  }

  /** The first positions of the files among `names`, in order. */
  static positions(names: readonly string[]): number[] {
    return names
      .filter((name) => NAME.test(name))
      .map((name) => Number.parseInt(name, 10))
      .sort((a, b) => a - b);
  }

  /** The position after its last record. */
  get end(): number {
    return this.first + this.count;
  }

  /**
   * Finds out what a file holds that is there already, and tells the size of each record.
   *
   * @returns how many bytes follow that are no intact record.
   */
  async scan(note: (size: number) => void): Promise<number> {
    const { size } = await (await this.#reader()).stat();
    while (this.size < size) {
      const records = await this.#readAt(this.size, size);
      if (records.length === 0) break;
      for (const { length } of records) {
        note(length);
        this.size += length;
        this.count += 1;
      }
    }
    this.#isTorn = this.size < size;
    return size - this.size;
  }

  /** The records at an offset where one begins; one at least unless the file has come to harm. */
  read(offset: number): Promise<Buffer[]> {
    return this.#readAt(offset, this.size);
  }

  async #readAt(offset: number, end: number): Promise<Buffer[]> {
    const file = await this.#reader();
    const left = end - offset;
    const chunk = await readFully(file, offset, Math.min(left, CHUNK));
    const length = lengthOf(chunk);
    return recordsIn(length <= chunk.length || length > left ? chunk : await readFully(file, offset, length));
  }

  async #reader(): Promise<FileHandle> {
    this.#reading ??= await open(this.path);
    return this.#reading;
  }

  /** Adds records at the end, all or none; they are durable when it resolves. */
  async append(bytes: Buffer, count: number): Promise<void> {
    this.#writing ??= await this.#create();
    if (this.#isTorn) await this.cut();
    this.#isTorn = true;
    await writeFully(this.#writing, bytes, this.size);
    if (this.#fsync) await this.#writing.datasync();
    this.#isTorn = false;
    this.size += bytes.length;
    this.count += count;
  }

  async #create(): Promise<FileHandle> {
    if (this.size > 0) return open(this.path, 'r+');
    const file = await open(this.path, 'w');
    if (this.#fsync)
      await syncFolder(dirname(this.path)).catch((error) => file.close().then(() => Promise.reject(error)));
    return file;
  }

  /** Cuts off what follows the records that were stored for good. */
  async cut(): Promise<void> {
    this.#writing ??= await open(this.path, 'r+');
    await this.#writing.truncate(this.size);
    this.#isTorn = false;
  }

  /** Nothing is read for now. */
  async leave(): Promise<void> {
    const file = this.#reading;
    this.#reading = undefined;
    await file?.close();
  }

  /** Nothing is added for now. */
  async seal(): Promise<void> {
    if (this.#isTorn && this.#writing !== undefined) await this.cut();
    const file = this.#writing;
    this.#writing = undefined;
    await file?.close();
  }

  async remove(): Promise<void> {
    await this.leave();
    await this.seal();
    await rm(this.path, { force: true });
  }
}

/** All of the bytes, or as many as the file still has. */
async function readFully(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let have = 0;
  while (have < length) {
    const { bytesRead } = await file.read(bytes, have, length - have, start + have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  return bytes.subarray(0, have);
}

/** A disk that becomes full takes a part, and then fails. */
async function writeFully(file: FileHandle, bytes: Buffer, start: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, start + done);
    done += bytesWritten;
  }
}
