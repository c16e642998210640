// One file of a queue: records one after another, the first of them at the position that is the file's name.
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder } from './folders.js';
import { HEADER_BYTES, lengthOf, placesIn, recordsIn } from './records.js';

const NAME = /^\d{16}\.log$/;

/** How much is read at once, in bytes. */
const CHUNK = 64 * 1024;

/** A damaged stretch with intact records behind it. */
interface Gap {
  readonly offset: number;
  readonly bytes: number;
  /** How many records precede it. */
  readonly index: number;
  /** How many positions it counts for: as many as it had records, or more where that cannot be known. */
  positions: number;
}

/** What of a file is no intact record, in bytes. */
export interface Damage {
  /** Between intact records, or before the first. */
  readonly inside: number;
  /** Behind the last. */
  readonly behind: number;
}

export class Segment {
  /** The position of its first record. */
  readonly first: number;
  readonly path: string;
  /** The position after its last record. */
  end: number;
  /** Where the records that were stored for good end, in bytes. */
  size = 0;
  readonly #fsync: boolean;
  #writing: FileHandle | undefined;
  #reading: FileHandle | undefined;
  /** Whether something may follow that was not stored for good. */
  #isTorn = false;
  readonly #gaps: Gap[] = [];

  /** @param first of a file that is there, or will be with the first record. */
  constructor(folder: string, first: number, fsync: boolean) {
    this.first = first;
    this.end = first;
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

  /**
   * Finds out what a file holds that is there already, and tells the position and the size of each record.
   *
   * @param next the first position of the file that follows, if one does.
   */
  async scan(next: number | undefined, note: (position: number, size: number) => void): Promise<Damage> {
    const { size } = await (await this.#reader()).stat();
    const sizes: number[] = [];
    for (let offset = 0; offset < size; ) {
      const records = await this.#readAt(offset, size);
      if (records.length === 0) {
        const intact = await this.#intactAfter(offset, size);
        if (intact === size) break;
        this.#gaps.push(await this.#gap(offset, intact, sizes.length));
        offset = intact;
      }
      for (const { length } of records) {
        sizes.push(length);
        offset += length;
      }
      this.size = offset;
    }
    this.#isTorn = this.size < size;
    if (next !== undefined) this.#fit(next - this.first - sizes.length);
    for (const [index, length] of sizes.entries()) note(this.#positionOf(index), length);
    this.end = this.#positionOf(sizes.length);
    return { inside: sum(this.#gaps.map(({ bytes }) => bytes)), behind: size - this.size };
  }

  /** Where the next intact record begins; the end of the file where none does. */
  async #intactAfter(damaged: number, end: number): Promise<number> {
    const file = await this.#reader();
    for (let start = damaged + 1; start < end; start += CHUNK) {
      const chunk = await readFully(file, start, Math.min(end - start, CHUNK + HEADER_BYTES));
      for (const place of placesIn(chunk)) {
        const isWhole = lengthOf(chunk.subarray(place)) <= end - start - place;
        if (isWhole && (await this.#readAt(start + place, end)).length > 0) return start + place;
      }
    }
    return end;
  }

  /** Its own length tells a stretch that was one record. Of others, there are fewer records in it than bytes. */
  async #gap(offset: number, end: number, index: number): Promise<Gap> {
    const bytes = end - offset;
    const isOne = lengthOf(await readFully(await this.#reader(), offset, HEADER_BYTES)) === bytes;
    return { offset, bytes, index, positions: isOne ? 1 : bytes };
  }

  /**
   * Has the gaps count for `lost` positions at most, which is what the next file leaves to them. Too high a position
   * has an event come again, too low a one has it taken for delivered: so the first gap gets all.
   */
  #fit(lost: number): void {
    if (sum(this.#gaps.map(({ positions }) => positions)) <= lost) return;
    for (const [index, gap] of this.#gaps.entries()) gap.positions = index === 0 ? Math.max(lost, 0) : 0;
  }

  #positionOf(index: number): number {
    const before = this.#gaps.filter((gap) => gap.index <= index);
    return this.first + index + sum(before.map(({ positions }) => positions));
  }

  /** The damaged stretch that begins at an offset, if one does; a record follows it. */
  gapAt(offset: number): { readonly bytes: number; readonly positions: number } | undefined {
    return this.#gaps.find((gap) => gap.offset === offset);
  }

  /** The records at an offset where one begins; one at least unless the file has come to harm meanwhile. */
  read(offset: number): Promise<Buffer[]> {
    return this.#readAt(offset, this.#gaps.find((gap) => gap.offset > offset)?.offset ?? this.size);
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
    this.end += count;
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

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
