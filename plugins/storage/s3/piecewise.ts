// A multipart upload as a way to write one part of what is appended: pieces side by side, and an object
// only where there is none. Not every store that honours that condition of `PutObject` does so here.
import { randomUUID } from 'node:crypto';
import type { CompletedPart, S3 } from '@aws-sdk/client-s3';
import { DriverError, isDriverError, type PiecewiseWrite } from 'koa-registry';
import { codeOf, driverError, statusOf } from './errors.js';
import { findOwnWrite, NONCE, type ObjectName, type WriteSettings } from './join.js';

/** How a completion says that there is an object, or that what it would make of the pieces is made. */
const REFUSALS: ReadonlySet<string> = new Set(['PreconditionFailed', 'ConditionalRequestConflict']);

class MultipartWrite implements PiecewiseWrite {
  readonly #s3: S3;
  readonly #upload: ObjectName & { readonly UploadId: string | undefined };
  readonly #nonce: string;
  readonly #parts: CompletedPart[] = [];
  #count = 0;

  constructor(s3: S3, target: ObjectName, UploadId: string | undefined, nonce: string) {
    this.#s3 = s3;
    this.#upload = { ...target, UploadId };
    this.#nonce = nonce;
  }

  async add(Body: Uint8Array): Promise<void> {
    const PartNumber = ++this.#count;
    await this.#attempt(async () => {
      const { ETag } = await this.#s3.uploadPart({ ...this.#upload, PartNumber, Body });
      this.#parts[PartNumber - 1] = { PartNumber, ETag };
    });
  }

  async complete(): Promise<void> {
    await this.#attempt(async () => {
      try {
        const MultipartUpload = { Parts: this.#parts };
        await this.#s3.completeMultipartUpload({ ...this.#upload, MultipartUpload, IfNoneMatch: '*' });
      } catch (error) {
        const isRefused = REFUSALS.has(codeOf(error));
        if (!isRefused && codeOf(error) !== 'NoSuchUpload') throw error;
        // An earlier try may have succeeded without an answer.
        const { Bucket, Key } = this.#upload;
        if ((await findOwnWrite(this.#s3, { Bucket, Key }, this.#nonce)) !== undefined) return;
        throw isRefused ? new DriverError('offset-conflict', Key, { cause: error }) : error;
      }
    });
  }

  async abort(): Promise<void> {
    await this.#attempt(() => this.#s3.abortMultipartUpload(this.#upload));
  }

  async #attempt<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw driverError(error, this.#upload.Key);
    }
  }
}

/** A part of an upload is soon gone: a class for long storage would be charged for. */
export function partSettings({ StorageClass: _, ...settings }: WriteSettings): WriteSettings {
  return settings;
}

/** Begins writes in pieces, where the store turns out to be fit for it. */
export class MultipartWrites {
  readonly #s3: S3;
  readonly #settings: WriteSettings;
  #isFit: Promise<boolean> | undefined;

  constructor(s3: S3, settings: WriteSettings) {
    this.#s3 = s3;
    this.#settings = partSettings(settings);
  }

  /**
   * Finds out with the first call whether the store is fit: small uploads need not know.
   *
   * @throws DriverError
   */
  async begin(target: ObjectName): Promise<PiecewiseWrite | undefined> {
    this.#isFit ??= this.#probe({ ...target, Key: `${target.Key}~${randomUUID()}` }).catch((error: unknown) => {
      this.#isFit = undefined;
      throw error;
    });
    try {
      return (await this.#isFit) ? await this.#create(target) : undefined;
    } catch (error) {
      throw driverError(error, target.Key);
    }
  }

  async #create(target: ObjectName): Promise<PiecewiseWrite> {
    const nonce = randomUUID();
    const input = { ...target, ...this.#settings, Metadata: { [NONCE]: nonce } };
    const { UploadId } = await this.#s3.createMultipartUpload(input);
    return new MultipartWrite(this.#s3, target, UploadId, nonce);
  }

  /** Whether an upload is completed only where there is no object, tried on one of our own. */
  async #probe(target: ObjectName): Promise<boolean> {
    await this.#s3.putObject({ ...target, ...this.#settings, Body: '' });
    const isFit = await this.#isRefused(target);
    await this.#s3.deleteObject({ ...target });
    return isFit;
  }

  /** A store that does not know the condition may ignore it, or refuse to complete anything with it. */
  async #isRefused(target: ObjectName): Promise<boolean> {
    const upload = await this.#create(target);
    try {
      await upload.add(Uint8Array.of(0));
      await upload.complete();
      return false;
    } catch (error) {
      await upload.abort().catch(() => undefined);
      if (isDriverError(error, 'offset-conflict')) return true;
      if (isFinal(statusOf((error as DriverError).cause))) return false;
      throw error;
    }
  }
}

/** Whether a status says that asking again would not help. */
function isFinal(status = 500): boolean {
  return status === 501 || (status < 500 && status !== 408 && status !== 429);
}
