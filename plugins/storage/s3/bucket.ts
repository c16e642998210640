// A bucket of S3 as `objectStorage` wants it: its requests, their answers and their failures in the
// words of the contract.
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput, ListObjectsV2CommandOutput, S3 } from '@aws-sdk/client-s3';
import {
  type Bucket,
  type BucketListOptions,
  type BucketObject,
  type BucketPage,
  type BucketReadOptions,
  type BucketWriteOptions,
  type CallOptions,
  DriverError,
  isDriverError,
  type PiecewiseWrite,
  type PurgeOptions,
  type UrlOptions,
} from 'koa-registry';
import { abortAbandoned } from './abandoned-uploads.js';
import type { Connection } from './connection.js';
import { bucketError, codeOf, driverError } from './errors.js';
import { findOwnWrite, joinObjects, NONCE, type WriteSettings } from './join.js';
import { MultipartWrites, partSettings } from './piecewise.js';

/** S3's own bounds of the parts of a multipart upload: the least size of all but the last, and the number. */
const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PARTS = 10_000;

/** The most names that one request deletes. */
const BATCH = 1000;

/** The ETag of no object. */
const NO_VERSION = '"00000000000000000000000000000000"';

/** For how long a signature of version 4 may hold, in milliseconds. */
const LONGEST_URL = 7 * 86_400_000;

/** How a condition of a write fails; where a version is expected, also by the object's absence. */
const REFUSALS: ReadonlySet<string> = new Set(['PreconditionFailed', 'ConditionalRequestConflict', 'NoSuchKey']);

export interface S3BucketOptions {
  readonly connection: Connection;
  readonly bucket: string;
  readonly settings: WriteSettings;
  /** Signs the URL of an object. */
  readonly sign: (name: string, method: UrlOptions['method'], seconds: number) => Promise<string>;
}

export class S3Bucket implements Bucket {
  readonly minPartBytes = MIN_PART_BYTES;
  readonly maxParts = MAX_PARTS;
  readonly #s3: S3;
  readonly #bucket: string;
  readonly #settings: WriteSettings;
  readonly #sign: S3BucketOptions['sign'];
  readonly #release: () => void;
  readonly #pieces: MultipartWrites;

  constructor({ connection, bucket, settings, sign }: S3BucketOptions) {
    this.#s3 = connection.s3;
    this.#release = connection.close;
    this.#bucket = bucket;
    this.#settings = settings;
    this.#pieces = new MultipartWrites(connection.s3, settings);
    this.#sign = sign;
  }

  /** Gets the first byte: HEAD answers an absent bucket as it does an absent object, by a 404 without a body. */
  async head(name: string, options?: CallOptions): Promise<BucketObject> {
    try {
      const answer = await this.#get(name, 'bytes=0-0', options?.signal);
      (answer.Body as Readable).resume();
      return stored(name, answer, Number(answer.ContentRange?.split('/')[1] ?? answer.ContentLength));
    } catch (error) {
      if (!isDriverError(error, 'invalid-offset')) throw error;
    }
    // An empty object has no first byte.
    return this.#attempt(name, options?.signal, async (within) => {
      const answer = await this.#s3.headObject({ Bucket: this.#bucket, Key: name }, within);
      return stored(name, answer, answer.ContentLength);
    });
  }

  async read(name: string, { start = 0, end, signal }: BucketReadOptions = {}): Promise<Readable> {
    const range = start === 0 && end === undefined ? undefined : `bytes=${start}-${end ?? ''}`;
    return (await this.#get(name, range, signal)).Body as Readable;
  }

  async write(name: string, bytes: Uint8Array, { expect, signal }: BucketWriteOptions = {}): Promise<BucketObject> {
    const target = { Bucket: this.#bucket, Key: name };
    const nonce = randomUUID();
    return this.#attempt(name, signal, async (within) => {
      try {
        const input = { ...target, ...this.#conditions(expect, nonce), Body: bytes };
        return stored(name, await this.#s3.putObject(input, within), bytes.byteLength);
      } catch (error) {
        if (expect === undefined || !REFUSALS.has(codeOf(error))) throw error;
        const ETag = await findOwnWrite(this.#s3, target, nonce);
        if (ETag === undefined) throw new DriverError('offset-conflict', name, { cause: error });
        return stored(name, { ETag }, bytes.byteLength);
      }
    });
  }

  async begin(name: string): Promise<PiecewiseWrite | undefined> {
    return this.#pieces.begin({ Bucket: this.#bucket, Key: name });
  }

  async join(parts: readonly BucketObject[], to: string): Promise<void> {
    await this.#attempt(to, undefined, () => joinObjects(this.#s3, this.#bucket, parts, to, this.#settings));
  }

  async list(prefix: string, options: BucketListOptions): Promise<BucketPage> {
    const { delimited, from = '', limit, next, signal } = options;
    const input = {
      Bucket: this.#bucket,
      Prefix: prefix,
      ...(delimited && { Delimiter: '/' }),
      ...(from > prefix && { StartAfter: justBefore(from) }),
      ...(limit !== undefined && { MaxKeys: limit }),
      ...(next !== undefined && { ContinuationToken: next }),
    };
    return page(await this.#attempt(prefix, signal, (within) => this.#s3.listObjectsV2(input, within)));
  }

  async delete(names: readonly string[]): Promise<void> {
    const [first = ''] = names;
    if (names.length === 1) {
      const target = { Bucket: this.#bucket, Key: first };
      await this.#attempt(first, undefined, () => this.#s3.deleteObject(target));
    } else {
      for (let at = 0; at < names.length; at += BATCH) await this.#deleteBatch(names.slice(at, at + BATCH));
    }
  }

  async url(name: string, { method, expires }: UrlOptions): Promise<string | undefined> {
    return expires > LONGEST_URL ? undefined : this.#sign(name, method, Math.ceil(expires / 1000));
  }

  async purge(prefix: string, options: PurgeOptions): Promise<number> {
    const below = { s3: this.#s3, bucket: this.#bucket, prefix };
    return this.#attempt(prefix, options.signal, () => abortAbandoned(below, options));
  }

  async check(options?: CallOptions): Promise<void> {
    await this.#attempt('', options?.signal, async (within) => {
      try {
        await this.#s3.headBucket({ Bucket: this.#bucket }, within);
      } catch (error) {
        throw bucketError(error, this.#bucket);
      }
    });
  }

  async close(): Promise<void> {
    this.#release();
  }

  /**
   * Rejects with `unsupported` where the store does not honour the conditions of writes, without which
   * two hosts could append to one upload at once.
   *
   * @param name of an object that nobody else writes. It is not there, and in the end is not.
   */
  async checkConditions(name: string, options?: CallOptions): Promise<void> {
    const refuses = async (expect: BucketWriteOptions['expect']) => {
      try {
        await this.write(name, new Uint8Array(), { ...options, expect });
        return false;
      } catch (error) {
        if (isDriverError(error, 'offset-conflict')) return true;
        throw error;
      }
    };
    // There are stores that hold a version only against an object, and that is good enough.
    await this.write(name, new Uint8Array(), { ...options, expect: 'absent' });
    const honoured = (await refuses('absent')) && (await refuses({ version: NO_VERSION }));
    await this.delete([name]);
    if (honoured) return;
    throw new DriverError('unsupported', name, { cause: new Error('the store ignores the conditions of a write') });
  }

  async #get(
    name: string,
    range: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<GetObjectCommandOutput> {
    const input = { Bucket: this.#bucket, Key: name, ...(range !== undefined && { Range: range }) };
    return this.#attempt(name, signal, (within) => this.#s3.getObject(input, within));
  }

  /** What is written under a condition is a part of an upload. */
  #conditions(expect: BucketWriteOptions['expect'], nonce: string) {
    if (expect === undefined) return this.#settings;
    const condition = expect === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: expect.version };
    return { ...partSettings(this.#settings), ...condition, Metadata: { [NONCE]: nonce } };
  }

  async #deleteBatch(names: readonly string[]): Promise<void> {
    const Delete = { Objects: names.map((Key) => ({ Key })), Quiet: true };
    const call = () => this.#s3.deleteObjects({ Bucket: this.#bucket, Delete });
    const { Errors = [] } = await this.#attempt(names[0] ?? '', undefined, call);
    const failure = Errors.find(({ Code }) => Code !== 'NoSuchKey');
    if (failure === undefined) return;
    const cause = new Error(`${failure.Code}: ${failure.Message}`);
    throw new DriverError('unavailable', failure.Key ?? '', { cause });
  }

  async #attempt<T>(
    name: string,
    signal: AbortSignal | undefined,
    call: (within: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    try {
      return await call(signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw driverError(error, name);
    }
  }
}

/** An object, after an answer about it; only some say when it was written. */
function stored(
  name: string,
  { ETag = '', LastModified = new Date() }: { ETag?: string | undefined; LastModified?: Date | undefined },
  size = 0,
): BucketObject {
  return { name, size, modified: LastModified, version: ETag };
}

function page({ Contents = [], CommonPrefixes = [], ...rest }: ListObjectsV2CommandOutput): BucketPage {
  return {
    objects: Contents.map((object) => stored(object.Key ?? '', object, object.Size)),
    prefixes: CommonPrefixes.map(({ Prefix = '' }) => Prefix),
    next: rest.IsTruncated === true ? rest.NextContinuationToken : undefined,
  };
}

/**
 * What S3 has to begin after so that it begins with `from`: no name is between the two, as `~` comes
 * after every character that a name can have.
 */
function justBefore(from: string): string {
  const last = from.length - 1;
  return `${from.slice(0, last)}${String.fromCharCode(from.charCodeAt(last) - 1)}~`;
}
