// Blobs as a repository sees them: content that stands once in the store, and links that say which
// repositories have it.
import type { Readable } from 'node:stream';
import { LRUCache } from 'lru-cache';
import type { StorageDriver } from '../contracts/storage.js';
import { isDriverError, RegistryError } from '../errors.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';
import { OCTET_STREAM } from '../model/media-types.js';
import type { ByteRange } from '../model/range.js';
import type { RepositoryName } from '../model/repository-name.js';
import { Contents } from './contents.js';
import type { Descriptors } from './descriptors.js';
import { blobKey, blobLinkKey, blobMembershipKey } from './keys.js';
import { orAbsent, readLink, removeIfPresent, writeLink } from './links.js';
import type { Visibility } from './visibility.js';

/** How many digests, and repositories of each, are remembered for a mount that names no source. */
const HINTS = 10_000;
const HINTS_PER_DIGEST = 4;

export interface BlobStoreParts {
  readonly storage: StorageDriver;
  readonly descriptors: Descriptors;
  readonly contents: Contents;
  readonly visibility: Visibility;
}

/** What part of a blob is wanted, and until when. */
export interface OpenOptions {
  /** As {@link BlobStore.stat} answered it. */
  readonly descriptor: Descriptor;
  readonly range?: ByteRange | undefined;
  /** Whoever wants it; its signal is asked for only where there is something to wait for. */
  readonly call: { readonly signal: AbortSignal };
}

export class BlobStore {
  readonly #storage: StorageDriver;
  readonly #descriptors: Descriptors;
  readonly #contents: Contents;
  readonly #visibility: Visibility;
  readonly #hints = new LRUCache<Digest, readonly RepositoryName[]>({ max: HINTS });

  constructor({ storage, descriptors, contents, visibility }: BlobStoreParts) {
    this.#storage = storage;
    this.#descriptors = descriptors;
    this.#contents = contents;
    this.#visibility = visibility;
  }

  /**
   * The descriptor of a blob of the repository. Its digest is where the content stands: distribution
   * links a sha512 name to content that it keeps under sha256.
   *
   * @throws RegistryError `BLOB_UNKNOWN`.
   */
  async stat(repository: RepositoryName, digest: Digest): Promise<Descriptor> {
    const known = this.#descriptors.get(`blobs:${repository}`, digest);
    return (known instanceof Promise ? await known : known) ?? (await this.#look(repository, digest));
  }

  /** As {@link stat}, but asks the store: a push must not believe what is only remembered. */
  async confirm(repository: RepositoryName, digest: Digest): Promise<Descriptor | undefined> {
    const target = await this.#readLink(repository, digest);
    return target && (await this.#measure(target));
  }

  #readLink(repository: RepositoryName, digest: Digest): Promise<Digest | undefined> {
    const key = blobLinkKey(repository, digest);
    return this.#visibility.find(key, () => readLink(this.#storage, key));
  }

  #look(repository: RepositoryName, digest: Digest): Promise<Descriptor> {
    return this.#descriptors.remember(`blobs:${repository}`, digest, async () => {
      const target = await this.#readLink(repository, digest);
      const descriptor = target && ((await this.#descriptors.get('blobs', target)) ?? (await this.#measure(target)));
      if (descriptor === undefined) throw new RegistryError('BLOB_UNKNOWN', { digest });
      this.#hint(repository, digest);
      return descriptor;
    });
  }

  #measure(digest: Digest): Promise<Descriptor | undefined> {
    return this.#descriptors.remember('blobs', digest, async () => {
      const key = blobKey(digest);
      const stat = await this.#visibility.find(key, () => orAbsent(this.#storage.stat(key)));
      return stat?.kind === 'object' ? { mediaType: OCTET_STREAM, digest, size: stat.size } : undefined;
    });
  }

  /**
   * The content of the blob `named`, which {@link stat} described: bytes where it is small, else a stream of
   * `range` or of the whole.
   *
   * @throws RegistryError `BLOB_UNKNOWN` when the content is gone from under its link.
   */
  async open(repository: RepositoryName, named: Digest, options: OpenOptions): Promise<Buffer | Readable> {
    const { digest } = options.descriptor;
    try {
      return await this.#read(options);
    } catch (error) {
      if (!isDriverError(error, 'not-found')) throw error;
      const late = await this.#visibility.find(blobKey(digest), () => orAbsent(this.#read(options)));
      if (late !== undefined) return late;
      await this.#descriptors.revoke(`blobs:${repository}`, named, async () => undefined);
      await this.#descriptors.revoke('blobs', digest, async () => undefined);
      throw new RegistryError('BLOB_UNKNOWN', { digest: named }, { cause: error });
    }
  }

  async #read({ descriptor: { digest, size }, range, call }: OpenOptions): Promise<Buffer | Readable> {
    if (!Contents.fits(size)) return this.#storage.open(blobKey(digest), { ...range, signal: call.signal });
    let bytes = this.#contents.get(digest);
    if (bytes === undefined) {
      bytes = await this.#storage.get(blobKey(digest), { signal: call.signal });
      this.#contents.keep(digest, bytes);
    }
    return range === undefined ? bytes : bytes.subarray(range.start, range.end + 1);
  }

  /** Makes content that stands in the store, where `descriptor` says, a blob of the repository under `digest`. */
  async link(repository: RepositoryName, digest: Digest, descriptor: Descriptor): Promise<void> {
    await this.#descriptors.remember(`blobs:${repository}`, digest, async () => {
      const key = blobLinkKey(repository, digest);
      await this.#visibility.writing(key, () => writeLink(this.#storage, key, descriptor.digest));
      return descriptor;
    });
    this.#hint(repository, digest);
  }

  /** Makes a blob of `from` a blob of `repository` too; `undefined` when `from` does not have it. */
  async mount(repository: RepositoryName, digest: Digest, from: RepositoryName): Promise<Descriptor | undefined> {
    const descriptor = await this.confirm(from, digest);
    if (descriptor !== undefined) await this.link(repository, digest, descriptor);
    return descriptor;
  }

  /** Repositories that were lately seen to have the blob, for a mount that names no source. */
  sources(digest: Digest): readonly RepositoryName[] {
    return this.#hints.get(digest) ?? [];
  }

  /**
   * Takes the blob from the repository. The content stays for others, until a collection.
   *
   * @throws RegistryError `BLOB_UNKNOWN`.
   */
  async delete(repository: RepositoryName, digest: Digest): Promise<void> {
    const removed = await this.#descriptors.revoke(`blobs:${repository}`, digest, () =>
      this.#visibility.removing(blobLinkKey(repository, digest), () =>
        removeIfPresent(this.#storage, blobMembershipKey(repository, digest)),
      ),
    );
    if (!removed) throw new RegistryError('BLOB_UNKNOWN', { digest });
  }

  #hint(repository: RepositoryName, digest: Digest): void {
    const known = this.#hints.get(digest) ?? [];
    if (known.includes(repository)) return;
    this.#hints.set(digest, [repository, ...known].slice(0, HINTS_PER_DIGEST));
  }
}
