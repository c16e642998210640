// The catalogue: the names of all repositories that hold a manifest, in byte order, from anywhere.
//
// Repositories nest (`a`, `a/b`) and a folder's order is not the names' order: `a-b` comes between
// the two, because `-` and `.` come before `/`. So what stands below a folder is put off until the
// siblings that come before it are through.
import type { StorageDriver } from '../contracts/storage.js';
import { isDigest } from '../model/digest.js';
import { isRepositoryName, type RepositoryName } from '../model/repository-name.js';
import { REPOSITORIES, revisionLinkKey, revisionsKey } from './keys.js';
import { orAbsent } from './links.js';
import { childrenOf } from './listing.js';

export class Catalog {
  readonly #storage: StorageDriver;

  constructor(storage: StorageDriver) {
    this.#storage = storage;
  }

  /** Names greater than `after`, which need not exist. Its cost follows what is read of it, not the registry. */
  names(after = ''): AsyncGenerator<RepositoryName, void, void> {
    return this.#below('', after);
  }

  /** The repositories below a folder (`''`, `a/`) whose names there are greater than `after`. */
  async *#below(folder: string, after: string): AsyncGenerator<RepositoryName, void, void> {
    const slash = after.indexOf('/');
    const first = slash < 0 ? after : after.slice(0, slash);
    const begun = [...ancestors(first), { name: first, after: slash < 0 ? '' : after.slice(slash + 1) }];
    // `after` is whatever a client says: only what could be a repository's name is looked below.
    const putOff = begun.filter(({ name }) => isRepositoryName(folder + name));

    // After `a/b` the siblings `a-b` and `a.b` are through: they come before `a/`.
    const key = folder === '' ? REPOSITORIES : `${REPOSITORIES}/${folder.slice(0, -1)}`;
    const from = slash < 0 ? first : `${first}/`;
    for await (const { name, kind } of childrenOf(this.#storage, key, from === '' ? {} : { after: from })) {
      const repository = folder + name;
      if (kind !== 'prefix' || !isRepositoryName(repository)) continue;
      yield* this.#due(folder, putOff, name);
      if (await this.#hasManifest(repository)) yield repository;
      putOff.push({ name, after: '' });
    }
    yield* this.#due(folder, putOff);
  }

  /** A revision without a link is what a delete by distribution leaves behind. */
  async #hasManifest(repository: RepositoryName): Promise<boolean> {
    for await (const { name: algorithm } of childrenOf(this.#storage, revisionsKey(repository))) {
      for await (const { name: hex } of childrenOf(this.#storage, `${revisionsKey(repository)}/${algorithm}`)) {
        const digest = `${algorithm}:${hex}`;
        if (!isDigest(digest)) continue;
        if ((await orAbsent(this.#storage.stat(revisionLinkKey(repository, digest)))) !== undefined) return true;
      }
    }
    return false;
  }

  /** What was put off and comes before `next`, or all of it. The last put off is the first in order. */
  async *#due(folder: string, putOff: PutOff[], next?: string): AsyncGenerator<RepositoryName, void, void> {
    for (let last = putOff.at(-1); last !== undefined; last = putOff.at(-1)) {
      if (next !== undefined && next < `${last.name}/`) return;
      putOff.pop();
      yield* this.#below(`${folder}${last.name}/`, last.after);
    }
  }
}

interface PutOff {
  readonly name: string;
  readonly after: string;
}

/** The siblings that come before `name` and whose own children come after it: `a` for `a-b`. They may not exist. */
function ancestors(name: string): PutOff[] {
  const found: PutOff[] = [];
  for (let index = 1; index < name.length; index += 1) {
    if (name.charAt(index) < '/') found.push({ name: name.slice(0, index), after: '' });
  }
  return found;
}
