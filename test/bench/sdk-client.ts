// Pushing and pulling by what the stores' own SDKs offer for content of this size, with their defaults:
// what a registry's transfer is compared with.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type CompletedPart, S3, type S3ClientConfig } from '@aws-sdk/client-s3';
import { Storage } from '@google-cloud/storage';
import type { StoreAddress } from './stores.js';

/** `checked` is with the checksums that are the SDK's default. */
export interface SdkClient {
  push(name: string, content: Iterable<Uint8Array>, checked: boolean): Promise<void>;
  /** Gives the object another name, within the store. */
  rename(name: string, to: string): Promise<void>;
  pull(name: string, checked: boolean): Promise<Readable>;
}

type AddressOf<Kind> = Extract<StoreAddress, { kind: Kind }>;

/** As `storage/s3` has it; the SDK's `Upload` takes parts of 5 MiB unless it is told otherwise. */
const PART_BYTES = 8 * 1024 * 1024;

/** How many parts the SDK's `Upload` sends at once. */
const PARTS_AT_ONCE = 4;

/** Resumable, as the documentation advises from some megabytes on, and in one request, which is the fastest of them. */
function gcsClient({ url, bucket: bucketName }: AddressOf<'gcs'>): SdkClient {
  const bucket = new Storage({ apiEndpoint: url, projectId: 'bench' }).bucket(bucketName);
  const validationIf = (checked: boolean) => (checked ? {} : { validation: false as const });
  return {
    async push(name, content, checked) {
      const target = bucket.file(name).createWriteStream({ resumable: true, ...validationIf(checked) });
      await pipeline(Readable.from(content, { objectMode: false }), target);
    },
    async rename(name, to) {
      await bucket.file(name).move(bucket.file(to));
    },
    pull: async (name, checked) => bucket.file(name).createReadStream(validationIf(checked)),
  };
}

function s3Client({ url: endpoint, bucket, accessKey, secretKey }: AddressOf<'s3'>): SdkClient {
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey };
  const config: S3ClientConfig = { region: 'us-east-1', endpoint, forcePathStyle: true, credentials };
  const bare: S3ClientConfig = {
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  };
  const clients = { checked: new S3(config), bare: new S3({ ...config, ...bare }) };
  const clientIf = (checked: boolean) => clients[checked ? 'checked' : 'bare'];
  return {
    push: (Key, content, checked) => pushInParts(clientIf(checked), { Bucket: bucket, Key }, content, checked),
    async rename(name, to) {
      await clients.checked.copyObject({ Bucket: bucket, Key: to, CopySource: `${bucket}/${name}` });
      await clients.checked.deleteObject({ Bucket: bucket, Key: name });
    },
    async pull(Key, checked) {
      const { Body } = await clientIf(checked).getObject({ Bucket: bucket, Key });
      return Body as Readable;
    },
  };
}

/** As the SDK's `Upload` does it, which is a package of its own. */
async function pushInParts(
  client: S3,
  target: { readonly Bucket: string; readonly Key: string },
  chunks: Iterable<Uint8Array>,
  checked: boolean,
): Promise<void> {
  const { UploadId } = await client.createMultipartUpload({
    ...target,
    ...(checked && { ChecksumAlgorithm: 'CRC32' }),
  });
  const parts: CompletedPart[] = [];
  const sending = new Set<Promise<void>>();
  const send = async (Body: Buffer, PartNumber: number) => {
    const { ETag, ChecksumCRC32 } = await client.uploadPart({ ...target, UploadId, PartNumber, Body });
    parts[PartNumber - 1] = { PartNumber, ETag, ChecksumCRC32 };
  };
  let count = 0;
  for (const part of partsOf(chunks)) {
    const sent: Promise<void> = send(part, ++count).finally(() => sending.delete(sent));
    sending.add(sent);
    if (sending.size >= PARTS_AT_ONCE) await Promise.race(sending);
  }
  await Promise.all(sending);
  await client.completeMultipartUpload({ ...target, UploadId, MultipartUpload: { Parts: parts } });
}

function* partsOf(chunks: Iterable<Uint8Array>): Generator<Buffer, void, void> {
  let gathered: Uint8Array[] = [];
  let length = 0;
  for (const chunk of chunks) {
    gathered.push(chunk);
    length += chunk.length;
    if (length < PART_BYTES) continue;
    yield Buffer.concat(gathered);
    gathered = [];
    length = 0;
  }
  if (length > 0) yield Buffer.concat(gathered);
}

/** The SDK that belongs to a store. */
export function sdkClient(address: StoreAddress): SdkClient {
  return address.kind === 'gcs' ? gcsClient(address) : s3Client(address);
}
