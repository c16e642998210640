// Content descriptors (OCI image-spec, "OCI Content Descriptors").
import { RegistryError } from '../errors.js';
import { type Digest, isDigest } from './digest.js';
import { isMediaType } from './media-types.js';

/** What a descriptor says of the platform of an image; Docker manifest lists have the same fields. */
export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
}

/** A reference to content by media type, digest and size. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** Where else the content may be had. */
  readonly urls?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
  readonly platform?: Platform;
}

function invalid(at: string, problem: string): RegistryError {
  return new RegistryError('MANIFEST_INVALID', `${at}: ${problem}`);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads annotations: a map of strings.
 *
 * @throws RegistryError `MANIFEST_INVALID`.
 */
export function parseAnnotations(value: unknown, at: string): Readonly<Record<string, string>> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw invalid(at, 'must be an object');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw invalid(`${at}[${JSON.stringify(key.slice(0, 200))}]`, 'must be a string');
  }
  return value as Readonly<Record<string, string>>;
}

function parseUrls(value: unknown, at: string): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every((url) => typeof url === 'string')) {
    throw invalid(at, 'must be an array of strings');
  }
  return value;
}

function parsePlatform(value: unknown): Platform | undefined {
  if (!isObject(value) || typeof value.architecture !== 'string' || typeof value.os !== 'string') return undefined;
  const { architecture, os, variant } = value;
  return typeof variant === 'string' ? { architecture, os, variant } : { architecture, os };
}

/**
 * Reads a descriptor out of a manifest. Fields it does not know are left alone: the manifest's bytes
 * travel as they came.
 *
 * @param at where it stands, for the error: `layers[2]`.
 * @throws RegistryError `MANIFEST_INVALID`.
 */
export function parseDescriptor(value: unknown, at: string): Descriptor {
  if (!isObject(value)) throw invalid(at, 'must be a descriptor');
  const { mediaType, digest, size, artifactType } = value;
  if (typeof mediaType !== 'string' || !isMediaType(mediaType))
    throw invalid(`${at}.mediaType`, 'must be a media type');
  if (typeof digest !== 'string' || !isDigest(digest))
    throw invalid(`${at}.digest`, 'must be a sha256 or sha512 digest');
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw invalid(`${at}.size`, 'must be a number of bytes');
  const urls = parseUrls(value.urls, `${at}.urls`);
  const annotations = parseAnnotations(value.annotations, `${at}.annotations`);
  const platform = parsePlatform(value.platform);
  return {
    mediaType,
    digest,
    size: size as number,
    ...(urls && { urls }),
    ...(annotations && { annotations }),
    ...(typeof artifactType === 'string' && artifactType !== '' && { artifactType }),
    ...(platform && { platform }),
  };
}
