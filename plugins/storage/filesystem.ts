// A storage driver that keeps each object in a file of the same path below a root folder, as
// `distribution`'s filesystem driver does: either can serve what the other wrote.
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, opendir, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { CommitOptions, Entry, ListOptions, OpenOptions, Stat, StorageDriver } from 'koa-registry';
import { DriverError, definePlugin, isDriverError } from 'koa-registry';
import { z } from 'zod';
import { appendFrom } from './filesystem/append.js';
import { entriesAfter, isKeyName, Listings } from './filesystem/listing.js';
import { openRange, SmallFileReader } from './filesystem/read.js';
import { codeOf, Staging } from './filesystem/staging.js';

/** No file is there: none of the name, or a file where the path needs a folder, or the other way round. */
const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

function writeFailure(error: unknown, key: string): unknown {
  if (error instanceof DriverError) return error;
  return new DriverError(FULL.has(codeOf(error) ?? '') ? 'quota' : 'unavailable', key, { cause: error });
}

/** Whether an object stands anywhere below; folders that hold none, however deep, count as absent. */
async function holdsObject(folder: string): Promise<boolean> {
  for await (const entry of await opendir(folder)) {
    if (!isKeyName(entry.name)) continue;
    if (!entry.isDirectory() || (await holdsObject(join(folder, entry.name)))) return true;
  }
  return false;
}

function assertSize(key: string, present: number | undefined, wanted: number | undefined): void {
  if (present === undefined || wanted === undefined || present === wanted) return;
  throw new DriverError('offset-conflict', key);
}

class FilesystemDriver implements StorageDriver {
  readonly #root: string;
  readonly #staging: Staging;
  readonly #reader = new SmallFileReader();
  readonly #listings = new Listings();
  /** The keys that are being appended to: of two appends in this process one wins. */
  readonly #appending = new Set<string>();
  readonly #sweeping: Promise<void>;

  constructor(root: string, staging: Staging, sweeping: Promise<void>) {
    this.#root = root;
    this.#staging = staging;
    this.#sweeping = sweeping;
  }

  async get(key: string): Promise<Buffer> {
    try {
      return await this.#reader.read(this.#path(key));
    } catch (error) {
      throw await this.#readFailure(error, key);
    }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    try {
      await this.#staging.write(this.#path(key), bytes);
    } catch (error) {
      throw writeFailure(error, key);
    }
  }

  async stat(key: string): Promise<Stat> {
    const path = this.#path(key);
    try {
      const found = await stat(path);
      if (found.isFile()) return { kind: 'object', size: found.size, modified: found.mtime };
      if (found.isDirectory() && (await holdsObject(path))) return { kind: 'prefix', size: 0, modified: found.mtime };
    } catch (error) {
      throw await this.#readFailure(error, key);
    }
    throw new DriverError('not-found', key);
  }

  async *list(key: string, { after }: ListOptions = {}): AsyncGenerator<Entry, void, undefined> {
    const entries = await this.#listings.read(this.#path(key)).catch(async (error: unknown) => {
      throw await this.#readFailure(error, key);
    });
    if (entries.length === 0) throw new DriverError('not-found', key);
    yield* after === undefined ? entries : entriesAfter(entries, after);
  }

  async open(key: string, { start = 0, end = Number.MAX_SAFE_INTEGER }: OpenOptions = {}): Promise<Readable> {
    try {
      const opened = await openRange(this.#path(key), start, end);
      if (typeof opened === 'string') throw new DriverError(opened, key);
      return opened;
    } catch (error) {
      throw await this.#readFailure(error, key);
    }
  }

  async append(key: string, offset: number, source: AsyncIterable<Uint8Array>): Promise<number> {
    this.#assertIdle(key);
    this.#appending.add(key);
    try {
      const file = await this.#openAt(key, offset);
      try {
        const size = await appendFrom(file, offset, source);
        if ((await file.stat()).nlink === 0) throw new DriverError('not-found', key);
        return size;
      } finally {
        await file.close();
      }
    } catch (error) {
      throw writeFailure(error, key);
    } finally {
      this.#appending.delete(key);
    }
  }

  async commit(from: string, to: string, { size }: CommitOptions = {}): Promise<void> {
    this.#assertIdle(from);
    try {
      const present = await this.#staging.settle(this.#path(from));
      assertSize(from, present, size);
      if (present !== undefined && (await this.#staging.move(this.#path(from), this.#path(to)))) return;
      const published = await this.stat(to);
      if (published.kind !== 'object') throw new DriverError('not-found', from);
      assertSize(from, published.size, size);
      // An earlier commit may have crashed before it was durable.
      await this.#staging.syncFolders(dirname(this.#path(to)));
    } catch (error) {
      throw isDriverError(error, 'not-found') ? new DriverError('not-found', from) : writeFailure(error, from);
    }
  }

  async remove(key: string): Promise<void> {
    const path = this.#path(key);
    try {
      await unlink(path);
    } catch (error) {
      // Linux says EISDIR of a folder, POSIX and macOS EPERM.
      const isFolder = codeOf(error) === 'EISDIR' || codeOf(error) === 'EPERM';
      if (!isFolder) throw await this.#readFailure(error, key);
      await this.#removeFolder(path, key);
    }
    try {
      await this.#staging.syncFolders(dirname(path));
      await this.#staging.prune(dirname(path));
    } catch (error) {
      throw writeFailure(error, key);
    }
  }

  path(key: string): string {
    return this.#path(key);
  }

  /** Writes a file and removes it again. */
  async check(): Promise<void> {
    try {
      await this.#staging.probe();
    } catch (error) {
      throw writeFailure(error, '');
    }
  }

  async close(): Promise<void> {
    await this.#sweeping;
  }

  #path(key: string): string {
    return key === '' ? this.#root : `${this.#root}/${key}`;
  }

  /** Only while the root itself is there does a missing file mean that there is no object. */
  async #readFailure(error: unknown, key: string): Promise<unknown> {
    if (error instanceof DriverError) return error;
    if (!ABSENT.has(codeOf(error) ?? '')) return new DriverError('unavailable', key, { cause: error });
    try {
      await this.#staging.assertPresent();
    } catch (cause) {
      return new DriverError('unavailable', key, { cause });
    }
    return new DriverError('not-found', key, { cause: error });
  }

  #assertIdle(key: string): void {
    if (this.#appending.has(key)) throw new DriverError('offset-conflict', key);
  }

  /** Opens the file, which must be `offset` bytes long; makes it for offset 0. */
  async #openAt(key: string, offset: number): Promise<FileHandle> {
    const path = this.#path(key);
    const create = () => open(path, constants.O_WRONLY | constants.O_CREAT);
    const file = await (offset === 0 ? this.#staging.withFolders(path, create) : open(path, 'r+')).catch((error) => {
      throw offset > 0 && codeOf(error) === 'ENOENT' ? new DriverError('offset-conflict', key) : error;
    });
    const { size } = await file.stat();
    if (size === offset) return file;
    await file.close();
    throw new DriverError('offset-conflict', key);
  }

  async #removeFolder(path: string, key: string): Promise<void> {
    try {
      const hidden = await this.#staging.hide(path);
      const held = await holdsObject(hidden);
      await rm(hidden, { recursive: true, force: true });
      if (!held) throw new DriverError('not-found', key);
    } catch (error) {
      throw await this.#readFailure(error, key);
    }
  }
}

/**
 * Objects as files below a root folder, in `distribution`'s layout: its data is served as it is, and
 * can be handed back.
 *
 * Writes go through the folder `.koa-registry~` below the root, which has to be on the same file
 * system as the rest; what a crash leaves there is removed a day later.
 *
 * Within a registry of two appends at one offset one wins. Between processes that share the root, an
 * append that begins while another one is at work is refused only if that one wrote something
 * already: the registry's `coordination` keeps them apart. Linux and macOS.
 */
export const filesystem = definePlugin({
  kind: 'storage',
  name: 'filesystem',
  ignores: ['maxThreads'],
  options: z.strictObject({
    /** The folder above `docker/registry/v2`; made when it is missing. A relative one counts from the working directory. */
    rootDirectory: z.string().min(1),
    /** Whether a write is on the disk when it resolves. Without, it survives a crash of the process, not of the host. */
    fsync: z.boolean().default(true),
  }),
  create: async ({ rootDirectory, fsync }, { logger, clock }) => {
    const root = resolve(rootDirectory);
    const staging = new Staging(root, fsync);
    if (!(await staging.prepare())) {
      logger.warn({ rootDirectory: root }, 'the storage cannot be written: reading only');
      return new FilesystemDriver(root, staging, Promise.resolve());
    }
    const sweeping = staging.sweep(clock()).catch((error: unknown) => {
      logger.warn({ err: error, rootDirectory: root }, 'leftovers in the storage could not be removed');
    });
    return new FilesystemDriver(root, staging, sweeping);
  },
});
