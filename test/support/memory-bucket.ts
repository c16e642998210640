// A bucket in memory, for the tests of `objectStorage`: as an object store is, with its order of names,
// its pages and its conditional writes, and besides with a count of requests and failures on demand.

import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import {
  type Bucket,
  type BucketListOptions,
  type BucketObject,
  type BucketPage,
  type BucketReadOptions,
  type BucketWriteOptions,
  type CallOptions,
  DriverError,
  type PiecewiseWrite,
} from 'koa-registry';

export type BucketCall =
  | 'head'
  | 'read'
  | 'write'
  | 'begin'
  | 'add'
  | 'complete'
  | 'abort'
  | 'join'
  | 'list'
  | 'delete'
  | 'check';

export interface MemoryBucketOptions {
  /** Default: 1. */
  readonly minPartBytes?: number;
  /** Default: 10,000. */
  readonly maxParts?: number;
  /** Whether objects may be sent in pieces. Default: false. */
  readonly piecewise?: boolean;
  /** The most entries of a page. Default: 1000. */
  readonly pageEntries?: number;
  /** Whether an empty page comes before each other one, as stores send them that have searched for long. Default: false. */
  readonly emptyPages?: boolean;
}

interface Stored {
  readonly bytes: Buffer;
  readonly object: BucketObject;
}

/** What `next` begins with after an empty page. */
const SEARCHED = '?';

const PIECE_BYTES = 64 * 1024;

export class MemoryBucket implements Bucket {
  readonly minPartBytes: number;
  readonly maxParts: number;
  readonly begin?: (name: string) => Promise<PiecewiseWrite>;
  /** The calls so far. */
  readonly calls: BucketCall[] = [];
  /** Runs before a call has its effect, and after it: what it throws is the call's failure, what it awaits delays it. */
  intercept: ((call: BucketCall, stage: 'before' | 'after', name: string) => unknown) | undefined;
  readonly #pageEntries: number;
  readonly #emptyPages: boolean;
  readonly #stored = new Map<string, Stored>();
  #sorted: readonly string[] | undefined;
  #writes = 0;
  #unfinished = 0;

  constructor(options: MemoryBucketOptions = {}) {
    const { minPartBytes = 1, maxParts = 10_000, piecewise = false, pageEntries = 1000, emptyPages = false } = options;
    this.minPartBytes = minPartBytes;
    this.maxParts = maxParts;
    if (piecewise) this.begin = (name) => this.#call('begin', name, undefined, () => this.#pieces(name));
    this.#pageEntries = pageEntries;
    this.#emptyPages = emptyPages;
  }

  /** All that is stored, ascending. */
  get names(): readonly string[] {
    this.#sorted ??= [...this.#stored.keys()].sort();
    return this.#sorted;
  }

  /** How many objects were begun and have neither become one nor been given up. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** What was called since the last time that this was asked. */
  takeCalls(): BucketCall[] {
    return this.calls.splice(0);
  }

  /** Puts something there as another program would. */
  place(name: string, bytes: Uint8Array): BucketObject {
    // A version never comes back: not even that of the same bytes.
    const object = { name, size: bytes.byteLength, modified: new Date(), version: `v${++this.#writes}` };
    if (!this.#stored.has(name)) this.#sorted = undefined;
    this.#stored.set(name, { bytes: Buffer.from(bytes), object });
    return object;
  }

  head(name: string, options?: CallOptions): Promise<BucketObject> {
    return this.#call('head', name, options, () => this.#find(name).object);
  }

  read(name: string, options: BucketReadOptions = {}): Promise<Readable> {
    return this.#call('read', name, options, () => {
      const { bytes } = this.#find(name);
      const { start, end = bytes.length - 1 } = options;
      const isRange = start !== undefined || options.end !== undefined;
      if (isRange && (start ?? 0) >= bytes.length) throw new DriverError('invalid-offset', name);
      return Readable.from(pieces(bytes.subarray(start ?? 0, end + 1)), { objectMode: false });
    });
  }

  write(name: string, bytes: Uint8Array, options: BucketWriteOptions = {}): Promise<BucketObject> {
    return this.#call('write', name, options, () => {
      const version = this.#stored.get(name)?.object.version;
      const { expect } = options;
      const holds = expect === undefined || version === (expect === 'absent' ? undefined : expect.version);
      if (!holds) throw new DriverError('offset-conflict', name);
      return this.place(name, bytes);
    });
  }

  join(parts: readonly BucketObject[], to: string): Promise<void> {
    return this.#call('join', to, undefined, () => {
      if (parts.length === 0 || parts.length > this.maxParts) throw new Error(`${parts.length} parts`);
      if (parts.slice(0, -1).some(({ size }) => size < this.minPartBytes)) throw new Error('a part is too small');
      const found = parts.map(({ name }) => this.#find(name));
      for (const [index, { object }] of found.entries()) {
        if (object.version !== parts[index]?.version) throw new DriverError('offset-conflict', object.name);
      }
      this.place(to, Buffer.concat(found.map(({ bytes }) => bytes)));
    });
  }

  list(prefix: string, options: BucketListOptions): Promise<BucketPage> {
    return this.#call('list', prefix, options, () => {
      const { next = '' } = options;
      if (!this.#emptyPages) return this.#page(prefix, options);
      if (next.startsWith(SEARCHED)) return this.#page(prefix, { ...options, next: next.slice(SEARCHED.length) });
      return { objects: [], prefixes: [], next: SEARCHED + next };
    });
  }

  delete(names: readonly string[]): Promise<void> {
    return this.#call('delete', names[0] ?? '', undefined, () => {
      if (names.length === 0) throw new Error('nothing to delete');
      for (const name of names) {
        if (this.#stored.delete(name)) this.#sorted = undefined;
      }
    });
  }

  check(options?: CallOptions): Promise<void> {
    return this.#call('check', '', options, () => undefined);
  }

  async #call<T>(call: BucketCall, name: string, options: CallOptions | undefined, effect: () => T): Promise<T> {
    this.calls.push(call);
    // Others run meanwhile, as they do while a request travels.
    await setImmediate();
    options?.signal?.throwIfAborted();
    await this.intercept?.(call, 'before', name);
    const result = effect();
    await this.intercept?.(call, 'after', name);
    return result;
  }

  #pieces(name: string): PiecewiseWrite {
    const pieces: Buffer[] = [];
    let count = 0;
    this.#unfinished++;
    return {
      add: (bytes) => {
        const index = count++;
        return this.#call('add', name, undefined, () => {
          pieces[index] = Buffer.from(bytes);
        });
      },
      complete: () =>
        this.#call('complete', name, undefined, () => {
          if (Object.keys(pieces).length < count) throw new Error('a piece is missing');
          if (pieces.slice(0, -1).some(({ length }) => length < this.minPartBytes))
            throw new Error('a piece is too small');
          if (this.#stored.has(name)) throw new DriverError('offset-conflict', name);
          this.place(name, Buffer.concat(pieces));
          this.#unfinished--;
        }),
      abort: () => this.#call('abort', name, undefined, () => void this.#unfinished--),
    };
  }

  #find(name: string): Stored {
    const found = this.#stored.get(name);
    if (found === undefined) throw new DriverError('not-found', name);
    return found;
  }

  #page(prefix: string, { delimited, from = '', limit = Infinity, next = '' }: BucketListOptions): BucketPage {
    const most = Math.min(limit, this.#pageEntries);
    const objects: BucketObject[] = [];
    const prefixes: string[] = [];
    let last = '';
    for (const name of this.names) {
      if (!name.startsWith(prefix) || name < from) continue;
      const slash = delimited ? name.indexOf('/', prefix.length) : -1;
      const entry = slash < 0 ? name : name.slice(0, slash + 1);
      if (entry <= next || entry === last) continue;
      if (objects.length + prefixes.length === most) return { objects, prefixes, next: last };
      if (slash < 0) objects.push(this.#find(name).object);
      else prefixes.push(entry);
      last = entry;
    }
    return { objects, prefixes };
  }
}

function* pieces(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
