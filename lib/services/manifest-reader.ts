// Reading manifests by digest: from memory where their content is kept, from the store otherwise.
import { LRUCache } from 'lru-cache';
import type { StorageDriver } from '../contracts/storage.js';
import { RegistryError } from '../errors.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';
import type { Manifest } from '../model/manifest.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { Descriptors } from './descriptors.js';
import type { Formats } from './formats.js';
import { blobKey, revisionLinkKey } from './keys.js';
import { orAbsent, readLink, writeLink } from './links.js';

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
}

export class ManifestReader {
  readonly #storage: StorageDriver;
  readonly #descriptors: Descriptors;
  readonly #formats: Formats;
  /** By digest: right for as long as it is kept, because what stands under a digest never changes. */
  readonly #kept = new LRUCache<Digest, StoredManifest>({
    maxSize: CAPACITY,
    // The parsed view is about as large as the bytes.
    sizeCalculation: ({ bytes }) => 2 * bytes.length + 512,
  });

  constructor({ storage, descriptors, formats }: ManifestReaderParts) {
    this.#storage = storage;
    this.#descriptors = descriptors;
    this.#formats = formats;
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

  /** Whether the manifest is in the repository, as far as is known; its content is not read. */
  async has(repository: RepositoryName, digest: Digest): Promise<boolean> {
    if ((await this.#descriptors.get(`manifests:${repository}`, digest)) !== undefined) return true;
    return (await readLink(this.#storage, revisionLinkKey(repository, digest))) !== undefined;
  }

  #look(repository: RepositoryName, digest: Digest): Promise<Descriptor | undefined> {
    return this.#descriptors.remember(`manifests:${repository}`, digest, async () => {
      const target = await readLink(this.#storage, revisionLinkKey(repository, digest));
      const stored = target && (await this.#load(target));
      return stored && describe(stored);
    });
  }

  async #load(digest: Digest): Promise<StoredManifest | undefined> {
    const kept = this.#kept.get(digest);
    if (kept !== undefined) return kept;
    const bytes = await orAbsent(this.#storage.get(blobKey(digest)));
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

  /** Enters a manifest, whose content stands in the store, into the repository, and keeps it. */
  async link(repository: RepositoryName, stored: StoredManifest): Promise<void> {
    const { digest } = this.#keep(stored);
    await this.#descriptors.remember(`manifests:${repository}`, digest, async () => {
      await writeLink(this.#storage, revisionLinkKey(repository, digest), digest);
      return describe(stored);
    });
  }

  /** Whether the store, not only the memory, has the manifest in the repository. */
  async confirm(repository: RepositoryName, digest: Digest): Promise<boolean> {
    const target = await readLink(this.#storage, revisionLinkKey(repository, digest));
    return target !== undefined && (await orAbsent(this.#storage.stat(blobKey(target)))) !== undefined;
  }
}

function describe({ digest, bytes, manifest }: StoredManifest): Descriptor {
  return { mediaType: manifest.mediaType, digest, size: bytes.length };
}
