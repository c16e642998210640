// What a registry does, whatever speaks to it. Made once its plugins are up.
import type {
  AuthHandler,
  Coordinator,
  DescriptorCache,
  LayerHandler,
  Logger,
  ManifestFormat,
  StorageDriver,
} from '../contracts/index.js';
import { BlobStore } from './blob-store.js';
import { Catalog } from './catalog.js';
import { Contents } from './contents.js';
import { Descriptors } from './descriptors.js';
import { type FailedLoginLimits, FailedLogins } from './failed-logins.js';
import { Formats } from './formats.js';
import { Leases } from './leases.js';
import { ManifestReader } from './manifest-reader.js';
import { ManifestStore } from './manifest-store.js';
import { MemoryCoordinator } from './memory-coordinator.js';
import { MemoryDescriptorCache } from './memory-descriptor-cache.js';
import { Referrers } from './referrers.js';
import { TagStore } from './tag-store.js';
import { UploadStore } from './upload-store.js';

/** What the services are made of: the plugins' instances and a few settings. */
export interface ServiceParts {
  readonly storage: StorageDriver;
  readonly cache?: DescriptorCache | undefined;
  readonly auth?: AuthHandler | undefined;
  readonly layer?: LayerHandler | undefined;
  readonly formats?: readonly ManifestFormat[] | undefined;
  readonly coordination?: Coordinator | undefined;
  readonly requireReferences?: boolean;
  /** Whether other processes may go on with an upload that this one has begun. */
  readonly portableUploads?: boolean;
  /** Left out where guessing is nobody's concern. */
  readonly failedLogins?: FailedLoginLimits | undefined;
  readonly log: Logger;
  readonly clock?: () => number;
}

export interface Services {
  readonly storage: StorageDriver;
  readonly auth: AuthHandler | undefined;
  readonly failedLogins: FailedLogins | undefined;
  readonly layer: LayerHandler | undefined;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
  readonly manifests: ManifestStore;
  readonly tags: TagStore;
  readonly referrers: Referrers;
  readonly catalog: Catalog;
}

export function createServices(parts: ServiceParts): Services {
  const { storage, auth, layer, log, clock = Date.now, requireReferences = true, portableUploads = false } = parts;
  const leases = new Leases(parts.coordination ?? new MemoryCoordinator(clock), log);
  const descriptors = new Descriptors(parts.cache ?? new MemoryDescriptorCache(), log);
  const formats = new Formats(parts.formats);
  const blobs = new BlobStore({ storage, descriptors, contents: new Contents() });
  const tags = new TagStore(storage, leases);
  const reader = new ManifestReader({ storage, descriptors, formats });
  const referrers = new Referrers(storage, reader, tags);
  const manifests = new ManifestStore({
    storage,
    descriptors,
    formats,
    reader,
    blobs,
    tags,
    referrers,
    requireReferences,
  });
  const uploads = new UploadStore({ storage, blobs, leases, portable: portableUploads, log, clock });
  const failedLogins = parts.failedLogins && new FailedLogins(parts.failedLogins, clock);
  const catalog = new Catalog(storage);
  return { storage, auth, failedLogins, layer, blobs, uploads, manifests, tags, referrers, catalog };
}

export type { Login } from './failed-logins.js';
export type { SessionReference } from './upload-session.js';
export { type UploadState, UploadStateCodec } from './upload-state.js';
export type { Chunk } from './upload-store.js';
