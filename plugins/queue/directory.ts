// A store for queues of events that keeps each in a folder of its own below one path, for a registry of one process.
import { unlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { definePlugin, type EventQueue, type EventQueueStore, type Logger, size } from 'koa-registry';
import { z } from 'zod';
import { DirectoryQueue } from './directory/directory-queue.js';
import { FolderLock } from './directory/folder-lock.js';
import { makeFolder } from './directory/folders.js';

/** What a sink may be called, and a folder too; the lock's names begin otherwise. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

interface DirectoryOptions {
  readonly path: string;
  readonly fsync: boolean;
  readonly segmentBytes: number;
}

class DirectoryQueueStore implements EventQueueStore {
  readonly shared = false;
  readonly #options: DirectoryOptions;
  readonly #lock: FolderLock;
  readonly #logger: Logger;
  readonly #open = new Set<string>();

  constructor(options: DirectoryOptions, lock: FolderLock, logger: Logger) {
    this.#options = options;
    this.#lock = lock;
    this.#logger = logger;
  }

  async open(sink: string): Promise<EventQueue> {
    if (!NAME.test(sink)) throw new Error(`a queue cannot be called ${JSON.stringify(sink)}`);
    if (this.#open.has(sink)) throw new Error(`the queue of ${sink} is open already`);
    const onClose = () => void this.#open.delete(sink);
    const { path, fsync, segmentBytes } = this.#options;
    const logger = this.#logger.child({ sink });
    this.#open.add(sink);
    try {
      return await DirectoryQueue.open({ folder: join(path, sink), fsync, segmentBytes, logger, onClose });
    } catch (error) {
      onClose();
      throw error;
    }
  }

  /** Writes a file and removes it again. */
  async check(): Promise<void> {
    const probe = join(this.#options.path, '.probe');
    await writeFile(probe, 'probe');
    await unlink(probe);
  }

  close(): Promise<void> {
    return this.#lock.release();
  }
}

/**
 * Events that wait in files below a folder: they survive the end of the process, however it comes, and with `fsync`
 * that of the host. Each event is delivered at least once; after a crash the last few may be delivered again.
 *
 * One process for each folder: a second one fails to start. Linux and macOS, on a file system that has Unix sockets.
 */
export const directory = definePlugin({
  kind: 'queue',
  name: 'directory',
  options: z.strictObject({
    /** The folder, which is made when it is missing; a relative one counts from the working directory. */
    path: z.string().min(1),
    /** Whether an event is on the disk when it is stored. Without, it survives a crash of the process, not of the host. */
    fsync: z.boolean().default(true),
    /** How long a file may grow before the next one is begun; it is removed once all of it is delivered. Default: 4 MiB. */
    segmentBytes: size({ min: '4KiB', max: '1GiB' }).default(4 * 1024 * 1024),
  }),
  create: async (options, { logger }) => {
    const path = resolve(options.path);
    await makeFolder(path, options.fsync);
    return new DirectoryQueueStore({ ...options, path }, await FolderLock.take(path), logger);
  },
});
