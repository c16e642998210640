// What a crash of the host could leave of a folder, on the least helpful file system that POSIX
// allows: of a file the content, and of a folder the names, that were there when it was last synced.
// It watches the promises of `node:fs` in this process, and touches nothing.
import { promises, readdirSync, readFileSync, statSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join, relative } from 'node:path';

/** A key of the store, and not a path of the staging folder. */
const KEY = /^[\w./-]+$/;

/** The inodes by name. */
type Names = ReadonlyMap<string, number>;

function inodeOf(path: string): number {
  return statSync(path).ino;
}

function namesIn(folder: string): Names {
  return new Map(readdirSync(folder).map((name) => [name, inodeOf(join(folder, name))]));
}

/** The files at and below a path. */
function filesAt(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => filesAt(join(path, name)));
}

/** Watches what happens below a root; one at a time in a process, until it is released. */
export class CrashModel {
  /** How often anything was synced. */
  syncs = 0;
  /** Keys at which, for a moment or for good, a crash could have left a file without its content. */
  readonly exposed: string[] = [];
  readonly #root: string;
  readonly #original = { open: promises.open, rename: promises.rename };
  /** By inode; what the root holds when the watch begins has been there for long. */
  readonly #folders = new Map<number, Names>();
  readonly #contents = new Map<number, Buffer>();

  constructor(root: string) {
    this.#root = root;
    this.#folders.set(inodeOf(root), namesIn(root));
    const { open, rename } = this.#original;
    Object.assign(promises, {
      open: async (...args: Parameters<typeof open>) => this.#watch(await open(...args), String(args[0])),
      rename: async (from: string, to: string) => {
        this.#noteExposure(from, to);
        await rename(from, to);
      },
    });
    syncBuiltinESMExports();
  }

  /** Ends the watch. */
  release(): void {
    Object.assign(promises, this.#original);
    syncBuiltinESMExports();
  }

  /** What a crash at this moment would certainly leave at a key. */
  survivor(key: string): string | undefined {
    let inode: number | undefined = inodeOf(this.#root);
    for (const name of key.split('/')) inode = inode === undefined ? undefined : this.#folders.get(inode)?.get(name);
    return inode === undefined ? undefined : this.#contents.get(inode)?.toString();
  }

  /** A sync promises what was there when it began, and nothing before it has ended. */
  #watch(file: FileHandle, path: string): FileHandle {
    const watched = (sync: () => Promise<void>) => async () => {
      this.syncs += 1;
      const keep = this.#look(path);
      await sync();
      keep();
    };
    return Object.assign(file, {
      sync: watched(file.sync.bind(file)),
      datasync: watched(file.datasync.bind(file)),
    });
  }

  /** What is there now; calling the answer makes it what survives. */
  #look(path: string): () => void {
    const stat = statSync(path);
    if (stat.isDirectory()) {
      const names = namesIn(path);
      return () => void this.#folders.set(stat.ino, names);
    }
    const content = readFileSync(path);
    return () => void this.#contents.set(stat.ino, content);
  }

  /** A file system may write a new name at once, and the content that nobody synced much later. */
  #noteExposure(from: string, to: string): void {
    const key = relative(this.#root, to);
    if (!KEY.test(key) || statSync(from, { throwIfNoEntry: false }) === undefined) return;
    const isSafe = (path: string) => this.#contents.get(inodeOf(path))?.equals(readFileSync(path)) === true;
    if (!filesAt(from).every(isSafe)) this.exposed.push(key);
  }
}
