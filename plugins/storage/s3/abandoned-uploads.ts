// Multipart uploads that a crash has left: S3 keeps their parts, which nobody sees and everybody pays,
// until somebody aborts them.
import type { MultipartUpload, S3 } from '@aws-sdk/client-s3';
import type { PurgeOptions } from 'koa-registry';
import { codeOf } from './errors.js';

/** The uploads that are looked at. */
export interface UploadsBelow {
  readonly s3: S3;
  readonly bucket: string;
  /** What their names begin with. */
  readonly prefix: string;
}

/**
 * Aborts the uploads that were begun too long ago, or only counts them.
 *
 * @returns how many there were.
 * @throws S3ServiceException
 */
export async function abortAbandoned(below: UploadsBelow, { before, dryRun, signal }: PurgeOptions): Promise<number> {
  const within = signal === undefined ? {} : { abortSignal: signal };
  let count = 0;
  for await (const upload of uploads(below, within)) {
    if (upload.Initiated === undefined || upload.Initiated >= before) continue;
    if (dryRun || (await abort(below, upload, within))) count++;
  }
  return count;
}

/** Whether it was there to be aborted: whoever began it may have come back to it. */
async function abort(
  { s3, bucket }: UploadsBelow,
  { Key, UploadId }: MultipartUpload,
  within: Within,
): Promise<boolean> {
  try {
    await s3.abortMultipartUpload({ Bucket: bucket, Key, UploadId }, within);
    return true;
  } catch (error) {
    if (codeOf(error) === 'NoSuchUpload') return false;
    throw error;
  }
}

interface Within {
  readonly abortSignal?: AbortSignal;
}

/** Where a page of the listing begins. */
interface Marker {
  readonly KeyMarker?: string | undefined;
  readonly UploadIdMarker?: string | undefined;
}

async function* uploads(
  { s3, bucket, prefix }: UploadsBelow,
  within: Within,
): AsyncGenerator<MultipartUpload, void, undefined> {
  let marker: Marker = {};
  for (;;) {
    const answer = await s3.listMultipartUploads({ Bucket: bucket, Prefix: prefix, ...marker }, within);
    // Those of other programs must not depend on how well a store knows the parameter.
    yield* (answer.Uploads ?? []).filter(({ Key = '' }) => Key.startsWith(prefix));
    const next = { KeyMarker: answer.NextKeyMarker, UploadIdMarker: answer.NextUploadIdMarker };
    if (answer.IsTruncated !== true || isSame(next, marker)) return;
    marker = next;
  }
}

/** There are stores that go on with the page that they have just sent, for ever. */
function isSame(one: Marker, other: Marker): boolean {
  return one.KeyMarker === other.KeyMarker && one.UploadIdMarker === other.UploadIdMarker;
}
