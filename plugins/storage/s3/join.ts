// One object of several without a byte coming by here: a copy, or a multipart upload whose parts are
// copied.
import { randomUUID } from 'node:crypto';
import type { CompletedPart, CreateMultipartUploadCommandInput, S3 } from '@aws-sdk/client-s3';
import type { BucketObject } from 'koa-registry';
import { codeOf } from './errors.js';

/** What every object is written with: storage class, encryption, ACL. */
export type WriteSettings = Pick<
  CreateMultipartUploadCommandInput,
  'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId' | 'ACL'
>;

/**
 * The most bytes of one copy, where there may be as many as that takes: they go side by side, and none
 * takes so long that it looks like an outage.
 */
const COPY_BYTES = 256 * 1024 * 1024;

/** S3's own bounds: of one copy in bytes, and of the parts of an object. */
const LARGEST_COPY_BYTES = 5 * 1024 * 1024 * 1024;
const MOST_COPIES = 10_000;

/** How many parts are copied at once. */
const COPIES = 16;

/** Metadata by which a write finds out that it was its own. */
export const NONCE = 'koa-registry-write';

/** What one copy takes. */
export interface Piece {
  readonly part: BucketObject;
  /** `bytes=a-b`, where it is not the whole part. */
  readonly range?: string;
}

/**
 * Makes one object at `to` of `parts`, which have to be as they were listed.
 *
 * @throws S3ServiceException
 */
export async function joinObjects(
  s3: S3,
  bucket: string,
  parts: readonly BucketObject[],
  to: string,
  settings: WriteSettings,
): Promise<void> {
  const pieces = piecesOf(parts);
  const [only] = pieces;
  if (only === undefined) throw new TypeError('there is nothing to join');
  const target = { Bucket: bucket, Key: to };
  if (pieces.length === 1) await s3.copyObject({ ...target, ...source(bucket, only.part), ...settings });
  else await joinPieces(s3, target, pieces, settings);
}

/** Of the size that is best, or larger ones where there would be too many. */
export function piecesOf(parts: readonly BucketObject[]): Piece[] {
  const count = (bytes: number) => parts.reduce((sum, { size }) => sum + Math.max(1, Math.ceil(size / bytes)), 0);
  let bytes = COPY_BYTES;
  while (count(bytes) > MOST_COPIES && bytes < LARGEST_COPY_BYTES) bytes = Math.min(2 * bytes, LARGEST_COPY_BYTES);
  return parts.flatMap((part) => rangesOf(part, bytes));
}

/** Ranges of one length: a short one at the end would be less than S3 allows where other parts follow. */
function rangesOf(part: BucketObject, bytes: number): Piece[] {
  if (part.size <= bytes) return [{ part }];
  const count = Math.ceil(part.size / bytes);
  const length = Math.ceil(part.size / count);
  return Array.from({ length: count }, (_, index) => {
    const start = index * length;
    return { part, range: `bytes=${start}-${Math.min(start + length, part.size) - 1}` };
  });
}

function source(bucket: string, { name, version }: BucketObject) {
  const path = name.split('/').map(encodeURIComponent).join('/');
  return { CopySource: `${bucket}/${path}`, CopySourceIfMatch: version };
}

/** An object as the SDK names it. */
export interface ObjectName {
  readonly Bucket: string;
  readonly Key: string;
}

async function joinPieces(
  s3: S3,
  target: ObjectName,
  pieces: readonly Piece[],
  settings: WriteSettings,
): Promise<void> {
  const nonce = randomUUID();
  const { UploadId } = await s3.createMultipartUpload({ ...target, ...settings, Metadata: { [NONCE]: nonce } });
  const upload = { ...target, UploadId };
  try {
    const Parts = await mapBounded(pieces, COPIES, async ({ part, range }, index): Promise<CompletedPart> => {
      const PartNumber = index + 1;
      const from = { ...source(target.Bucket, part), ...(range === undefined ? {} : { CopySourceRange: range }) };
      const { CopyPartResult } = await s3.uploadPartCopy({ ...upload, ...from, PartNumber });
      return { PartNumber, ETag: CopyPartResult?.ETag };
    });
    await s3.completeMultipartUpload({ ...upload, MultipartUpload: { Parts } });
  } catch (error) {
    if (codeOf(error) === 'NoSuchUpload' && (await findOwnWrite(s3, target, nonce)) !== undefined) return;
    // What cannot be aborted now is found again as abandoned.
    await s3.abortMultipartUpload(upload).catch(() => undefined);
    throw error;
  }
}

/** The ETag of the object, if it is the one that was written with `nonce`: an earlier try succeeded without an answer. */
export async function findOwnWrite(s3: S3, target: ObjectName, nonce: string): Promise<string | undefined> {
  try {
    const { Metadata, ETag } = await s3.headObject({ ...target });
    return Metadata?.[NONCE] === nonce ? ETag : undefined;
  } catch (error) {
    if (codeOf(error) === 'NotFound') return undefined;
    throw error;
  }
}

/** Maps items, at most `limit` of them at once; settles when no call is under way any more. */
async function mapBounded<T, R>(items: readonly T[], limit: number, map: (item: T, index: number) => Promise<R>) {
  const results: R[] = [];
  const remaining = items.entries();
  let failed = false;
  const work = async () => {
    for (const [index, item] of remaining) {
      if (failed) return;
      try {
        results[index] = await map(item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, work));
  for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
  return results;
}
