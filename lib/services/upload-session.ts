// An upload session as it stands in the store: when it began, how much it has received and, once a
// PUT has verified that, the seal which says what it is published as.
import type { StorageDriver } from '../contracts/storage.js';
import { isDriverError, RegistryError } from '../errors.js';
import { type Digest, isDigest } from '../model/digest.js';
import type { RepositoryName } from '../model/repository-name.js';
import { blobKey, uploadDataKey, uploadKey, uploadStartedKey } from './keys.js';
import { orAbsent, removeIfPresent } from './links.js';
import type { UploadState } from './upload-state.js';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Which session a request is about, and the state that the client brought along, already verified. */
export interface SessionReference {
  readonly repository: RepositoryName;
  readonly uuid: string;
  readonly state?: UploadState | undefined;
}

/** What a session was verified to hold. */
export interface Seal {
  readonly digest: Digest;
  readonly size: number;
}

export interface Session extends UploadState {
  /** Set once a PUT has begun to publish the content: nothing may be appended any more. */
  readonly seal?: Seal | undefined;
}

/** The sessions of a store. The first line of `startedat` is distribution's; a seal follows it. */
export class UploadSessions {
  readonly #storage: StorageDriver;

  constructor(storage: StorageDriver) {
    this.#storage = storage;
  }

  begin({ repository, uuid, startedAt }: UploadState): Promise<void> {
    return this.#storage.put(uploadStartedKey(repository, uuid), Buffer.from(startedAt));
  }

  /**
   * The session; its digest is known where the state that the client brought is just as long.
   *
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN`; `BLOB_UPLOAD_INVALID` for the state of another session.
   */
  async read(reference: SessionReference): Promise<Session> {
    const { repository, uuid, state } = reference;
    if (!UUID.test(uuid)) throw unknownSession(reference);
    if (state !== undefined && (state.uuid !== uuid || state.repository !== repository)) {
      throw new RegistryError('BLOB_UPLOAD_INVALID', '_state is of another session');
    }
    const [started, data] = await Promise.all([
      orAbsent(this.#storage.get(uploadStartedKey(repository, uuid))),
      orAbsent(this.#storage.stat(uploadDataKey(repository, uuid))),
    ]);
    if (started === undefined) throw unknownSession(reference);
    const [startedAt = '', digest = '', size] = started.toString('latin1').split('\n');
    const offset = data?.size ?? 0;
    const algorithm = state?.algorithm ?? 'sha256';
    return {
      ...(state?.offset === offset ? state : { repository, uuid, offset, startedAt, algorithm }),
      ...(isDigest(digest) && { seal: { digest, size: Number(size) } }),
    };
  }

  /** From here on the session can only be published, and only as `digest`. */
  async seal({ repository, uuid, startedAt, offset }: UploadState, digest: Digest): Promise<Seal> {
    await this.#storage.put(uploadStartedKey(repository, uuid), Buffer.from(`${startedAt}\n${digest}\n${offset}`));
    return { digest, size: offset };
  }

  /**
   * Publishes what a session holds under the digest of its seal.
   *
   * A host that has not seen the seal may yet append: to what was sealed, or, after it was published
   * once, to nothing. So a repeated call leaves alone what is there, and what turns out to be of
   * another size is taken away again.
   */
  async publish({ repository, uuid, seal: earlier }: Session, { digest, size }: Seal): Promise<void> {
    const key = blobKey(digest);
    if (earlier !== undefined && (await orAbsent(this.#storage.stat(key)))?.size === size) return;
    await this.#storage.commit(uploadDataKey(repository, uuid), key);
    if ((await this.#storage.stat(key)).size === size) return;
    await removeIfPresent(this.#storage, key);
    await this.remove({ repository, uuid });
    throw new RegistryError('DIGEST_INVALID', { digest, problem: 'the upload was still being written' });
  }

  async remove({ repository, uuid }: SessionReference): Promise<void> {
    await removeIfPresent(this.#storage, uploadKey(repository, uuid));
  }
}

export function unknownSession({ uuid }: SessionReference, cause?: unknown): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { uuid: uuid.slice(0, 100) }, { cause });
}

/** What a driver's refusal means in the middle of a request: another host is at work on the same session. */
export function collision(error: unknown, reference: SessionReference): unknown {
  if (isDriverError(error, 'not-found')) return unknownSession(reference, error);
  if (!isDriverError(error, 'offset-conflict')) return error;
  return new RegistryError('RANGE_INVALID', 'another request is appending', { cause: error });
}
