// Images to push: OCI image layouts made by umoci, and an index over several of them made by hand.
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from './process.js';
import { findProgram } from './requires.js';
import { tempFolder } from './temp-folder.js';

export interface ImageOptions {
  /** How many layers. Default: 3. */
  readonly layers?: number;
  /** Of random content, which compression does not shrink. Default: 64 KiB. */
  readonly bytesPerLayer?: number;
  /** `amd64`, `arm64` … Default: `amd64`. */
  readonly arch?: string;
  /** The image's name within the layout. Default: `latest`. */
  readonly tag?: string;
}

/** A descriptor in `index.json` or in an index. */
export interface LayoutDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
const REF_NAME = 'org.opencontainers.image.ref.name';
const RANDOM_STEP = 1 << 20;

/**
 * Adds an image to the OCI layout in `folder`, which is made where there is none. Needs umoci. skopeo
 * reads it as `oci:<folder>:<tag>`.
 */
export async function makeImage(folder: string, options: ImageOptions = {}): Promise<LayoutDescriptor> {
  const { layers = 3, bytesPerLayer = 64 << 10, arch = 'amd64', tag = 'latest' } = options;
  const image = `${folder}:${tag}`;
  await openLayout(folder);
  await umoci('new', '--image', image);
  await umoci('config', '--image', image, '--architecture', arch, '--os', 'linux');
  for (let layer = 1; layer <= layers; layer++) await addLayer(image, `layer-${layer}`, bytesPerLayer);
  // Each step has left its manifest and config behind.
  await umoci('gc', '--layout', folder);
  const made = (await readIndex(folder)).find(({ annotations }) => annotations?.[REF_NAME] === tag);
  if (made === undefined) throw new Error(`umoci left no ${tag} in ${folder}`);
  return made;
}

/** Adds a multi-arch image, amd64 and arm64, to the OCI layout in `folder`. Needs umoci. */
export async function makeIndex(folder: string, options: Omit<ImageOptions, 'arch'> = {}): Promise<LayoutDescriptor> {
  const { tag = 'latest' } = options;
  const manifests: LayoutDescriptor[] = [];
  for (const arch of ['amd64', 'arm64']) {
    const { mediaType, digest, size } = await makeImage(folder, { ...options, arch, tag: `${tag}-${arch}` });
    manifests.push({ mediaType, digest, size, platform: { architecture: arch, os: 'linux' } });
  }
  const stored = await putBlob(folder, JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
  const index = { mediaType: INDEX, ...stored, annotations: { [REF_NAME]: tag } };
  const others = await readIndex(folder);
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [...others, index] }));
  return index;
}

/** umoci as it is for everybody: raw layers need no root, and no unpacked file system. */
function umoci(...args: readonly string[]): Promise<string> {
  return runProcess(findProgram('umoci') ?? 'umoci', args);
}

async function addLayer(image: string, name: string, bytes: number): Promise<void> {
  const folder = tempFolder();
  const content = join(folder, name);
  const archive = join(folder, 'layer.tar');
  await writeFile(content, randomContent(bytes));
  await runProcess('tar', ['--create', '--file', archive, '--directory', folder, name]);
  await umoci('raw', 'add-layer', '--image', image, archive);
  await rm(folder, { recursive: true });
}

function* randomContent(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= RANDOM_STEP) yield randomBytes(Math.min(left, RANDOM_STEP));
}

/** As `umoci init`, which however refuses a folder that exists. */
async function openLayout(folder: string): Promise<void> {
  if (existsSync(join(folder, 'oci-layout'))) return;
  await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true });
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [] }));
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}

async function readIndex(folder: string): Promise<readonly LayoutDescriptor[]> {
  const text = await readFile(join(folder, 'index.json'), 'utf8');
  return (JSON.parse(text) as { manifests: LayoutDescriptor[] }).manifests ?? [];
}

async function putBlob(folder: string, content: string): Promise<{ digest: string; size: number }> {
  const hex = createHash('sha256').update(content).digest('hex');
  await writeFile(join(folder, 'blobs', 'sha256', hex), content);
  return { digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
}
