// The manifest formats that a registry understands: four of its own, and those of plugins.
import type { ManifestFormat } from '../contracts/format.js';
import { RegistryError } from '../errors.js';
import { type Manifest, parseImageManifest, parseIndexManifest, parseManifestDocument } from '../model/manifest.js';
import { DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX } from '../model/media-types.js';

const images: ManifestFormat = {
  mediaTypes: [OCI_IMAGE, DOCKER_IMAGE],
  recognize: (document) => (document.schemaVersion === 2 && 'config' in document ? OCI_IMAGE : undefined),
  parse: parseImageManifest,
};

const indexes: ManifestFormat = {
  mediaTypes: [OCI_INDEX, DOCKER_LIST],
  recognize: (document) => (document.schemaVersion === 2 && 'manifests' in document ? OCI_INDEX : undefined),
  parse: parseIndexManifest,
};

export class Formats {
  readonly #formats: readonly ManifestFormat[];
  readonly #byMediaType = new Map<string, ManifestFormat>();

  constructor(more: readonly ManifestFormat[] = []) {
    this.#formats = [indexes, images, ...more];
    for (const format of this.#formats) {
      for (const mediaType of format.mediaTypes) this.#byMediaType.set(mediaType, format);
    }
  }

  /**
   * Reads a manifest. Its media type is what it says itself; one that says nothing is taken for what
   * it looks like, and must be announced as that.
   *
   * @param announced the `Content-Type` of a push, without parameters.
   * @throws RegistryError `MANIFEST_INVALID`, also when the two differ or no format knows the type.
   */
  parse(bytes: Uint8Array, announced?: string): Manifest {
    const document = parseManifestDocument(bytes);
    const stated = document.mediaType;
    if (stated !== undefined && typeof stated !== 'string') {
      throw new RegistryError('MANIFEST_INVALID', 'mediaType: must be a string');
    }
    if (announced !== undefined && stated !== undefined && stated !== '' && announced !== stated.toLowerCase()) {
      throw new RegistryError(
        'MANIFEST_INVALID',
        `Content-Type is ${announced.slice(0, 200)}, but mediaType is ${stated.slice(0, 200)}`,
      );
    }
    const recognized = stated ? undefined : this.#recognize(document);
    // Only the bytes are kept: a type that is nowhere in them would be another one when they are read again.
    if (!stated && announced !== undefined && announced !== recognized) {
      throw new RegistryError('MANIFEST_INVALID', 'mediaType: must be stated');
    }
    const mediaType = stated || recognized;
    const format = mediaType === undefined ? undefined : this.#byMediaType.get(mediaType);
    if (mediaType === undefined || format === undefined) {
      throw new RegistryError('MANIFEST_INVALID', `unsupported media type: ${mediaType?.slice(0, 200) ?? 'none'}`);
    }
    return format.parse(mediaType, document, bytes);
  }

  #recognize(document: Readonly<Record<string, unknown>>): string | undefined {
    for (const format of this.#formats) {
      const mediaType = format.recognize?.(document);
      if (mediaType !== undefined) return mediaType;
    }
    return undefined;
  }
}
