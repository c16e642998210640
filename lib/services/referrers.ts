// Referrers: which manifests of a repository name a given one as their subject. One small object a
// referrer, kept by push and delete, so that concurrent pushes need no lock; it can be rebuilt from
// the manifests.
import type { Entry, StorageDriver } from '../contracts/storage.js';
import type { Descriptor } from '../model/descriptor.js';
import { DIGEST_ALGORITHMS, type Digest, isDigest } from '../model/digest.js';
import { referrersTag } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';
import { mapBounded } from './bounded.js';
import { allReferrersKey, digestName, referrerKey, referrersKey } from './keys.js';
import { orAbsent, removeIfPresent } from './links.js';
import { childrenOf } from './listing.js';
import type { ManifestReader, StoredManifest } from './manifest-reader.js';
import type { Page } from './page.js';
import type { TagStore } from './tag-store.js';

/** How many descriptors are read at once. */
const AT_ONCE = 8;

/** A page ends before its descriptors, which carry annotations, are larger than this: clients take 4 MiB. */
const PAGE_BYTES = 3 * 1024 * 1024;

/** What a referrers list says of a manifest (OCI distribution-spec, "Listing Referrers"). */
export function referrerDescriptor({ digest, bytes, manifest }: StoredManifest): Descriptor {
  const { mediaType, artifactType, annotations } = manifest;
  return {
    mediaType,
    digest,
    size: bytes.length,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
  };
}

export interface ReferrersQuery {
  readonly artifactType?: string | undefined;
  /** The digest that ended the page before. */
  readonly after?: Digest | undefined;
  readonly limit: number;
}

export class Referrers {
  readonly #storage: StorageDriver;
  readonly #manifests: ManifestReader;
  readonly #tags: TagStore;

  constructor(storage: StorageDriver, manifests: ManifestReader, tags: TagStore) {
    this.#storage = storage;
    this.#manifests = manifests;
    this.#tags = tags;
  }

  /** Enters a manifest that has a subject. */
  async add(repository: RepositoryName, stored: StoredManifest): Promise<void> {
    const { subject } = stored.manifest;
    if (subject === undefined) return;
    const key = referrerKey(repository, subject.digest, stored.digest);
    await this.#storage.put(key, Buffer.from(JSON.stringify(referrerDescriptor(stored))));
  }

  async remove(repository: RepositoryName, { digest, manifest }: StoredManifest): Promise<void> {
    if (manifest.subject === undefined) return;
    await removeIfPresent(this.#storage, referrerKey(repository, manifest.subject.digest, digest));
  }

  /** A page of the referrers of a digest, in the order of their digests; none for what nobody knows. */
  async list(repository: RepositoryName, subject: Digest, query: ReferrersQuery): Promise<Page<Descriptor>> {
    const page: Descriptor[] = [];
    let bytes = 0;
    for await (const { descriptor, size } of this.#all(repository, subject, query.after)) {
      if (query.artifactType !== undefined && descriptor.artifactType !== query.artifactType) continue;
      if (page.length === query.limit || (page.length > 0 && bytes + size > PAGE_BYTES)) {
        return { items: page, more: query.limit > 0 };
      }
      page.push(descriptor);
      bytes += size;
    }
    return { items: page, more: false };
  }

  /** The index and what clients noted under the referrers tag, merged in order. */
  async *#all(repository: RepositoryName, subject: Digest, after?: Digest): AsyncGenerator<Referrer, void, void> {
    const noted = this.#noted(repository, subject, after);
    try {
      let next = await noted.next();
      for await (const referrer of this.#indexed(repository, subject, after)) {
        const { digest } = referrer.descriptor;
        for (; !next.done && next.value.descriptor.digest <= digest; next = await noted.next()) {
          if (next.value.descriptor.digest < digest) yield next.value;
        }
        yield referrer;
      }
      for (; !next.done; next = await noted.next()) yield next.value;
    } finally {
      await noted.return();
    }
  }

  async *#indexed(repository: RepositoryName, subject: Digest, after?: Digest): AsyncGenerator<Referrer, void, void> {
    const key = referrersKey(repository, subject);
    const read = async (name: string): Promise<Referrer | undefined> => {
      const bytes = await orAbsent(this.#storage.get(`${key}/${name}`));
      if (bytes === undefined) return undefined;
      const descriptor = JSON.parse(bytes.toString('utf8')) as Descriptor;
      // Another registry that deletes a manifest knows nothing of this index.
      return (await this.#manifests.has(repository, descriptor.digest))
        ? { descriptor, size: bytes.length }
        : undefined;
    };
    const options = after === undefined ? {} : { after: digestName(after) };
    yield* inBatches(namesOf(childrenOf(this.#storage, key, options)), read);
  }

  /**
   * Referrers that clients pushed to a registry without a referrers API and noted in an index under
   * the referrers tag; those that exist and do have this subject (OCI distribution-spec, "Enabling the
   * Referrers API").
   */
  async *#noted(repository: RepositoryName, subject: Digest, after?: Digest): AsyncGenerator<Referrer, void, void> {
    const index = await this.#tags.resolve(repository, referrersTag(subject));
    const stored = index && (await this.#manifests.read(repository, index));
    const candidates = new Set(stored?.manifest.manifests.map(({ digest }) => digest));
    const later = [...candidates].filter((digest) => after === undefined || digest > after).sort();
    const read = async (digest: Digest): Promise<Referrer | undefined> => {
      const referrer = await this.#manifests.read(repository, digest);
      if (referrer?.manifest.subject?.digest !== subject) return undefined;
      const descriptor = referrerDescriptor(referrer);
      return { descriptor, size: JSON.stringify(descriptor).length };
    };
    yield* inBatches(later, read);
  }

  /**
   * Makes the index of a repository again from the manifests themselves: enters all that have a
   * subject, and removes the entries of those that are gone. For data that another registry wrote.
   *
   * @returns how many have a subject.
   */
  async rebuild(repository: RepositoryName): Promise<number> {
    let entered = 0;
    for await (const stored of this.#manifests.all(repository)) {
      if (stored.manifest.subject === undefined) continue;
      await this.add(repository, stored);
      entered += 1;
    }
    for (const algorithm of Object.keys(DIGEST_ALGORITHMS)) {
      for await (const name of namesOf(childrenOf(this.#storage, `${allReferrersKey(repository)}/${algorithm}`))) {
        const subject = `${algorithm}:${name}`;
        if (isDigest(subject)) await this.#removeStale(repository, subject);
      }
    }
    return entered;
  }

  async #removeStale(repository: RepositoryName, subject: Digest): Promise<void> {
    for await (const name of namesOf(childrenOf(this.#storage, referrersKey(repository, subject)))) {
      const digest = name.replace('-', ':');
      if (!isDigest(digest) || (await this.#manifests.confirm(repository, digest))) continue;
      await removeIfPresent(this.#storage, referrerKey(repository, subject, digest));
    }
  }
}

interface Referrer {
  readonly descriptor: Descriptor;
  /** Of its JSON, in bytes. */
  readonly size: number;
}

async function* namesOf(entries: AsyncIterable<Entry>): AsyncGenerator<string, void, void> {
  for await (const { name } of entries) yield name;
}

/** Reads a few at once, in order, and no more of them than are asked for. */
async function* inBatches<T>(
  items: Iterable<T> | AsyncIterable<T>,
  read: (item: T) => Promise<Referrer | undefined>,
): AsyncGenerator<Referrer, void, void> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < AT_ONCE) continue;
    yield* (await mapBounded(batch, AT_ONCE, read)).filter((referrer) => referrer !== undefined);
    batch = [];
  }
  yield* (await mapBounded(batch, AT_ONCE, read)).filter((referrer) => referrer !== undefined);
}
