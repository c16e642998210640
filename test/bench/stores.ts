// The object stores of the bench: real servers over a folder, which both sides of a row share, and how
// a registry or an SDK finds them.
import { join } from 'node:path';
import type { Plugin } from 'koa-registry';
import { gcs } from 'koa-registry/plugins/storage/gcs';
import { s3 } from 'koa-registry/plugins/storage/s3';
import { startFakeGcs } from '../support/fake-gcs.js';
import type { RunningProcess } from '../support/process.js';
import type { Program } from '../support/requires.js';
import { startVersitygw } from '../support/versitygw.js';

/** What a process has to know to use a store; as JSON it fits into an environment. */
export type StoreAddress =
  | { readonly kind: 'gcs'; readonly url: string; readonly bucket: string }
  | {
      readonly kind: 's3';
      readonly url: string;
      readonly bucket: string;
      readonly accessKey: string;
      readonly secretKey: string;
    };

/** A store that runs, with one empty bucket. */
export interface RunningStore extends Pick<RunningProcess, 'pid' | 'stop'> {
  readonly address: StoreAddress;
  /** The bucket's folder, in which each object is a file of its name. */
  readonly root: string;
}

export interface ObjectStore {
  /** The plugin that is measured. */
  readonly name: `storage/${StoreAddress['kind']}`;
  readonly program: Program;
  start(): Promise<RunningStore>;
}

/** Over a folder: in memory the emulator copies content several times over to compose it, and collects garbage for seconds. */
export const gcsStore: ObjectStore = {
  name: 'storage/gcs',
  program: 'fake-gcs-server',
  start: async () => {
    const server = await startFakeGcs({ backend: 'filesystem' });
    const { url, bucket, folder, pid, stop } = server;
    return { address: { kind: 'gcs', url, bucket }, root: join(folder, bucket), pid, stop };
  },
};

export const s3Store: ObjectStore = {
  name: 'storage/s3',
  program: 'versitygw',
  start: async () => {
    const { url, bucket, folder, pid, stop, accessKey, secretKey } = await startVersitygw();
    return { address: { kind: 's3', url, bucket, accessKey, secretKey }, root: join(folder, bucket), pid, stop };
  },
};

export const objectStores: readonly ObjectStore[] = [gcsStore, s3Store];

/** The plugin for a store, as its defaults have it. */
export function storageAt(address: StoreAddress): Plugin<'storage'> {
  const { kind, url, bucket } = address;
  if (kind === 'gcs') return gcs({ bucket, apiEndpoint: url });
  const { accessKey, secretKey } = address;
  return s3({ bucket, endpoint: url, secure: false, accessKey, secretKey });
}
