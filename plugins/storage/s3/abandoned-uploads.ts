// Multipart uploads that a crash has left: S3 keeps their parts, which nobody sees and everybody pays,
// until somebody aborts them.
import type { MultipartUpload, S3 } from '@aws-sdk/client-s3';
import type { PluginHost } from 'koa-registry';
import { codeOf } from './errors.js';

export interface AbandonedUploadsOptions {
  readonly s3: S3;
  readonly bucket: string;
  /** Uploads below this are looked at. */
  readonly prefix: string;
  /** From which age on an upload counts as abandoned, in milliseconds. */
  readonly age: number;
}

const DAY = 86_400_000;

/** Aborts abandoned uploads, now in the background and once a day until the registry closes. What fails is logged. */
export function abortAbandonedUploads(options: AbandonedUploadsOptions, { logger, clock, signal }: PluginHost): void {
  const sweep = async () => {
    try {
      const aborted = await sweepOnce(options, clock() - options.age, signal);
      if (aborted > 0) logger.info({ aborted }, 'abandoned multipart uploads were aborted');
    } catch (error) {
      if (!signal.aborted) logger.warn({ err: error }, 'abandoned multipart uploads could not be aborted');
    }
  };
  void sweep();
  const timer = setInterval(sweep, DAY).unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

/** How many uploads were aborted. */
async function sweepOnce(options: AbandonedUploadsOptions, before: number, abortSignal: AbortSignal): Promise<number> {
  const { s3, bucket } = options;
  let aborted = 0;
  for await (const { Key, UploadId, Initiated } of uploads(options, abortSignal)) {
    if (Initiated === undefined || Initiated.getTime() > before) continue;
    try {
      await s3.abortMultipartUpload({ Bucket: bucket, Key, UploadId }, { abortSignal });
      aborted++;
    } catch (error) {
      // Another host sweeps too.
      if (codeOf(error) !== 'NoSuchUpload') throw error;
    }
  }
  return aborted;
}

async function* uploads(
  { s3, bucket, prefix }: AbandonedUploadsOptions,
  abortSignal: AbortSignal,
): AsyncGenerator<MultipartUpload, void, undefined> {
  let from = {};
  for (let more = true; more; ) {
    const input = { Bucket: bucket, Prefix: prefix, ...from };
    const answer = await s3.listMultipartUploads(input, { abortSignal });
    yield* answer.Uploads ?? [];
    from = { KeyMarker: answer.NextKeyMarker, UploadIdMarker: answer.NextUploadIdMarker };
    more = answer.IsTruncated === true;
  }
}
