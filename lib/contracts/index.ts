// All extension points by kind. A plugin of a kind creates what its row names.
import type { AuthHandler } from './auth.js';
import type { DescriptorCache } from './cache.js';
import type { Coordinator } from './coordination.js';
import type { ManifestFormat } from './format.js';
import type { LayerHandler } from './layer.js';
import type { EventQueueStore, NotificationSink } from './notification.js';
import type { StorageDriver } from './storage.js';

export interface Contracts {
  storage: StorageDriver;
  cache: DescriptorCache;
  auth: AuthHandler;
  layer: LayerHandler;
  notification: NotificationSink;
  queue: EventQueueStore;
  coordination: Coordinator;
  format: ManifestFormat;
}

/** An extension point. */
export type PluginKind = keyof Contracts;

export type * from './auth.js';
export type * from './cache.js';
export type * from './coordination.js';
export type * from './format.js';
export type * from './layer.js';
export type * from './logger.js';
export type * from './notification.js';
export type * from './storage.js';
