// Functions for whoever looks after a registry's data; they work on a storage plugin, whether or not
// a registry is running on it.
export type { PurgeReport } from '../services/upload-sweep.js';
export { type PurgeUploadsOptions, purgeUploads } from './purge-uploads.js';
export { type RebuildForeignLayersOptions, rebuildForeignLayers } from './rebuild-foreign-layers.js';
export { type RebuildReferrersOptions, rebuildReferrers } from './rebuild-referrers.js';
