// Manifests of a repository by digest: from memory where their content is kept, from the store otherwise.
import { LRUCache } from 'lru-cache';
import type { StorageDriver } from '../contracts/storage.js';
import { RegistryError } from '../errors.js';
import type { Descriptor } from '../model/descriptor.js';
import { DIGEST_ALGORITHMS, type Digest, isDigest } from '../model/digest.js';
import type { Manifest } from '../model/manifest.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { Descriptors } from './descriptors.js';
import type { Formats } from './formats.js';
import { blobKey, revisionKey, revisionLinkKey, revisionsKey } from './keys.js';
import { orAbsent, readLink, removeIfPresent, writeLink } from './links.js';
import { childrenOf } from './listing.js';
import type { Visibility } from './visibility.js';

/** In bytes, of all manifests that are kept parsed. */
const CAPACITY = 32 * 1024 * 1024;

/** A manifest as it was pushed, and what it says. */
export interface StoredManifest {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly manifest: Manifest;
}

export interface ManifestReaderParts {
  readonly storage: StorageDriver;
  readonly descriptors: Descriptors;
  readonly formats: Formats;
  readonly visibility: Visibility;
}

export class ManifestReader {
  readonly #storage: StorageDriver;
  readonly #descriptors: Descriptors;
  readonly #formats: Formats;
  readonly #visibility: Visibility;
  /** By digest: right for as long as it is kept, because what stands under a digest never changes. */
  readonly #kept = new LRUCache<Digest, StoredManifest>({
    maxSize: CAPACITY,
    // The parsed view is about as large as the bytes.
    sizeCalculation: ({ bytes }) => 2 * bytes.length + 512,
  });

  constructor({ storage, descriptors, formats, visibility }: ManifestReaderParts) {
    this.#storage = storage;
    this.#descriptors = descriptors;
    this.#formats = formats;
    this.#visibility = visibility;
  }

  /**
   * A manifest of the repository, or `undefined`, also where it stands there in a format that nobody
   * here knows. Without a call to the store once it is known.
   */
  async read(repository: RepositoryName, digest: Digest): Promise<StoredManifest | undefined> {
    const known = this.#descriptors.get(`manifests:${repository}`, digest);
    const descriptor = (known instanceof Promise ? await known : known) ?? (await this.#look(repository, digest));
    return descriptor && this.#load(descriptor.digest);
  }

  /** All manifests of the repository that somebody here can read, in no order. */
  async *all(repository: RepositoryName): AsyncGenerator<StoredManifest, void, void> {
    for (const algorithm of Object.keys(DIGEST_ALGORITHMS)) {
      for await (const { name } of childrenOf(this.#storage, `${revisionsKey(repository)}/${algorithm}`)) {
        const digest = `${algorithm}:${name}`;
        const stored = isDigest(digest) ? await this.read(repository, digest) : undefined;
        if (stored !== undefined) yield stored;
      }
    }
  }

  /** Whether the manifest is in the repository, as far as is known; its content is not read. */
  async has(repository: RepositoryName, digest: Digest): Promise<boolean> {
    if ((await this.#descriptors.get(`manifests:${repository}`, digest)) !== undefined) return true;
    return this.isLinked(repository, digest);
  }

  /** As {@link has}, but asks the store. */
  async isLinked(repository: RepositoryName, digest: Digest): Promise<boolean> {
    return (await this.#readLink(repository, digest)) !== undefined;
  }

  #readLink(repository: RepositoryName, digest: Digest): Promise<Digest | undefined> {
    const key = revisionLinkKey(repository, digest);
    return this.#visibility.find(key, () => readLink(this.#storage, key));
  }

  #look(repository: RepositoryName, digest: Digest): Promise<Descriptor | undefined> {
    return this.#descriptors.remember(`manifests:${repository}`, digest, async () => {
      const target = await this.#readLink(repository, digest);
      const stored = target && (await this.#load(target));
      return stored && describe(stored);
    });
  }

  async #load(digest: Digest): Promise<StoredManifest | undefined> {
    const kept = this.#kept.get(digest);
    if (kept !== undefined) return kept;
    const key = blobKey(digest);
    const bytes = await this.#visibility.find(key, () => orAbsent(this.#storage.get(key)));
    const manifest = bytes && this.#parse(bytes);
    return manifest && this.#keep({ digest, bytes, manifest });
  }

  #parse(bytes: Buffer): Manifest | undefined {
    try {
      return this.#formats.parse(bytes);
    } catch (error) {
      if (error instanceof RegistryError && error.code === 'MANIFEST_INVALID') return undefined;
      throw error;
    }
  }

  #keep(stored: StoredManifest): StoredManifest {
    this.#kept.set(stored.digest, stored);
    return stored;
  }

  /** Stores a manifest and enters it into the repository, in this order, and keeps it. */
  async write(repository: RepositoryName, stored: StoredManifest): Promise<void> {
    const { digest, bytes } = stored;
    await this.#storage.put(blobKey(digest), bytes);
    await this.#visibility.wrote(blobKey(digest));
    this.#keep(stored);
    await this.#descriptors.remember(`manifests:${repository}`, digest, async () => {
      const key = revisionLinkKey(repository, digest);
      await this.#visibility.writing(key, () => writeLink(this.#storage, key, digest));
      return describe(stored);
    });
  }

  /** Takes a manifest from the repository; answers whether it was there. */
  remove(repository: RepositoryName, digest: Digest): Promise<boolean> {
    return this.#descriptors.revoke(`manifests:${repository}`, digest, () =>
      this.#visibility.removing(revisionLinkKey(repository, digest), () =>
        removeIfPresent(this.#storage, revisionKey(repository, digest)),
      ),
    );
  }

  /** Whether the store, not only the memory, has the manifest in the repository. */
  async confirm(repository: RepositoryName, digest: Digest): Promise<boolean> {
    const target = await this.#readLink(repository, digest);
    if (target === undefined) return false;
    const key = blobKey(target);
    return (await this.#visibility.find(key, () => orAbsent(this.#storage.stat(key)))) !== undefined;
  }
}

function describe({ digest, bytes, manifest }: StoredManifest): Descriptor {
  return { mediaType: manifest.mediaType, digest, size: bytes.length };
}
