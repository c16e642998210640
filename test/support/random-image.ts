// Images and indexes of random content, made in memory: for tests that push without a client's tools.
import { randomBytes } from 'node:crypto';
import { digestLike } from './oci-layout.js';
import type { PushableImage, PushableManifest } from './registry-client.js';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export interface RandomImageOptions {
  /** The size of each layer in bytes, or its content where another image shall have it too. */
  readonly layers: readonly (number | Buffer)[];
  /** What the image refers to. */
  readonly subject?: PushableImage;
  /** The algorithm of every digest. Default: `sha256`. */
  readonly algorithm?: 'sha256' | 'sha512';
}

/** An image of a random config and random layers: a registry cannot tell it from a real one. */
export function randomImage({ layers, subject, algorithm = 'sha256' }: RandomImageOptions): PushableImage {
  const blobs = new Map<string, Buffer>();
  const describe = (mediaType: string, content: Buffer) => {
    const digest = digestLike(content, `${algorithm}:`);
    blobs.set(digest, content);
    return { mediaType, digest, size: content.length };
  };
  const rootfs = { type: 'layers', diff_ids: [] };
  const config = { architecture: 'amd64', os: 'linux', rootfs, author: randomBytes(8).toString('hex') };
  const document = {
    schemaVersion: 2,
    mediaType: IMAGE,
    config: describe(CONFIG, Buffer.from(JSON.stringify(config))),
    layers: layers.map((layer) => describe(LAYER, typeof layer === 'number' ? randomBytes(layer) : layer)),
    ...(subject && { subject: descriptorOf(subject) }),
  };
  const bytes = Buffer.from(JSON.stringify(document));
  return { mediaType: IMAGE, bytes, digest: digestLike(bytes, `${algorithm}:`), blobs };
}

/** An index over images. */
export function indexOver(images: readonly PushableImage[]): PushableManifest & { readonly digest: string } {
  const manifests = images.map(descriptorOf);
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
  return { mediaType: INDEX, bytes, digest: digestLike(bytes) };
}

function descriptorOf({ mediaType, digest, bytes }: PushableImage) {
  return { mediaType, digest, size: bytes.length };
}
