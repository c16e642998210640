// What a registry does, whatever speaks to it. Made once its plugins are up.
import { randomBytes } from 'node:crypto';
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
import { type FederatedSite, ForeignLayers } from './foreign-layers.js';
import type { ForeignUrlRules } from './foreign-urls.js';
import { Formats } from './formats.js';
import { Leases } from './leases.js';
import { ManifestReader } from './manifest-reader.js';
import { ManifestStore } from './manifest-store.js';
import { MemoryCoordinator } from './memory-coordinator.js';
import { MemoryDescriptorCache } from './memory-descriptor-cache.js';
import { MemoryNotes } from './memory-notes.js';
import { Offload, type OffloadSettings } from './offload.js';
import { Referrers } from './referrers.js';
import { TagStore } from './tag-store.js';
import { UploadPurge, type UploadPurgeParts } from './upload-purge.js';
import { UploadStateCodec } from './upload-state.js';
import { LocationStates, NotedStates, type UploadStates } from './upload-states.js';
import { UploadStore } from './upload-store.js';
import { Visibility } from './visibility.js';

/** What the services are made of: the plugins' instances and a few settings. */
export interface ServiceParts {
  readonly storage: StorageDriver;
  readonly cache?: DescriptorCache | undefined;
  readonly auth?: AuthHandler | undefined;
  readonly layer?: LayerHandler | undefined;
  /** When the layer handler is asked, and what becomes of its failures. Default: always, and the registry streams. */
  readonly offload?: OffloadSettings | undefined;
  /** Which URLs a manifest may name. Default: those of public hosts. */
  readonly foreignUrls?: ForeignUrlRules | undefined;
  /** Sites that have layers which are not here. */
  readonly federation?: readonly FederatedSite[] | undefined;
  readonly formats?: readonly ManifestFormat[] | undefined;
  readonly coordination?: Coordinator | undefined;
  readonly requireReferences?: boolean;
  /** How other processes go on with an upload that this one has begun. Default: they do not. */
  readonly uploadState?: UploadStateSettings | undefined;
  /** Left out where guessing is nobody's concern. */
  readonly failedLogins?: FailedLoginLimits | undefined;
  /** Left out where abandoned uploads are left alone. */
  readonly uploadPurge?: Pick<UploadPurgeParts, 'age' | 'interval' | 'dryRun' | 'isReadOnly'> | undefined;
  readonly log: Logger;
  readonly clock?: () => number;
}

/** Where the state of an upload is between two requests. */
export interface UploadStateSettings {
  /** Signs what travels with the client; that of all hosts. */
  readonly secret?: string | undefined;
  /** Set where it is among the coordination's notes instead, for `ttl` milliseconds after the last request. */
  readonly noted?: { readonly ttl: number } | undefined;
}

export interface Services {
  readonly auth: AuthHandler | undefined;
  readonly failedLogins: FailedLogins | undefined;
  /** Left out where the registry streams all blobs. */
  readonly offload: Offload | undefined;
  readonly foreign: ForeignLayers;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
  readonly uploadStates: UploadStates;
  readonly uploadPurge: UploadPurge | undefined;
  readonly manifests: ManifestStore;
  readonly tags: TagStore;
  readonly referrers: Referrers;
  readonly catalog: Catalog;
  readonly leases: Leases;
}

const ALWAYS: OffloadSettings = { minSize: 0, head: true, isSpared: () => false, onFailure: 'stream' };

export function createServices(parts: ServiceParts): Services {
  const { storage, auth, layer, log, clock = Date.now, requireReferences = true } = parts;
  const coordinator = parts.coordination ?? new MemoryCoordinator(clock);
  const leases = new Leases(coordinator, log);
  const notes = coordinator.notes ?? new MemoryNotes(clock);
  const visibility = new Visibility(notes, log, clock);
  const descriptors = new Descriptors(parts.cache ?? new MemoryDescriptorCache(), log);
  const formats = new Formats(parts.formats);
  const blobs = new BlobStore({ storage, descriptors, contents: new Contents(), visibility });
  const tags = new TagStore(storage, leases, visibility);
  const reader = new ManifestReader({ storage, descriptors, formats, visibility });
  const referrers = new Referrers(storage, reader, tags);
  const { foreignUrls: urls = { deny: [], internalHosts: [] }, federation: sites = [] } = parts;
  const foreign = new ForeignLayers({ storage, reader, visibility, urls, sites });
  const manifests = new ManifestStore({ formats, reader, blobs, tags, referrers, foreign, requireReferences });
  const { uploadState: { secret, noted } = {} } = parts;
  const codec = new UploadStateCodec(secret ?? randomBytes(32).toString('hex'));
  const uploadStates = noted ? new NotedStates(notes, noted.ttl, log) : new LocationStates(codec, log);
  const portable = secret !== undefined || noted !== undefined;
  const uploads = new UploadStore({ storage, blobs, leases, visibility, states: uploadStates, portable, log, clock });
  const uploadPurge = parts.uploadPurge && new UploadPurge({ storage, leases, log, clock, ...parts.uploadPurge });
  const failedLogins = parts.failedLogins && new FailedLogins(parts.failedLogins, clock);
  const catalog = new Catalog(storage);
  const offload = layer && new Offload({ handler: layer, storage, log, clock, ...(parts.offload ?? ALWAYS) });
  return {
    auth,
    failedLogins,
    offload,
    foreign,
    blobs,
    uploads,
    uploadStates,
    uploadPurge,
    manifests,
    tags,
    referrers,
    catalog,
    leases,
  };
}

export type { Chunk } from './chunk.js';
export type { Login } from './failed-logins.js';
export type { FederatedSite } from './foreign-layers.js';
export { layerStore } from './offload.js';
export { sparedClients } from './spared-clients.js';
export type { SessionReference } from './upload-session.js';
export type { UploadState } from './upload-state.js';
