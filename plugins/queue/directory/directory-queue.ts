// The queue of one sink: a row of segments. New events are appended to the last; the first ones are read ahead, a
// bounded number of them, and a segment is removed once all of it is delivered.
import { readdir } from 'node:fs/promises';
import type { EventQueue, Logger, QueuedEvent, RegistryEvent } from 'koa-registry';
import { makeFolder } from './folders.js';
import { HeadFile } from './head-file.js';
import { eventOf, recordOf } from './records.js';
import { Segment } from './segment.js';
import { Turns } from './turns.js';

/** With so many bytes read ahead no more are: a look at many large events answers fewer than it might. */
const AHEAD = 1024 * 1024;

export interface DirectoryQueueOptions {
  readonly folder: string;
  readonly fsync: boolean;
  readonly segmentBytes: number;
  readonly logger: Logger;
  onClose(): void;
}

/** Where an event stands that was read. */
interface Place {
  readonly position: number;
  readonly size: number;
}

/** What is read next. */
interface Cursor {
  readonly segment: Segment;
  readonly offset: number;
  readonly position: number;
}

export class DirectoryQueue implements EventQueue {
  length = 0;
  bytes = 0;
  readonly #options: DirectoryQueueOptions;
  readonly #head: HeadFile;
  /** The last takes what is new; its file is made with its first event. */
  readonly #segments: Segment[] = [];
  /** What was delivered before the queue was opened ends here. */
  readonly #start: number;
  readonly #ahead = new Map<QueuedEvent, Place>();
  #aheadBytes = 0;
  #cursor: Cursor;
  /** Whoever appends waits for the disk; whoever reads does not wait for that. */
  readonly #appends = new Turns();
  readonly #reads = new Turns();
  #closed: Promise<void> | undefined;

  private constructor(options: DirectoryQueueOptions, head: HeadFile) {
    this.#options = options;
    this.#head = head;
    this.#start = head.position;
    this.#cursor = beginningOf(this.#segment(this.#start));
  }

  static async open(options: DirectoryQueueOptions): Promise<DirectoryQueue> {
    const { folder, fsync, logger } = options;
    await makeFolder(folder, fsync);
    const queue = new DirectoryQueue(options, await HeadFile.open(folder, logger));
    await queue.#recover(Segment.positions(await readdir(folder)));
    return queue;
  }

  #segment(first: number): Segment {
    return new Segment(this.#options.folder, first, this.#options.fsync);
  }

  /** Takes up what an earlier process has left. */
  async #recover(positions: readonly number[]): Promise<void> {
    for (const [index, first] of positions.entries()) {
      const segment = this.#segment(first);
      const next = positions[index + 1];
      if (next !== undefined && next <= this.#start) await segment.remove();
      else await this.#takeUp(segment, next);
    }
    // A crash of the host may have cost events that were delivered, but not the note of that: what is new must not
    // count as delivered, too.
    const last = this.#segments.at(-1);
    if (last === undefined || last.end < this.#start) this.#segments.push(this.#segment(this.#start));
    this.#cursor = beginningOf(this.#segments[0] ?? this.#cursor.segment);
    await this.#tidy();
  }

  /** @param next the first position of the segment that follows, if one does. */
  async #takeUp(segment: Segment, next: number | undefined): Promise<void> {
    this.#segments.push(segment);
    const { inside, behind } = await segment.scan(next, (position, size) => {
      if (position < this.#start) return;
      this.length += 1;
      this.bytes += size;
    });
    await segment.leave();
    const { logger } = this.#options;
    const file = segment.path;
    // Only the end of the last file may be what a crash has left of an append.
    const isTorn = next === undefined && behind > 0;
    const bytes = isTorn ? inside : inside + behind;
    if (bytes > 0) logger.error({ bytes, file }, 'a queue has come to harm: events are lost');
    if (!isTorn) return;
    await segment.cut();
    logger.warn({ bytes: behind, file }, 'the end of a queue was not whole, and was cut off');
  }

  /** The files of a queue that is closed may have another owner: nobody touches them any more. */
  async #take<T>(turns: Turns, work: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw new Error('the queue is closed');
    return turns.take(work);
  }

  append(events: readonly RegistryEvent[]): Promise<void> {
    return this.#take(this.#appends, () => this.#append(events.map(recordOf)));
  }

  async #append(records: readonly Buffer[]): Promise<void> {
    if (records.length === 0) return;
    const bytes = Buffer.concat(records);
    await (await this.#roomy()).append(bytes, records.length);
    this.length += records.length;
    this.bytes += bytes.length;
  }

  /** The segment that takes what is new. */
  async #roomy(): Promise<Segment> {
    const last = this.#segments.at(-1) ?? this.#cursor.segment;
    if (last.size < this.#options.segmentBytes) return last;
    await last.seal();
    const next = this.#segment(last.end);
    this.#segments.push(next);
    return next;
  }

  peek(count: number): Promise<readonly QueuedEvent[]> {
    return this.#take(this.#reads, async () => {
      while (this.#ahead.size < count && this.#aheadBytes < AHEAD && (await this.#readOn()));
      const first: QueuedEvent[] = [];
      for (const waiting of this.#ahead.keys()) {
        if (first.length >= count) break;
        first.push(waiting);
      }
      return first;
    });
  }

  /** Reads some more; answers whether there was anything. */
  async #readOn(): Promise<boolean> {
    await this.#turnOver();
    this.#passGap();
    const { segment, offset } = this.#cursor;
    if (offset === segment.size) return false;
    const records = await segment.read(offset);
    if (records.length === 0) throw new Error(`${segment.path} has come to harm at ${offset}`);
    for (const record of records) this.#keep(record);
    return true;
  }

  #passGap(): void {
    const { segment, offset, position } = this.#cursor;
    const gap = segment.gapAt(offset);
    if (gap !== undefined) this.#cursor = { segment, offset: offset + gap.bytes, position: position + gap.positions };
  }

  #keep(record: Buffer): void {
    const { segment, offset, position } = this.#cursor;
    const size = record.length;
    this.#cursor = { segment, offset: offset + size, position: position + 1 };
    if (position < this.#start) return;
    this.#ahead.set({ event: eventOf(record) }, { position, size });
    this.#aheadBytes += size;
  }

  /** Goes on to the next segment, where there is one, when all of this one is read. */
  async #turnOver(): Promise<void> {
    for (;;) {
      const { segment, offset } = this.#cursor;
      const next = this.#segments[this.#segments.indexOf(segment) + 1];
      if (next === undefined || offset < segment.size) return;
      this.#cursor = beginningOf(next);
      await segment.leave();
    }
  }

  remove(events: readonly QueuedEvent[]): Promise<void> {
    return this.#take(this.#reads, async () => {
      for (const waiting of events) {
        const place = this.#ahead.get(waiting);
        if (place === undefined) continue;
        this.#ahead.delete(waiting);
        this.#aheadBytes -= place.size;
        this.length -= 1;
        this.bytes -= place.size;
      }
      this.#head.note(this.#first);
      await this.#tidy();
    });
  }

  /** The position of the first event that waits, or of the next that will. */
  get #first(): number {
    for (const { position } of this.#ahead.values()) return position;
    return Math.max(this.#cursor.position, this.#start);
  }

  /** Removes segments of which nothing waits. One that cannot be removed now is at the next start. */
  async #tidy(): Promise<void> {
    await this.#turnOver();
    const kept = this.#segments.findIndex((segment) => segment === this.#cursor.segment || segment.end > this.#first);
    for (const segment of this.#segments.splice(0, kept)) await segment.remove().catch(() => undefined);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    try {
      await this.#appends.take(async () => this.#segments.at(-1)?.seal());
      await this.#reads.take(() => this.#cursor.segment.leave());
    } finally {
      await this.#head.close();
      this.#options.onClose();
    }
  }
}

function beginningOf(segment: Segment): Cursor {
  return { segment, offset: 0, position: segment.first };
}
