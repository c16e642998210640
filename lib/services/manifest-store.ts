// Manifests: what a push has to prove before it is believed, and in which order it becomes visible.
import { type ErrorEntry, errorEntry, RegistryError } from '../errors.js';
import { type Digest, digestAlgorithm, digestOf } from '../model/digest.js';
import type { Manifest } from '../model/manifest.js';
import { isDigestReference, type Reference, type Tag } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { BlobStore } from './blob-store.js';
import { mapBounded } from './bounded.js';
import type { ForeignLayers } from './foreign-layers.js';
import type { Formats } from './formats.js';
import type { ManifestReader, StoredManifest } from './manifest-reader.js';
import type { Referrers } from './referrers.js';
import type { TagStore } from './tag-store.js';

/** How many of a manifest's references are looked up at once. */
const AT_ONCE = 16;

/** How many missing references are named in one answer, about; the rest is not looked for. */
const MOST_MISSING = 100;

export interface ManifestStoreParts {
  readonly formats: Formats;
  readonly reader: ManifestReader;
  readonly blobs: BlobStore;
  readonly tags: TagStore;
  readonly referrers: Referrers;
  readonly foreign: ForeignLayers;
  /** Whether what a manifest refers to must be in the repository. */
  readonly requireReferences: boolean;
}

/** A manifest as a client pushes it. */
export interface ManifestPush {
  readonly repository: RepositoryName;
  readonly reference: Reference;
  readonly bytes: Buffer;
  /** The `Content-Type`, without parameters. */
  readonly mediaType?: string | undefined;
  /** Further tags to set. */
  readonly tags: readonly Tag[];
}

export class ManifestStore {
  readonly #parts: ManifestStoreParts;

  constructor(parts: ManifestStoreParts) {
    this.#parts = parts;
  }

  /** @throws RegistryError `MANIFEST_UNKNOWN`. */
  async get(repository: RepositoryName, reference: Reference): Promise<StoredManifest> {
    const { reader, tags } = this.#parts;
    const digest = isDigestReference(reference) ? reference : await tags.resolve(repository, reference);
    const stored = digest && (await reader.read(repository, digest));
    if (stored === undefined) throw new RegistryError('MANIFEST_UNKNOWN', { name: repository, reference });
    return stored;
  }

  /**
   * Stores a manifest: content, link, referrers, layers that are elsewhere, tags, in this order, so that nothing visible is ever
   * incomplete.
   *
   * @throws RegistryError `MANIFEST_INVALID`, also for URLs that are not allowed; `DIGEST_INVALID` when the bytes are not those that a
   *   digest reference names; `MANIFEST_BLOB_UNKNOWN`, one for each missing blob or manifest.
   */
  async put({ repository, reference, bytes, mediaType, tags }: ManifestPush): Promise<StoredManifest> {
    const { formats, reader, referrers, foreign } = this.#parts;
    const named = isDigestReference(reference) ? reference : undefined;
    const digest = digestOf(bytes, named && digestAlgorithm(named));
    if (named !== undefined && named !== digest)
      throw new RegistryError('DIGEST_INVALID', { digest: named, actual: digest });
    const manifest = formats.parse(bytes, mediaType);
    foreign.assertAllowed(manifest);
    if (this.#parts.requireReferences) await this.#verifyReferences(repository, manifest);

    const stored = { digest, bytes, manifest };
    await reader.write(repository, stored);
    await referrers.add(repository, stored);
    await foreign.add(repository, stored);
    for (const tag of isDigestReference(reference) ? tags : [reference, ...tags]) {
      await this.#parts.tags.set(repository, tag, digest);
    }
    return stored;
  }

  async #verifyReferences(repository: RepositoryName, manifest: Manifest): Promise<void> {
    const { blobs, reader, foreign } = this.#parts;
    const demanded = manifest.blobs.filter((blob) => !foreign.mayBeAbsent(repository, blob, manifest));
    const needed = demanded.map(({ digest }) => digest);
    const children = manifest.manifests.map(({ digest }) => digest);
    const isBlob = async (digest: Digest) => (await blobs.confirm(repository, digest)) !== undefined;
    // A build cache is an index whose children are layers.
    const missing = [
      ...(await absent(needed, isBlob)),
      ...(await absent(children, async (digest) => (await reader.confirm(repository, digest)) || isBlob(digest))),
    ];
    const [first, ...also] = missing;
    if (first !== undefined) throw new RegistryError('MANIFEST_BLOB_UNKNOWN', first.detail, { also });
  }

  /**
   * Deletes a manifest, with its tags and its place among the referrers of its subject; or only a tag.
   *
   * @returns the tags that went.
   * @throws RegistryError `MANIFEST_UNKNOWN`.
   */
  async delete(repository: RepositoryName, reference: Reference): Promise<readonly Tag[]> {
    const tags = isDigestReference(reference)
      ? await this.#deleteRevision(repository, reference)
      : (await this.#parts.tags.delete(repository, reference)) && [reference];
    if (!tags) throw new RegistryError('MANIFEST_UNKNOWN', { name: repository, reference });
    return tags;
  }

  /** The tags that went with it, or `false` when it was not there. */
  async #deleteRevision(repository: RepositoryName, digest: Digest): Promise<readonly Tag[] | false> {
    const { reader, tags, referrers, foreign } = this.#parts;
    if (!(await reader.isLinked(repository, digest))) return false;
    const stored = await reader.read(repository, digest);
    const removedTags = await tags.deleteAllOf(repository, digest);
    if (stored !== undefined) await referrers.remove(repository, stored);
    const removed = await reader.remove(repository, digest);
    // Last, as an entry of a manifest that is gone says nothing, and one that is missing says something wrong.
    if (stored !== undefined) await foreign.remove(repository, stored);
    return removed && removedTags;
  }
}

/** One error for each digest that is not there, as many as a client can make use of. */
async function absent(
  digests: readonly Digest[],
  isThere: (digest: Digest) => Promise<boolean>,
): Promise<ErrorEntry[]> {
  let missing = 0;
  const answers = await mapBounded([...new Set(digests)], AT_ONCE, async (digest) => {
    if (missing >= MOST_MISSING || (await isThere(digest))) return undefined;
    missing += 1;
    return errorEntry('MANIFEST_BLOB_UNKNOWN', { digest });
  });
  return answers.filter((entry) => entry !== undefined);
}
