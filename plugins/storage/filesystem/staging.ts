// How a file comes into sight whole and goes out of sight at once: it is written, or taken apart, in
// a folder of the same file system that no key can name, and moved by a rename.
import { randomBytes } from 'node:crypto';
import { access, mkdir, open, readdir, rename, rm, rmdir, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

/** Below the root; the `~` is in no key, so that no listing shows it. `distribution` looks only below `docker`. */
const STAGING_FOLDER = '.koa-registry~';

/** What a crash left behind goes when it is older than this, in milliseconds. */
const LEFTOVER_AGE = 24 * 60 * 60 * 1000;

/** How often a write tries again when somebody removes, or makes, the folders that it is about to use. */
const MAX_ATTEMPTS = 10;

/** The code of a system call's error: `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/** The staging folder of one root, and the moves between the two. */
export class Staging {
  readonly #root: string;
  readonly #folder: string;
  readonly #fsync: boolean;
  readonly #owner = randomBytes(8).toString('hex');
  #count = 0;
  /** Exists for as long as the root is the one that was opened, and not the mount point it left behind. */
  #witness: string;

  constructor(root: string, fsync: boolean) {
    this.#root = root;
    this.#folder = join(root, STAGING_FOLDER);
    this.#fsync = fsync;
    this.#witness = this.#folder;
  }

  /** Makes the root and the staging folder; answers whether they can be written. */
  async prepare(): Promise<boolean> {
    try {
      await mkdir(this.#folder, { recursive: true });
      return true;
    } catch (error) {
      if (codeOf(error) !== 'EROFS' && codeOf(error) !== 'EACCES') throw error;
      this.#witness = this.#root;
      return false;
    }
  }

  /** Rejects when the root is not there any more: then nothing can be said to be absent. */
  async assertPresent(): Promise<void> {
    await access(this.#witness);
  }

  /** Removes what crashes left behind, except what may still be in use by another process. */
  async sweep(now: number): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      const found = await stat(path).catch(() => undefined);
      if (found !== undefined && now - found.mtimeMs > LEFTOVER_AGE) await rm(path, { recursive: true, force: true });
    }
  }

  /** Rejects when the root cannot be written. */
  async probe(): Promise<void> {
    const path = this.path();
    await writeFile(path, '');
    await unlink(path);
  }

  /** A path in the staging folder that nothing else uses. */
  path(): string {
    return join(this.#folder, `${this.#owner}-${this.#count++}`);
  }

  /** Writes a file whole: durable when it resolves, and never seen in part. */
  async write(target: string, bytes: Uint8Array): Promise<void> {
    const staged = this.path();
    try {
      const file = await open(staged, 'wx');
      try {
        await file.writeFile(bytes);
        if (this.#fsync) await file.datasync();
      } finally {
        await file.close();
      }
      await this.#publish(staged, target);
    } catch (error) {
      await rm(staged, { force: true });
      throw error;
    }
  }

  /**
   * Moves a file, whose content {@link settle} made durable, to `target`; the name is durable when it resolves.
   *
   * @returns false when there is no file at `from`.
   */
  async move(from: string, target: string): Promise<boolean> {
    const moved = await this.withFolders(target, () => renameIfThere(from, target));
    if (!moved) return false;
    await Promise.all([this.syncFolders(dirname(target)), this.syncFolders(dirname(from))]);
    await this.prune(dirname(from));
    return true;
  }

  /** Calls `use`, making the folders above `path` where it fails for the lack of them, which may happen at any time. */
  async withFolders<T>(path: string, use: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await use();
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || attempt === MAX_ATTEMPTS) throw error;
      }
      await this.assertPresent();
      const made = await mkdir(dirname(path), { recursive: true });
      if (made !== undefined) await this.syncFolders(dirname(dirname(path)), made);
    }
  }

  /** Moves a file or a folder out of sight; answers where it is now. */
  async hide(path: string): Promise<string> {
    const hidden = this.path();
    await rename(path, hidden);
    return hidden;
  }

  /** Makes the entries of `folder` durable and, where `made` was made above it, those of all folders up to it. */
  async syncFolders(folder: string, made: string = join(folder, 'any')): Promise<void> {
    if (!this.#fsync) return;
    const folders: string[] = [];
    for (let path = folder; path.length >= dirname(made).length; path = dirname(path)) {
      folders.push(path);
      if (path === dirname(path)) break;
    }
    await Promise.all(folders.map(syncFolder));
  }

  /** Removes a folder, and those above it, as long as they are empty. A writer that needs one makes it again. */
  async prune(folder: string): Promise<void> {
    for (let path = folder; path !== this.#root; path = dirname(path)) {
      try {
        await rmdir(path);
      } catch {
        return;
      }
    }
  }

  /** Makes the content of a file durable; answers its size, or `undefined` where there is none. */
  async settle(path: string): Promise<number | undefined> {
    try {
      const file = await open(path, 'r');
      try {
        if (this.#fsync) await file.sync();
        const found = await file.stat();
        return found.isFile() ? found.size : undefined;
      } finally {
        await file.close();
      }
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw error;
    }
  }

  /** Moves `staged` to `target`. */
  async #publish(staged: string, target: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await rename(staged, target);
        return await this.syncFolders(dirname(target));
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
      try {
        return await this.syncFolders(dirname(target), await this.#publishWithFolders(staged, target));
      } catch (error) {
        if (attempt === MAX_ATTEMPTS || !RACES.has(codeOf(error) ?? '')) throw error;
      }
    }
  }

  /**
   * Moves `staged` to `target` in one piece with the folders that are missing above it: a crash leaves
   * no folder without the file that it was made for, which would list as a tag that is none.
   *
   * @returns the outermost folder that was made.
   */
  async #publishWithFolders(staged: string, target: string): Promise<string> {
    const missing = await outermostMissing(dirname(target));
    const tree = this.path();
    const inside = join(tree, relative(missing, target));
    await mkdir(dirname(inside), { recursive: true });
    await rename(staged, inside);
    try {
      await rename(tree, missing);
      return missing;
    } catch (error) {
      await rename(inside, staged);
      await rm(tree, { recursive: true });
      throw error;
    }
  }
}

/** Where another process made or removed a folder in the meantime. */
const RACES: ReadonlySet<string> = new Set(['ENOENT', 'EEXIST', 'ENOTEMPTY']);

/** Answers whether there was something at `from`; throws `ENOENT` when the folder of `target` is missing. */
async function renameIfThere(from: string, target: string): Promise<boolean> {
  try {
    await rename(from, target);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && !(await exists(from))) return false;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** The one nearest to the root of `folder` and the folders above it that are not there. */
async function outermostMissing(folder: string): Promise<string> {
  let missing = folder;
  while (!(await exists(dirname(missing)))) missing = dirname(missing);
  return missing;
}

async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    // Somebody removed it, and with it what was to be made durable.
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}
