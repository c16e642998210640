// Layers that may be had elsewhere: at URLs that their manifest names, or at the site that the registry's own options
// name. A push of such a manifest stores which blobs those are; whoever asks for one that is not here is sent there.
import type { StorageDriver } from '../contracts/storage.js';
import { type ErrorEntry, errorEntry, RegistryError } from '../errors.js';
import type { Descriptor } from '../model/descriptor.js';
import { DIGEST_ALGORITHMS, type Digest, isDigest } from '../model/digest.js';
import type { Manifest } from '../model/manifest.js';
import { isNonDistributable } from '../model/media-types.js';
import type { RepositoryName } from '../model/repository-name.js';
import { mapBounded } from './bounded.js';
import { type ForeignUrlRules, ForeignUrls } from './foreign-urls.js';
import { allForeignKey, blobKey, foreignKey, foreignLinkKey } from './keys.js';
import { removeIfPresent, writeLink } from './links.js';
import { childrenOf } from './listing.js';
import type { ManifestReader, StoredManifest } from './manifest-reader.js';
import type { Visibility } from './visibility.js';

/** How many entries are written or removed at once. */
const AT_ONCE = 16;

/** How many manifests that name a blob are looked at for one request. */
const MOST_LOOKED_AT = 32;

/** The most URLs of one blob: a push of more is refused. */
const MOST_URLS = 16;

/** How many refused URLs are named in one answer. */
const MOST_NAMED = 100;

/** A site that has layers of some repositories, or of some media types. */
export interface FederatedSite {
  serves(repository: RepositoryName, mediaType: string): boolean;
  /** Where the blob is there; `key` is its key in distribution's layout. */
  urlOf(repository: RepositoryName, digest: Digest, key: string): string;
}

export interface ForeignLayersParts {
  readonly storage: StorageDriver;
  readonly reader: ManifestReader;
  readonly visibility: Visibility;
  readonly urls: ForeignUrlRules;
  readonly sites: readonly FederatedSite[];
}

export class ForeignLayers {
  readonly #parts: ForeignLayersParts;
  readonly #urls: ForeignUrls;

  constructor(parts: ForeignLayersParts) {
    this.#parts = parts;
    this.#urls = new ForeignUrls(parts.urls);
  }

  /** @throws RegistryError `MANIFEST_INVALID`, one for each URL that a client must not be sent to. */
  assertAllowed({ blobs, manifests, subject }: Manifest): void {
    const problems: ErrorEntry[] = [];
    for (const { digest, urls = [] } of [...blobs, ...manifests, ...(subject ? [subject] : [])]) {
      for (const problem of this.#problemsOf(urls)) problems.push(errorEntry('MANIFEST_INVALID', { digest, problem }));
      if (problems.length >= MOST_NAMED) break;
    }
    const [first, ...also] = problems;
    if (first !== undefined) throw new RegistryError('MANIFEST_INVALID', first.detail, { also });
  }

  #problemsOf(urls: readonly string[]): string[] {
    if (urls.length > MOST_URLS) return [`urls: must not be more than ${MOST_URLS}`];
    return urls.flatMap((url, index) => {
      const problem = this.#urls.problemOf(url);
      return problem === undefined ? [] : [`urls[${index}] ${problem}`];
    });
  }

  /** Whether a manifest may name this blob though it is not here: a layer, never the config. */
  mayBeAbsent(repository: RepositoryName, blob: Descriptor, { config }: Manifest): boolean {
    return blob !== config && (isNonDistributable(blob.mediaType) || this.#isElsewhere(repository, blob));
  }

  #isElsewhere(repository: RepositoryName, { mediaType, urls = [] }: Descriptor): boolean {
    return urls.length > 0 || this.#parts.sites.some((site) => site.serves(repository, mediaType));
  }

  #entriesOf(repository: RepositoryName, { manifest }: StoredManifest): readonly Digest[] {
    const { blobs, config } = manifest;
    const elsewhere = blobs.filter((blob) => blob !== config && this.#isElsewhere(repository, blob));
    return [...new Set(elsewhere.map(({ digest }) => digest))];
  }

  /** Enters those of a manifest's blobs that may be had elsewhere, whether or not they are here. */
  async add(repository: RepositoryName, stored: StoredManifest): Promise<void> {
    const { storage, visibility } = this.#parts;
    await mapBounded(this.#entriesOf(repository, stored), AT_ONCE, (blob) =>
      visibility.writing(foreignKey(repository, blob), () =>
        writeLink(storage, foreignLinkKey(repository, blob, stored.digest), stored.digest),
      ),
    );
  }

  /** Another push may have made the manifest one of the repository again. */
  async remove(repository: RepositoryName, stored: StoredManifest): Promise<void> {
    const { storage, reader, visibility } = this.#parts;
    const entries = this.#entriesOf(repository, stored);
    if (entries.length === 0 || (await reader.isLinked(repository, stored.digest))) return;
    await mapBounded(entries, AT_ONCE, async (blob) => {
      await visibility.removed(foreignKey(repository, blob));
      await removeIfPresent(storage, foreignLinkKey(repository, blob, stored.digest));
    });
  }

  /**
   * Where a blob may be had that is not here: at the site of the options, else at the first URL of a manifest that
   * is still allowed. `undefined` where no manifest of the repository says.
   */
  urlOf(repository: RepositoryName, digest: Digest): Promise<string | undefined> {
    const look = () => this.#look(repository, digest);
    return this.#parts.visibility.find(foreignKey(repository, digest), look);
  }

  async #look(repository: RepositoryName, digest: Digest): Promise<string | undefined> {
    let looked = 0;
    for await (const manifest of this.#manifestsOf(repository, digest)) {
      const stored = await this.#parts.reader.read(repository, manifest);
      if (stored === undefined) continue;
      const blobs = stored.manifest.blobs.filter((blob) => blob.digest === digest).slice(0, MOST_URLS);
      const url = this.#firstOf(repository, blobs);
      if (url !== undefined) return url;
      looked += 1;
      if (looked === MOST_LOOKED_AT) return undefined;
    }
    return undefined;
  }

  #firstOf(repository: RepositoryName, blobs: readonly Descriptor[]): string | undefined {
    for (const { mediaType, digest } of blobs) {
      const site = this.#parts.sites.find((one) => one.serves(repository, mediaType));
      if (site !== undefined) return site.urlOf(repository, digest, blobKey(digest));
    }
    return blobs.flatMap(({ urls = [] }) => urls).find((url) => this.#urls.allows(url));
  }

  /** The names are the digests: an entry need not be read. */
  async *#manifestsOf(repository: RepositoryName, blob: Digest): AsyncGenerator<Digest, void, void> {
    for await (const { name } of childrenOf(this.#parts.storage, foreignKey(repository, blob))) {
      const digest = name.replace('-', ':');
      if (isDigest(digest)) yield digest;
    }
  }

  /**
   * Makes the entries of a repository again from the manifests themselves: for data that another registry wrote, and
   * after the options have changed.
   *
   * @returns how many manifests name a blob that may be had elsewhere.
   */
  async rebuild(repository: RepositoryName): Promise<number> {
    let entered = 0;
    for await (const stored of this.#parts.reader.all(repository)) {
      if (this.#entriesOf(repository, stored).length === 0) continue;
      await this.add(repository, stored);
      entered += 1;
    }
    await this.#removeStale(repository);
    return entered;
  }

  /** Removes the entries of manifests that are gone, or whose blob can no longer be had elsewhere. */
  async #removeStale(repository: RepositoryName): Promise<void> {
    const { storage, reader } = this.#parts;
    for (const algorithm of Object.keys(DIGEST_ALGORITHMS)) {
      for await (const { name } of childrenOf(storage, `${allForeignKey(repository)}/${algorithm}`)) {
        const blob = `${algorithm}:${name}`;
        if (!isDigest(blob)) continue;
        for await (const manifest of this.#manifestsOf(repository, blob)) {
          const stored = (await reader.confirm(repository, manifest)) && (await reader.read(repository, manifest));
          if (stored && this.#entriesOf(repository, stored).includes(blob)) continue;
          await removeIfPresent(storage, foreignLinkKey(repository, blob, manifest));
        }
      }
    }
  }
}
