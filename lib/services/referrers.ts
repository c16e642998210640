// Referrers: which manifests of a repository name a given one as their subject. One small object a
// referrer, kept by push and delete, so that concurrent pushes need no lock; it can be rebuilt from
// the manifests.
import type { StorageDriver } from '../contracts/storage.js';
import type { Descriptor } from '../model/descriptor.js';
import { DIGEST_ALGORITHMS, type Digest, isDigest } from '../model/digest.js';
import { referrersTag } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';
import { mapBounded } from './bounded.js';
import { referrerKey, referrerName, referrersKey, revisionsKey } from './keys.js';
import { orAbsent, removeIfPresent } from './links.js';
import { childrenOf } from './listing.js';
import type { ManifestReader, StoredManifest } from './manifest-reader.js';
import type { Page } from './page.js';
import type { TagStore } from './tag-store.js';

/** How many descriptors are read at once. */
const AT_ONCE = 16;

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
    const noted = await this.#noted(repository, subject, after);
    for await (const referrer of this.#indexed(repository, subject, after)) {
      while (noted[0] !== undefined && noted[0].descriptor.digest < referrer.descriptor.digest) {
        yield noted.shift() as Referrer;
      }
      if (noted[0]?.descriptor.digest === referrer.descriptor.digest) noted.shift();
      yield referrer;
    }
    yield* noted;
  }

  async *#indexed(repository: RepositoryName, subject: Digest, after?: Digest): AsyncGenerator<Referrer, void, void> {
    const key = referrersKey(repository, subject);
    const read = async (name: string): Promise<Referrer | undefined> => {
      const bytes = await orAbsent(this.#storage.get(`${key}/${name}`));
      return bytes && { descriptor: JSON.parse(bytes.toString('utf8')) as Descriptor, size: bytes.length };
    };
    let names: string[] = [];
    const options = after === undefined ? {} : { after: referrerName(after) };
    for await (const { name } of childrenOf(this.#storage, key, options)) {
      names.push(name);
      if (names.length < AT_ONCE) continue;
      yield* (await mapBounded(names, AT_ONCE, read)).filter((referrer) => referrer !== undefined);
      names = [];
    }
    yield* (await mapBounded(names, AT_ONCE, read)).filter((referrer) => referrer !== undefined);
  }

  /**
   * Referrers that clients pushed to a registry without a referrers API and noted in an index under
   * the referrers tag; those that exist and do have this subject (OCI distribution-spec, "Enabling the
   * Referrers API").
   */
  async #noted(repository: RepositoryName, subject: Digest, after?: Digest): Promise<Referrer[]> {
    const index = await this.#tags.resolve(repository, referrersTag(subject));
    const stored = index && (await this.#manifests.read(repository, index));
    const candidates = stored?.manifest.manifests.map(({ digest }) => digest) ?? [];
    const later = candidates.filter((digest) => after === undefined || digest > after).sort();
    const found = await mapBounded([...new Set(later)], AT_ONCE, (digest) => this.#manifests.read(repository, digest));
    return found
      .filter((candidate) => candidate?.manifest.subject?.digest === subject)
      .map((candidate) => {
        const descriptor = referrerDescriptor(candidate as StoredManifest);
        return { descriptor, size: JSON.stringify(descriptor).length };
      });
  }

  /**
   * Enters every manifest of the repository that has a subject, from the manifests themselves; for
   * data that another registry wrote.
   *
   * @returns how many were entered.
   */
  async rebuild(repository: RepositoryName): Promise<number> {
    let entered = 0;
    for (const algorithm of Object.keys(DIGEST_ALGORITHMS)) {
      for await (const { name } of childrenOf(this.#storage, `${revisionsKey(repository)}/${algorithm}`)) {
        const digest = `${algorithm}:${name}`;
        const stored = isDigest(digest) ? await this.#manifests.read(repository, digest) : undefined;
        if (stored?.manifest.subject === undefined) continue;
        await this.add(repository, stored);
        entered += 1;
      }
    }
    return entered;
  }
}

interface Referrer {
  readonly descriptor: Descriptor;
  /** Of its JSON, in bytes. */
  readonly size: number;
}
