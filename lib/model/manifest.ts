// What the registry needs to know of a manifest, whatever its format.
import { RegistryError } from '../errors.js';
import { type Descriptor, isObject, parseAnnotations, parseDescriptor } from './descriptor.js';
import { isMediaType } from './media-types.js';

/** The parsed view of a manifest. The bytes themselves are stored and served untouched. */
export interface Manifest {
  readonly mediaType: string;
  /** Blobs that must be in the repository: the config first, then the layers. */
  readonly blobs: readonly Descriptor[];
  /** That one of {@link blobs} which says what the others are; it is always here. */
  readonly config?: Descriptor;
  /** Manifests that must be in the repository: the children of an index. */
  readonly manifests: readonly Descriptor[];
  /** The manifest that this one refers to; it need not exist. */
  readonly subject?: Descriptor;
  /** What a referrers list says of this manifest: its own type or, for an image, its config's. */
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function invalid(problem: string): RegistryError {
  return new RegistryError('MANIFEST_INVALID', problem);
}

function parseDescriptors(value: unknown, at: string): Descriptor[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${at}: must be an array`);
  return value.map((item, index) => parseDescriptor(item, `${at}[${index}]`));
}

function parseArtifactType(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string' || !isMediaType(value)) throw invalid('artifactType: must be a media type');
  return value;
}

/** The fields that images and indexes share. */
function parseCommon(document: Readonly<Record<string, unknown>>) {
  if (document.schemaVersion !== 2) throw invalid('schemaVersion: must be 2');
  const subject = document.subject ? parseDescriptor(document.subject, 'subject') : undefined;
  const annotations = parseAnnotations(document.annotations, 'annotations');
  return { ...(subject && { subject }), ...(annotations && { annotations }) };
}

/**
 * Parses the JSON of a manifest: one object.
 *
 * @throws RegistryError `MANIFEST_INVALID`.
 */
export function parseManifestDocument(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (cause) {
    throw new RegistryError('MANIFEST_INVALID', 'must be JSON', { cause });
  }
  if (!isObject(document)) throw invalid('must be a JSON object');
  return document;
}

/**
 * An image manifest: a config and layers (OCI image-spec, "Image Manifest"; Docker "Image Manifest V
 * 2, Schema 2").
 */
export function parseImageManifest(mediaType: string, document: Readonly<Record<string, unknown>>): Manifest {
  const common = parseCommon(document);
  if ('manifests' in document) throw invalid('manifests: does not belong into an image manifest');
  const config = parseDescriptor(document.config, 'config');
  const artifactType = parseArtifactType(document.artifactType) ?? config.mediaType;
  const layers = parseDescriptors(document.layers, 'layers');
  return { mediaType, blobs: [config, ...layers], config, manifests: [], artifactType, ...common };
}

/** An index of manifests (OCI image-spec, "Image Index"; Docker "Manifest List"). */
export function parseIndexManifest(mediaType: string, document: Readonly<Record<string, unknown>>): Manifest {
  const common = parseCommon(document);
  if ('config' in document || 'layers' in document) throw invalid('config, layers: do not belong into an index');
  const artifactType = parseArtifactType(document.artifactType);
  const manifests = parseDescriptors(document.manifests, 'manifests');
  return { mediaType, blobs: [], manifests, ...(artifactType && { artifactType }), ...common };
}
