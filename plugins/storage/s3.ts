// A storage driver on S3 and the stores that speak its protocol: here a bucket is reached and checked.
// How objects become uploads, commits and listings is the affair of `objectStorage`.
import { randomUUID } from 'node:crypto';
import { definePlugin, objectStorage, optionalPeer, type PluginHost } from 'koa-registry';
import { S3Bucket } from './s3/bucket.js';
import { type Connection, connect } from './s3/connection.js';
import { isRefused } from './s3/errors.js';
import type { WriteSettings } from './s3/join.js';
import { endpointUrl, requestTimeoutOf, type S3Options, s3Options } from './s3/options.js';

/** The beginning of a name that no key has. */
const PROBE = '!conditions-';

function writeSettings({ storageClass, encrypt, keyId, objectAcl }: S3Options): WriteSettings {
  return {
    ...(storageClass !== undefined && { StorageClass: storageClass }),
    ...(encrypt && { ServerSideEncryption: keyId === undefined ? 'AES256' : 'aws:kms' }),
    ...(keyId !== undefined && { SSEKMSKeyId: keyId }),
    ...(objectAcl !== undefined && { ACL: objectAcl }),
  };
}

async function openConnection(options: S3Options): Promise<Connection> {
  const { S3 } = await optionalPeer('@aws-sdk/client-s3', () => import('@aws-sdk/client-s3'));
  return connect(S3, { ...options, endpoint: endpointUrl(options), requestTimeout: requestTimeoutOf(options) });
}

async function openBucket(options: S3Options, connection: Connection): Promise<S3Bucket> {
  const { GetObjectCommand, HeadObjectCommand } = await import('@aws-sdk/client-s3');
  const presigner = () => import('@aws-sdk/s3-request-presigner');
  const { getSignedUrl } = await optionalPeer('@aws-sdk/s3-request-presigner', presigner);
  const { bucket } = options;
  return new S3Bucket({
    connection,
    bucket,
    settings: writeSettings(options),
    sign: (name, method, expiresIn) => {
      const Command = method === 'HEAD' ? HeadObjectCommand : GetObjectCommand;
      return getSignedUrl(connection.s3, new Command({ Bucket: bucket, Key: name }), { expiresIn });
    },
  });
}

/** Rejects while the bucket is not there or cannot be relied on. One that can only be read is a matter of the log. */
async function assertUsable(bucket: S3Bucket, prefix: string, { logger, signal }: PluginHost): Promise<void> {
  await bucket.check({ signal });
  try {
    await bucket.checkConditions(`${prefix}${PROBE}${randomUUID()}`, { signal });
  } catch (error) {
    if (!isRefused(error)) throw error;
    logger.warn({ err: error }, 'the bucket cannot be written: reading only');
  }
}

/**
 * Objects in a bucket of S3, or of a store that speaks its protocol, in `distribution`'s layout: its
 * data is served as it is, and can be handed back. Needs the packages `@aws-sdk/client-s3` and
 * `@aws-sdk/s3-request-presigner`.
 *
 * Any host can go on with any upload, and nothing is spooled: what is appended stands in the bucket as
 * objects of `chunkSize`, which the store joins when the upload is committed. The store has to honour
 * the conditions `If-Match` and `If-None-Match` of `PutObject`, which is found out at the start.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 */
export const s3 = definePlugin({
  kind: 'storage',
  name: 's3',
  // The SDK logs by the registry's logger, if at all, and parts are joined as they were written.
  ignores: ['logLevel', 'multipartCopyChunkSize', 'multipartCopyMaxConcurrency', 'multipartCopyThresholdSize'],
  shared: true,
  options: s3Options,
  create: async (options, host) => {
    const { rootDirectory, chunkSize } = options;
    const connection = await openConnection(options);
    const prefix = rootDirectory === '' ? '' : `${rootDirectory}/`;
    try {
      const bucket = await openBucket(options, connection);
      await assertUsable(bucket, prefix, host);
      return objectStorage(bucket, { rootDirectory, partBytes: chunkSize });
    } catch (error) {
      connection.close();
      throw error;
    }
  },
});
