// Tags: names that lead to a manifest of their repository, and may be moved.
import type { Lease } from '../contracts/coordination.js';
import type { StorageDriver } from '../contracts/storage.js';
import { isDriverError, RegistryError } from '../errors.js';
import type { Digest } from '../model/digest.js';
import { isTag, type Tag } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';
import { mapBounded } from './bounded.js';
import { repositoryKey, tagCurrentKey, tagIndexKey, tagKey, tagsKey } from './keys.js';
import type { Leases } from './leases.js';
import { readLink, removeIfPresent, writeLink } from './links.js';
import { childrenOf, hasChild } from './listing.js';
import { type Page, takePage } from './page.js';
import type { Visibility } from './visibility.js';

/** How many tags are looked at at once when those of one manifest are sought. */
const AT_ONCE = 32;

export class TagStore {
  readonly #storage: StorageDriver;
  /** A tag is two objects: whoever changes them takes turns, or a push could lose its tag to a delete. */
  readonly #leases: Leases;
  readonly #visibility: Visibility;

  constructor(storage: StorageDriver, leases: Leases, visibility: Visibility) {
    this.#storage = storage;
    this.#leases = leases;
    this.#visibility = visibility;
  }

  /** The digest that a tag leads to. */
  resolve(repository: RepositoryName, tag: Tag): Promise<Digest | undefined> {
    const key = tagCurrentKey(repository, tag);
    return this.#visibility.find(key, () => readLink(this.#storage, key));
  }

  /**
   * Makes a tag lead to a manifest; the tag's history keeps where it led before. The history comes
   * last: a crash after it alone would leave a tag that is listed and leads nowhere.
   */
  set(repository: RepositoryName, tag: Tag, digest: Digest): Promise<void> {
    return this.#turn(repository, tag, async () => {
      const key = tagCurrentKey(repository, tag);
      await this.#visibility.writing(key, () => writeLink(this.#storage, key, digest));
      await writeLink(this.#storage, tagIndexKey(repository, tag, digest), digest);
    });
  }

  /** Removes a tag and its history; answers whether it was there. */
  delete(repository: RepositoryName, tag: Tag): Promise<boolean> {
    return this.#turn(repository, tag, (lease) => this.#remove(repository, tag, lease));
  }

  /** A host that was paused must not remove what another one has set meanwhile. */
  async #remove(repository: RepositoryName, tag: Tag, lease: Lease): Promise<boolean> {
    await lease.confirm();
    return this.#visibility.removing(tagCurrentKey(repository, tag), () =>
      removeIfPresent(this.#storage, tagKey(repository, tag)),
    );
  }

  async #turn<T>(repository: RepositoryName, tag: Tag, work: (lease: Lease) => Promise<T>): Promise<T> {
    const done = await this.#leases.take(`tags/${repository}:${tag}`, work);
    if (done === undefined) throw new RegistryError('UNAVAILABLE', 'the tag is being changed');
    return done.result;
  }

  /**
   * A page of tags in byte order.
   *
   * @throws RegistryError `NAME_UNKNOWN` when there is no such repository.
   */
  async list(repository: RepositoryName, limit: number, after?: string): Promise<Page<Tag>> {
    try {
      return await takePage(this.#names(repository, after), limit);
    } catch (error) {
      if (!isDriverError(error, 'not-found')) throw error;
      if (await this.#exists(repository)) return { items: [], more: false };
      throw new RegistryError('NAME_UNKNOWN', { name: repository });
    }
  }

  async *#names(repository: RepositoryName, after?: string): AsyncGenerator<Tag, void, void> {
    for await (const { name } of this.#storage.list(tagsKey(repository), { after })) {
      if (isTag(name)) yield name;
    }
  }

  /** A repository is there once it has a blob or a manifest; an upload under way does not make one. */
  #exists(repository: RepositoryName): Promise<boolean> {
    const isContent = (name: string) => name === '_layers' || name === '_manifests';
    return hasChild(this.#storage, repositoryKey(repository), isContent);
  }

  /** Removes every tag that leads to the manifest; answers which. Its cost is that of the repository's tags: links have no way back. */
  async deleteAllOf(repository: RepositoryName, digest: Digest): Promise<readonly Tag[]> {
    const tags: Tag[] = [];
    for await (const { name } of childrenOf(this.#storage, tagsKey(repository))) if (isTag(name)) tags.push(name);
    const removed = await mapBounded(tags, AT_ONCE, async (tag) => {
      if ((await this.resolve(repository, tag)) !== digest) return false;
      return this.#turn(repository, tag, async (lease) => {
        // It may lead elsewhere by now.
        if ((await this.resolve(repository, tag)) !== digest) return false;
        return this.#remove(repository, tag, lease);
      });
    });
    return tags.filter((_, index) => removed[index]);
  }
}
