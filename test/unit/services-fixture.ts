// The services of a registry on an observed memory storage, and short ways to fill it.
import { memory } from 'koa-registry/plugins/storage/memory';
import type { Coordinator, DescriptorCache, Logger } from '../../lib/contracts/index.js';
import {
  type Digest,
  digestOf,
  OCI_CONFIG,
  OCI_IMAGE,
  OCI_INDEX,
  parseRepositoryName,
  parseTag,
  type Reference,
  type RepositoryName,
} from '../../lib/model/index.js';
import { startPlugin } from '../../lib/plugin/index.js';
import {
  type Chunk,
  createServices,
  type Services,
  type SessionReference,
  type UploadState,
} from '../../lib/services/index.js';
import { blobKey, REPOSITORIES } from '../../lib/services/keys.js';
import { ObservedStorage } from '../faults/observed-storage.js';

export const REPOSITORY = parseRepositoryName('library/alpine');

/** Shorter to write in tables. */
export const name = parseRepositoryName;
export const tag = parseTag;

export interface Fixture {
  readonly storage: ObservedStorage;
  readonly services: Services;
  /** Warnings of the services, by message. */
  readonly warnings: string[];
  /** Lets a minute pass: what was written before is no longer expected to be shown late. */
  later(): void;
}

export interface FixtureOptions {
  readonly cache?: DescriptorCache;
  /** Another host on the same storage. */
  readonly storage?: ObservedStorage;
  readonly coordination?: Coordinator;
  readonly requireReferences?: boolean;
  /** Whether other hosts go on with uploads, and share a secret for it. */
  readonly portable?: boolean;
}

export async function fixture(options: FixtureOptions = {}): Promise<Fixture> {
  const { cache, storage, coordination, requireReferences = true, portable = false } = options;
  const observed = storage ?? new ObservedStorage((await startPlugin(memory())).instance);
  const warnings: string[] = [];
  const log: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: (_, message) => void warnings.push(message),
    error: (_, message) => void warnings.push(message),
    child: () => log,
  };
  let ahead = 0;
  const clock = () => Date.now() + ahead;
  const uploadState = portable ? { secret: 'of all hosts' } : undefined;
  const services = createServices({
    storage: observed,
    log,
    cache,
    coordination,
    uploadState,
    requireReferences,
    clock,
  });
  const later = () => {
    ahead += 60_000;
  };
  return { storage: observed, services, warnings, later };
}

/** Bytes as the body of a request. */
export function chunk(content: string | Uint8Array | AsyncIterable<Uint8Array>, start?: number): Chunk {
  const source = typeof content === 'string' || content instanceof Uint8Array ? once(Buffer.from(content)) : content;
  return { source, start, signal: new AbortController().signal };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** What a client brings along that follows `Location`. */
export function follow(state: UploadState): SessionReference {
  const { repository, uuid } = state;
  return { repository, uuid, state: JSON.parse(JSON.stringify(state)) as UploadState };
}

export async function pushBlob({ uploads }: Services, content: string, repository = REPOSITORY): Promise<Digest> {
  const digest = digestOf(Buffer.from(content));
  const state = await uploads.start(repository, 'sha256');
  await uploads.finish(follow(state), digest, chunk(content));
  return digest;
}

export interface Document {
  readonly [field: string]: unknown;
}

/** An image without layers and what is given; its config is pushed first. */
export async function imageDocument(
  services: Services,
  fields: Document = {},
  repository = REPOSITORY,
): Promise<Document> {
  const digest = await pushBlob(services, '{}', repository);
  const config = { mediaType: OCI_CONFIG, digest, size: 2 };
  return { schemaVersion: 2, mediaType: OCI_IMAGE, config, layers: [], ...fields };
}

export function indexDocument(manifests: readonly Document[], fields: Document = {}): Document {
  return { schemaVersion: 2, mediaType: OCI_INDEX, manifests, ...fields };
}

/** Pushes a document as it is; answers its digest. */
export async function putDocument(
  { manifests }: Services,
  document: Document,
  reference: Reference = tag('latest'),
  repository = REPOSITORY,
): Promise<Digest> {
  const bytes = Buffer.from(JSON.stringify(document));
  return (await manifests.put({ repository, reference, bytes, tags: [] })).digest;
}

/** The descriptor of a document, as an index or a subject names it. */
export function describe(document: Document): Document & { readonly digest: Digest } {
  const bytes = Buffer.from(JSON.stringify(document));
  return { mediaType: document.mediaType, digest: digestOf(bytes), size: bytes.length };
}

export async function read(source: Buffer | AsyncIterable<Uint8Array>): Promise<Buffer> {
  if (Buffer.isBuffer(source)) return source;
  const chunks: Uint8Array[] = [];
  for await (const part of source) chunks.push(part);
  return Buffer.concat(chunks);
}

/** What stands under a digest, or `undefined`. */
export async function stored(storage: ObservedStorage, digest: Digest): Promise<string | undefined> {
  return storage.get(blobKey(digest)).then(String, () => undefined);
}

/** The unfinished sessions of a repository. */
export async function sessions(storage: ObservedStorage, repository: RepositoryName = REPOSITORY): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of storage.list(`${REPOSITORIES}/${repository}/_uploads`)) names.push(entry.name);
  } catch {
    // None was ever there, or none is left.
  }
  return names;
}
