// The API on one screen: every endpoint, what it needs to be allowed, and who answers it.
import type { Call } from './call.js';
import { getBase } from './handlers/base.js';
import { deleteBlob, getBlob } from './handlers/blobs.js';
import { getCatalog } from './handlers/catalog.js';
import { deleteManifest, getManifest, putManifest } from './handlers/manifests.js';
import { getMetadata } from './handlers/metadata.js';
import { getReferrers } from './handlers/referrers.js';
import { getTags } from './handlers/tags.js';
import { appendUpload, cancelUpload, finishUpload, getUpload, startUpload } from './handlers/uploads.js';

/** Answers a request; decides nothing that a service could. */
export type Handler = (call: Call) => Promise<void> | void;

/**
 * What a caller needs: nothing but to be known (`base`), `registry:catalog:*`, or `pull`, `pull` and
 * `push`, or `delete` on the repository. `push` and `delete` change something.
 */
export type Access = 'none' | 'base' | 'catalog' | 'pull' | 'push' | 'delete';

export interface Route {
  readonly method: string;
  /** `:name` is a repository's name, slashes and all; any other parameter is one segment. */
  readonly path: string;
  readonly access: Access;
  readonly handler: Handler;
}

type Row = readonly [method: string, path: string, access: Access, handler: Handler];

// biome-ignore format: a table
const rows: readonly Row[] = [
  ['GET',    '/',                                'none',    getMetadata],
  ['GET',    '/v2/',                             'base',    getBase],
  ['GET',    '/v2/_catalog',                     'catalog', getCatalog],
  ['GET',    '/v2/:name/manifests/:reference',   'pull',    getManifest],
  ['PUT',    '/v2/:name/manifests/:reference',   'push',    putManifest],
  ['DELETE', '/v2/:name/manifests/:reference',   'delete',  deleteManifest],
  ['POST',   '/v2/:name/blobs/uploads/',         'push',    startUpload],
  ['GET',    '/v2/:name/blobs/uploads/:session', 'push',    getUpload],
  ['PATCH',  '/v2/:name/blobs/uploads/:session', 'push',    appendUpload],
  ['PUT',    '/v2/:name/blobs/uploads/:session', 'push',    finishUpload],
  ['DELETE', '/v2/:name/blobs/uploads/:session', 'push',    cancelUpload],
  ['GET',    '/v2/:name/blobs/:digest',          'pull',    getBlob],
  ['DELETE', '/v2/:name/blobs/:digest',          'delete',  deleteBlob],
  ['GET',    '/v2/:name/tags/list',              'pull',    getTags],
  ['GET',    '/v2/:name/referrers/:digest',      'pull',    getReferrers],
];

/** A GET route answers HEAD too. */
export const routes: readonly Route[] = rows.map(([method, path, access, handler]) => ({
  method,
  path,
  access,
  handler,
}));
