// The sorted names of a folder. Reading and sorting a folder of ten thousand tags costs fifty times
// what a `stat` does, so large listings are kept for as long as the folder is provably the same.
import type { Dirent, Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Entry } from 'koa-registry';
import { codeOf } from './staging.js';

/** A folder of fewer entries is read faster than it is remembered. */
const MIN_KEPT_ENTRIES = 100;

/** Over all folders; about 100 bytes each. */
const MAX_KEPT_ENTRIES = 100_000;

/**
 * For how long a folder must have been left alone, in nanoseconds, before its time of modification
 * proves that nothing changed: two changes within one tick of the file system's clock share a time.
 */
const SETTLED = 2_000_000_000n;

/** What the grammar of keys allows in a name. All else, such as `lost+found`, is not the registry's. */
const NAME = /^[\w.-]+$/;

export function isKeyName(name: string): boolean {
  return NAME.test(name);
}

interface Listing {
  readonly entries: readonly Entry[];
  readonly modified: bigint;
  readonly inode: bigint;
}

function toEntry(name: string, item: Dirent | Stats): Entry | undefined {
  if (item.isDirectory()) return { name, kind: 'prefix' };
  return item.isFile() ? { name, kind: 'object' } : undefined;
}

/** `undefined` for one that leads nowhere. */
async function followLink(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function readSorted(folder: string): Promise<Entry[]> {
  const dirents = (await readdir(folder, { withFileTypes: true })).filter(({ name }) => isKeyName(name));
  // Names are ASCII, where the order of strings is that of bytes, and no two are the same.
  dirents.sort((a, b) => (a.name < b.name ? -1 : 1));
  const entries: Entry[] = [];
  for (const dirent of dirents) {
    const item = dirent.isSymbolicLink() ? await followLink(join(folder, dirent.name)) : dirent;
    const entry = item && toEntry(dirent.name, item);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

/** Those entries whose name is greater than `after`, found without looking at each. */
export function* entriesAfter(entries: readonly Entry[], after: string): Generator<Entry, void, undefined> {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle] as Entry).name > after) high = middle;
    else low = middle + 1;
  }
  for (; low < entries.length; low++) yield entries[low] as Entry;
}

/** Reads folders, and remembers the large ones. */
export class Listings {
  readonly #kept = new Map<string, Listing>();
  #size = 0;

  /** The entries of `folder` in byte order. Rejects with the error of the system call. */
  async read(folder: string): Promise<readonly Entry[]> {
    // Taken before the folder is read: a change in between makes the listing look older than it is.
    const { mtimeNs: modified, ino: inode } = await stat(folder, { bigint: true });
    const kept = this.#kept.get(folder);
    if (kept?.modified === modified && kept.inode === inode) return kept.entries;
    const settled = BigInt(Date.now()) * 1_000_000n - modified > SETTLED;
    const entries = await readSorted(folder);
    this.#forget(folder);
    if (settled && entries.length >= MIN_KEPT_ENTRIES) this.#keep(folder, { entries, modified, inode });
    return entries;
  }

  #keep(folder: string, listing: Listing): void {
    if (listing.entries.length > MAX_KEPT_ENTRIES) return;
    this.#kept.set(folder, listing);
    this.#size += listing.entries.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#size <= MAX_KEPT_ENTRIES) break;
      this.#forget(oldest);
    }
  }

  #forget(folder: string): void {
    this.#size -= this.#kept.get(folder)?.entries.length ?? 0;
    this.#kept.delete(folder);
  }
}
