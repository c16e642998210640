// A storage driver on Google Cloud Storage: the options, and how a bucket is reached. How objects
// become uploads, commits and listings is the affair of `objectStorage`.
import type { StorageOptions } from '@google-cloud/storage';
import { definePlugin, duration, objectStorage, optionalPeer, type PluginHost, secret, size } from 'koa-registry';
import { z } from 'zod';
import { GcsBucket, MIN_PART_BYTES } from './gcs/gcs-bucket.js';
import { JsonApi } from './gcs/json-api.js';
import { UrlSigner } from './gcs/url-signer.js';

const gcsOptions = z
  .strictObject({
    /** The bucket. It has to be there: the registry makes none. */
    bucket: z.string().regex(/^[a-z0-9._-]{1,222}$/, 'must be the name of a bucket: a-z 0-9 . _ -'),
    /** The folder above `docker/registry/v2`. Default: the bucket's root. */
    rootDirectory: z.string().default(''),
    /**
     * The path of a JSON key file. Default: the application default credentials, which are those of
     * `GOOGLE_APPLICATION_CREDENTIALS`, of gcloud, or of the machine's own account.
     */
    keyFile: z.string().min(1).optional(),
    /** What such a file says, in its place. */
    credentials: secret(z.record(z.string(), z.unknown())).optional(),
    /** Where the service is, for an emulator or a private endpoint: `http://127.0.0.1:4443`. Default: the public one. */
    apiEndpoint: z.url({ protocol: /^https?$/ }).optional(),
    /**
     * Whether requests are sent without credentials, as an emulator or a public bucket wants them. Then
     * credentials, where there are any, only sign URLs. Default: whether there is an `apiEndpoint` and
     * no credentials.
     */
    anonymous: z.boolean().optional(),
    /** The project that is billed for requests, of a bucket whose requester pays. */
    userProject: z.string().min(1).optional(),
    /** How much of an upload is sent at once; each upload under way holds twice as much. From 256 KiB to 1 GiB; default: 8 MiB. */
    chunkSize: size({ min: MIN_PART_BYTES, max: '1GiB' }).prefault('8MiB'),
    /** How many requests may wait for their answer at once; others wait for their turn. Default: 50. */
    maxConcurrency: z.int().min(1).default(50),
    /**
     * How often a request is tried again that had no answer, or one of a passing failure (408, 429, 5xx).
     * The pauses begin at a quarter of a second, and double. Default: 4.
     */
    maxRetries: z.int().min(0).max(20).default(4),
    /** How long the service may be silent before a request counts as failed. Default: 30 seconds. */
    timeout: duration({ min: '1ms' }).prefault('30s'),
  })
  .refine(({ keyFile, credentials }) => keyFile === undefined || credentials === undefined, {
    path: ['credentials'],
    message: 'cannot stand beside keyFile',
  });

type GcsOptions = z.output<typeof gcsOptions>;

async function openBucket(options: GcsOptions, { logger, clock }: PluginHost): Promise<GcsBucket> {
  const { Storage } = await optionalPeer('@google-cloud/storage', () => import('@google-cloud/storage'));
  const { bucket, apiEndpoint, keyFile, credentials, userProject, maxRetries, timeout, maxConcurrency } = options;
  const given: StorageOptions = {
    ...(apiEndpoint !== undefined && { apiEndpoint }),
    ...(keyFile !== undefined && { keyFilename: keyFile }),
    // A key file says of which kind it is, and the SDK reads each.
    ...(credentials !== undefined && { credentials: { ...credentials } as NonNullable<StorageOptions['credentials']> }),
  };
  const { authClient, apiEndpoint: endpoint, customEndpoint } = new Storage(given);
  const hasKey = keyFile !== undefined || credentials !== undefined;
  const anonymous = options.anonymous ?? (customEndpoint && !hasKey);
  const authorize = anonymous ? undefined : (url: string) => authClient.getRequestHeaders(url);
  const api = new JsonApi({ endpoint, authorize, maxRetries, timeout, maxConcurrency, userProject });
  // Whoever has no credentials at all must not look for them either.
  const canSign = hasKey || !anonymous;
  const signer = new UrlSigner({ account: authClient, endpoint, userProject, clock, logger });
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
