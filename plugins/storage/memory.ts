// A storage driver that keeps everything in the memory of the process: for tests and demonstrations.
import { Readable } from 'node:stream';
import type { CommitOptions, Entry, ListOptions, OpenOptions, Stat, StorageDriver } from 'koa-registry';
import { DriverError, definePlugin, size } from 'koa-registry';
import { z } from 'zod';

const PIECE_BYTES = 64 * 1024;

class StoredObject {
  readonly chunks: Buffer[] = [];
  size = 0;
  modified = new Date();

  /** Keeps a copy: what the caller does with its bytes afterwards must not matter. */
  add(bytes: Uint8Array, now: number): void {
    if (bytes.byteLength > 0) this.chunks.push(Buffer.from(bytes));
    this.size += bytes.byteLength;
    this.modified = new Date(now);
  }

  /** The bytes from `start` to `end`, both inclusive, in pieces that a slow reader may hold. */
  *range(start: number, end: number): Generator<Buffer, void, undefined> {
    let position = 0;
    for (const chunk of this.chunks) {
      const part = chunk.subarray(Math.max(start - position, 0), Math.max(end + 1 - position, 0));
      for (let at = 0; at < part.length; at += PIECE_BYTES) yield part.subarray(at, at + PIECE_BYTES);
      position += chunk.length;
    }
  }
}

/** A prefix with its direct children; their order is found when it is asked for, not when they change. */
class Folder {
  readonly children = new Map<string, Folder | StoredObject>();
  #sorted: readonly string[] | undefined;

  set(name: string, child: Folder | StoredObject): void {
    if (!this.children.has(name)) this.#sorted = undefined;
    this.children.set(name, child);
  }

  delete(name: string): void {
    if (this.children.delete(name)) this.#sorted = undefined;
  }

  /** Ascending; keys are ASCII, where the order of strings is that of bytes. */
  names(): readonly string[] {
    this.#sorted ??= [...this.children.keys()].sort();
    return this.#sorted;
  }
}

class MemoryDriver implements StorageDriver {
  readonly #root = new Folder();
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #appending = new Set<string>();
  #bytes = 0;

  constructor(maxBytes: number, now: () => number) {
    this.#maxBytes = maxBytes;
    this.#now = now;
  }

  async get(key: string): Promise<Buffer> {
    return Buffer.concat(this.#object(key).chunks);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const present = this.#find(key);
    const object = new StoredObject();
    const growth = bytes.byteLength - (present instanceof StoredObject ? present.size : 0);
    this.#assertRoom(key, growth);
    object.add(bytes, this.#now());
    this.#place(key, object);
    this.#bytes += growth;
  }

  async stat(key: string): Promise<Stat> {
    const found = this.#find(key);
    if (found === undefined) throw new DriverError('not-found', key);
    if (found instanceof Folder) return { kind: 'prefix', size: 0, modified: new Date(this.#now()) };
    return { kind: 'object', size: found.size, modified: found.modified };
  }

  async *list(key: string, { after = '' }: ListOptions = {}): AsyncGenerator<Entry, void, undefined> {
    const folder = this.#find(key);
    if (!(folder instanceof Folder) || folder.children.size === 0) throw new DriverError('not-found', key);
    for (const name of folder.names()) {
      if (name <= after) continue;
      yield { name, kind: folder.children.get(name) instanceof Folder ? 'prefix' : 'object' };
    }
  }

  async open(key: string, { start = 0, end = Number.MAX_SAFE_INTEGER }: OpenOptions = {}): Promise<Readable> {
    const object = this.#object(key);
    if (start > 0 && start >= object.size) throw new DriverError('invalid-offset', key);
    return Readable.from(object.range(start, end), { objectMode: false });
  }

  async append(key: string, offset: number, source: AsyncIterable<Uint8Array>): Promise<number> {
    const present = this.#find(key);
    const size = present instanceof StoredObject ? present.size : 0;
    if (size !== offset || this.#appending.has(key)) throw new DriverError('offset-conflict', key);
    const object = present instanceof StoredObject ? present : new StoredObject();
    this.#place(key, object);
    this.#appending.add(key);
    try {
      for await (const chunk of source) {
        if (this.#find(key) !== object) throw new DriverError('not-found', key);
        this.#assertRoom(key, chunk.byteLength);
        object.add(chunk, this.#now());
        this.#bytes += chunk.byteLength;
      }
      return object.size;
    } finally {
      this.#appending.delete(key);
    }
  }

  async commit(from: string, to: string, { size }: CommitOptions = {}): Promise<void> {
    const object = this.#find(from);
    const replaced = this.#find(to);
    const content = object instanceof StoredObject ? object : replaced;
    if (!(content instanceof StoredObject)) throw new DriverError('not-found', from);
    if (this.#appending.has(from) || (size !== undefined && content.size !== size)) {
      throw new DriverError('offset-conflict', from);
    }
    if (from === to || content !== object) return;
    if (replaced instanceof StoredObject) this.#bytes -= replaced.size;
    this.#place(to, object);
    this.#prune(from);
  }

  async remove(key: string): Promise<void> {
    const found = this.#find(key);
    if (found === undefined) throw new DriverError('not-found', key);
    this.#bytes -= sizeOf(found);
    this.#prune(key);
  }

  #find(key: string): Folder | StoredObject | undefined {
    let found: Folder | StoredObject | undefined = this.#root;
    if (key === '') return found;
    for (const name of key.split('/')) {
      found = found instanceof Folder ? found.children.get(name) : undefined;
    }
    return found;
  }

  #object(key: string): StoredObject {
    const found = this.#find(key);
    if (found instanceof StoredObject) return found;
    throw new DriverError('not-found', key);
  }

  /** Sets the object at `key`, and makes the prefixes above it. */
  #place(key: string, object: StoredObject): void {
    const names = key.split('/');
    const last = names.pop() ?? '';
    let folder = this.#root;
    for (const name of names) {
      const child: Folder | StoredObject = folder.children.get(name) ?? new Folder();
      // An object here would hide what it is replaced by: a file system refuses this too.
      if (child instanceof StoredObject) throw new DriverError('unavailable', key);
      folder.set(name, child);
      folder = child;
    }
    if (folder.children.get(last) instanceof Folder) throw new DriverError('unavailable', key);
    folder.set(last, object);
  }

  /** Removes what is at `key`, and the prefixes above it under which nothing stands any more. */
  #prune(key: string): void {
    const slash = key.lastIndexOf('/');
    const parent = slash < 0 ? this.#root : this.#find(key.slice(0, slash));
    if (!(parent instanceof Folder)) return;
    parent.delete(key.slice(slash + 1));
    if (parent.children.size === 0 && slash >= 0) this.#prune(key.slice(0, slash));
  }

  #assertRoom(key: string, bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) throw new DriverError('quota', key);
  }
}

function sizeOf(found: Folder | StoredObject): number {
  if (found instanceof StoredObject) return found.size;
  return [...found.children.values()].reduce((sum, child) => sum + sizeOf(child), 0);
}

/** Everything in the memory of this process, gone when the registry closes. */
export const memory = definePlugin({
  kind: 'storage',
  name: 'memory',
  options: z.strictObject({
    /** How much may be stored: bytes, or a string such as `64MiB`. More is refused with `quota`. Default: no bound. */
    maxBytes: size().default(Number.MAX_SAFE_INTEGER),
  }),
  create: ({ maxBytes }, { clock }) => new MemoryDriver(maxBytes, clock),
});
