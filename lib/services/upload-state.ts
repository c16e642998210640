// The state of an upload session as it travels in `Location`, so that any host with the same secret
// can serve the next request: base64url of an HMAC-SHA256 and the JSON that it signs.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { RegistryError } from '../errors.js';
import type { Digest, DigestAlgorithm } from '../model/digest.js';
import type { RepositoryName } from '../model/repository-name.js';

export interface UploadState {
  readonly repository: RepositoryName;
  readonly uuid: string;
  /** How many bytes were received when this state was made. */
  readonly offset: number;
  /** When the session began, ISO 8601. */
  readonly startedAt: string;
  /** When the last bytes were received, in milliseconds since 1970. */
  readonly receivedAt?: number;
  readonly algorithm: DigestAlgorithm;
  /** The digest of those bytes, where the host that received them could tell. */
  readonly digest?: Digest;
  /** The hash over those bytes, for whichever host goes on: as `RunningHash.save` answers it. */
  readonly hash?: string | undefined;
}

const SIGNATURE_BYTES = 32;

export class UploadStateCodec {
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  encode(state: UploadState): string {
    const json = Buffer.from(JSON.stringify(state));
    return Buffer.concat([this.#sign(json), json]).toString('base64url');
  }

  /** @throws RegistryError `BLOB_UPLOAD_INVALID` for anything that was not made by {@link encode} with this secret. */
  decode(token: string): UploadState {
    const bytes = Buffer.from(token, 'base64url');
    const json = bytes.subarray(SIGNATURE_BYTES);
    if (json.length === 0 || !timingSafeEqual(bytes.subarray(0, SIGNATURE_BYTES), this.#sign(json))) {
      throw new RegistryError('BLOB_UPLOAD_INVALID', '_state is not of this registry');
    }
    return JSON.parse(json.toString('utf8')) as UploadState;
  }

  #sign(json: Buffer): Buffer {
    return createHmac('sha256', this.#secret).update(json).digest();
  }
}
