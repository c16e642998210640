// A storage driver on Google Cloud Storage: here a bucket is reached and checked. How objects become
// uploads, commits and listings is the affair of `objectStorage`.
import type { StorageOptions } from '@google-cloud/storage';
import { definePlugin, objectStorage, optionalPeer, type PluginHost } from 'koa-registry';
import { Account, endAfter } from './gcs/account.js';
import { GcsBucket } from './gcs/gcs-bucket.js';
import { JsonApi } from './gcs/json-api.js';
import { accountTimeout, exposesCredentials, type GcsOptions, gcsOptions, hasKey, isAnonymous } from './gcs/options.js';
import { UrlSigner } from './gcs/url-signer.js';

async function openBucket(options: GcsOptions, { logger, clock }: PluginHost): Promise<GcsBucket> {
  const { Storage } = await optionalPeer('@google-cloud/storage', () => import('@google-cloud/storage'));
  const { bucket, apiEndpoint, keyFile, credentials, userProject, maxRetries, timeout, maxConcurrency } = options;
  const patience = accountTimeout(options);
  const given: StorageOptions = {
    ...endAfter(patience),
    ...(apiEndpoint !== undefined && { apiEndpoint }),
    ...(keyFile !== undefined && { keyFilename: keyFile }),
    // A key file says of which kind it is, and the SDK reads each.
    ...(credentials !== undefined && { credentials: { ...credentials } as NonNullable<StorageOptions['credentials']> }),
  };
  const { apiEndpoint: endpoint, customEndpoint = false } = new Storage(given);
  // The SDK takes an endpoint from the environment, too.
  if (customEndpoint && exposesCredentials(options, endpoint)) throw new Error(`${endpoint} is not encrypted`);
  const account = new Account(() => new Storage(given).authClient, patience);
  const anonymous = isAnonymous(options, customEndpoint);
  const authorize = anonymous ? undefined : (url: string, signal?: AbortSignal) => account.headers(url, signal);
  const api = new JsonApi({ endpoint, authorize, maxRetries, timeout, maxConcurrency, userProject });
  // Whoever has no credentials at all must not look for them either.
  const canSign = hasKey(options) || !anonymous;
  const signer = new UrlSigner({ account, endpoint, userProject, clock, logger });
  return GcsBucket.open(bucket, api, canSign ? signer : undefined);
}

/**
 * Objects in a bucket of Google Cloud Storage, in `distribution`'s layout: its data is served as it is,
 * and can be handed back. Needs the package `@google-cloud/storage`.
 *
 * Any host can go on with any upload, and nothing is spooled: what is appended stands in the bucket as
 * objects of `chunkSize`, which the service composes when the upload is committed. Of two hosts that
 * append at one offset, preconditions on generations let one win.
 *
 * @see https://cloud.google.com/storage/docs/composite-objects
 */
export const gcs = definePlugin({
  kind: 'storage',
  name: 'gcs',
  shared: true,
  options: gcsOptions,
  create: async (options, host) => {
    const bucket = await openBucket(options, host);
    try {
      await bucket.check({ signal: host.signal });
    } catch (cause) {
      await bucket.close();
      throw new Error(`the bucket "${options.bucket}" cannot be used`, { cause });
    }
    return objectStorage(bucket, { rootDirectory: options.rootDirectory, partBytes: options.chunkSize });
  },
});
