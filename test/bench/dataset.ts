// What both registries serve: one image pushed through docker-registry's API, a copy of what it
// stored for the other server, and ten thousand tags written as link files of the shared key layout.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { Connection, request } from './connection.js';
import { expectAnswer } from './load.js';
import { type Blob, blobOf, pushBlob, RandomBlobs } from './push.js';
import { dockerRegistry, type Site, startServer } from './server.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** Of the large layer, and of whatever is pushed by itself. */
export const LARGE_BYTES = 256 * MIB;

export const REPOSITORY = 'bench/image';
const IMAGE_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const SMALL_LAYERS = 5;
const TAGS = 10_000;

/** The image, its manifest and three of its layers. */
export interface Image {
  readonly repository: string;
  readonly manifest: Blob;
  /** 1 KiB. */
  readonly small: Blob;
  /** 1 MiB. */
  readonly middle: Blob;
  /** 256 MiB. */
  readonly large: Blob;
}

/** The tags `v00000` to `v09999`, all of them of the one image. */
export function tagAt(index: number): string {
  return `v${String(index).padStart(5, '0')}`;
}

/** Fills the data folders of both sites with the same. `largeBlobs` makes the layer of 256 MiB. */
export async function prepareImage(site: Site, twin: Site, largeBlobs: RandomBlobs): Promise<Image> {
  const server = await startServer(dockerRegistry, site);
  try {
    const image = await pushImage(server.origin, largeBlobs, site.signal);
    const twinRoot = join(twin.folder, 'data');
    await cp(server.root, twinRoot, { recursive: true });
    for (const root of [server.root, twinRoot]) writeTags(root, image.manifest.digest);
    return image;
  } finally {
    await server.stop();
  }
}

async function pushImage(origin: URL, largeBlobs: RandomBlobs, signal: AbortSignal): Promise<Image> {
  const config = blobOf(
    Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers' } })),
  );
  const smallBlobs = new RandomBlobs(KIB);
  const small = smallBlobs.next();
  const middle = new RandomBlobs(MIB).next();
  const large = largeBlobs.next();
  const layers = [small, middle, large, ...Array.from({ length: SMALL_LAYERS - 1 }, () => smallBlobs.next())];
  const manifest = manifestOf(config, layers);
  const connection = await Connection.open(origin, signal);
  try {
    for (const blob of [config, ...layers]) await pushBlob(connection, REPOSITORY, blob);
    const headers = { 'Content-Type': IMAGE_TYPE, 'Content-Length': manifest.size };
    const target = `/v2/${REPOSITORY}/manifests/${tagAt(0)}`;
    expectAnswer(await connection.exchange(request('PUT', target, headers, manifest.parts)), 201);
  } finally {
    connection.close();
  }
  return { repository: REPOSITORY, manifest, small, middle, large };
}

function manifestOf(config: Blob, layers: readonly Blob[]): Blob {
  const descriptor = (mediaType: string) => (blob: Blob) => ({ mediaType, digest: blob.digest, size: blob.size });
  const document = {
    schemaVersion: 2,
    mediaType: IMAGE_TYPE,
    config: descriptor('application/vnd.oci.image.config.v1+json')(config),
    layers: layers.map(descriptor('application/vnd.oci.image.layer.v1.tar+gzip')),
  };
  return blobOf(Buffer.from(JSON.stringify(document, undefined, 2)));
}

/**
 * Through the API this would take longer than all the rest of the bench. A tag's `index`, the history
 * of what it pointed at, is left out: no row reads it.
 */
function writeTags(root: string, digest: string): void {
  const tags = join(root, 'docker/registry/v2/repositories', REPOSITORY, '_manifests/tags');
  for (let index = 0; index < TAGS; index++) {
    const folder = join(tags, tagAt(index), 'current');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'link'), digest);
  }
}
