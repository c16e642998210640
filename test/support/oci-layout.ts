// OCI image layouts as they stand in a folder (OCI image-spec, "Image Layout"), read without trusting
// whoever wrote them.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LayoutDescriptor } from './images.js';

/** Content by digest. */
export type Contents = ReadonlyMap<string, Buffer>;

/** The digest of `bytes` by the algorithm that `like`, another digest, has. */
export function digestLike(bytes: Uint8Array, like = 'sha256:'): string {
  const algorithm = like.slice(0, like.indexOf(':'));
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/**
 * Every blob of a layout.
 *
 * @throws Error for one that is not what its name says.
 */
export async function readLayout(folder: string): Promise<Contents> {
  const contents = new Map<string, Buffer>();
  for (const algorithm of await readdir(join(folder, 'blobs'))) {
    for (const hex of await readdir(join(folder, 'blobs', algorithm))) {
      const digest = `${algorithm}:${hex}`;
      const bytes = await readFile(join(folder, 'blobs', algorithm, hex));
      if (digestLike(bytes, digest) !== digest) throw new Error(`${folder}: ${digest} has other content`);
      contents.set(digest, bytes);
    }
  }
  return contents;
}

/** What `index.json` says of a name; of the only entry, where none is given. */
export async function layoutEntry(folder: string, tag?: string): Promise<LayoutDescriptor> {
  const text = await readFile(join(folder, 'index.json'), 'utf8');
  const { manifests } = JSON.parse(text) as { manifests: readonly LayoutDescriptor[] };
  const wanted = manifests.filter(
    ({ annotations }) => tag === undefined || annotations?.['org.opencontainers.image.ref.name'] === tag,
  );
  const [entry] = wanted;
  if (entry === undefined || wanted.length > 1) throw new Error(`${folder}: ${wanted.length} entries for ${tag}`);
  return entry;
}
