// The contract of a manifest format: how the registry understands one kind of manifest.
import type { Manifest } from '../model/manifest.js';

/** One or more manifest media types and how to read them. */
export interface ManifestFormat {
  readonly mediaTypes: readonly string[];

  /**
   * Whether a document without a `mediaType` of its own, such as one that another registry stored,
   * is of this format; answers the media type. Asked of each format in order.
   */
  recognize?(document: Readonly<Record<string, unknown>>): string | undefined;

  /**
   * Reads a manifest.
   *
   * @param document the JSON object that the bytes hold.
   * @throws RegistryError `MANIFEST_INVALID` with what is wrong as its detail.
   */
  parse(mediaType: string, document: Readonly<Record<string, unknown>>, bytes: Uint8Array): Manifest;
}
