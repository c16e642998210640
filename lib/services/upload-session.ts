// An upload session as it stands in the store: when it began, how much it has received and, once a
// PUT has verified that, the seal which says what it is published as.
import type { StorageDriver } from '../contracts/storage.js';
import { isDriverError, RegistryError } from '../errors.js';
import { type Digest, isDigest } from '../model/digest.js';
import type { RepositoryName } from '../model/repository-name.js';
import { blobKey, uploadDataKey, uploadKey, uploadStartedKey } from './keys.js';
import { orAbsent, removeIfPresent } from './links.js';
import type { UploadState } from './upload-state.js';
import { lookAgain, notYetVisible, type Visibility } from './visibility.js';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether it may be the name of a session. */
export function isSessionName(text: string): boolean {
  return UUID.test(text);
}

/** The name under which the requests to a session take turns: whoever has it is at work. */
export function sessionLease({ uuid }: Pick<SessionReference, 'uuid'>): string {
  return `uploads/${uuid}`;
}

/** Which session a request is about, and what is known of it before the store is asked. */
export interface SessionReference {
  readonly repository: RepositoryName;
  readonly uuid: string;
  /** As a host has left it, verified. */
  readonly state?: UploadState | undefined;
  /** How many bytes the client believes that there are, where it says so. */
  readonly claimed?: number | undefined;
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
  readonly #visibility: Visibility;

  constructor(storage: StorageDriver, visibility: Visibility) {
    this.#storage = storage;
    this.#visibility = visibility;
  }

  begin({ repository, uuid, startedAt }: UploadState): Promise<void> {
    const key = uploadStartedKey(repository, uuid);
    return this.#visibility.writing(key, () => this.#storage.put(key, Buffer.from(startedAt)));
  }

  /**
   * The session; its digest is known where the state is just as long.
   *
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN`; `BLOB_UPLOAD_INVALID` for the state of another session.
   */
  async read(reference: SessionReference): Promise<Session> {
    const { repository, uuid, state } = reference;
    if (!isSessionName(uuid)) throw unknownSession(reference);
    if (state !== undefined && (state.uuid !== uuid || state.repository !== repository)) {
      throw new RegistryError('BLOB_UPLOAD_INVALID', '_state is of another session');
    }
    const startedKey = uploadStartedKey(repository, uuid);
    const [started, received] = await Promise.all([
      this.#visibility.find(startedKey, () => orAbsent(this.#storage.get(startedKey))),
      this.#received(repository, uuid),
    ]);
    if (started === undefined) throw unknownSession(reference);
    const [startedAt = '', digest = '', size] = started.toString('latin1').split('\n');
    const isSealed = isDigest(digest);
    // What is sealed may have been published, and then it is gone from here.
    const offset = isSealed ? received : await this.#atLeast(state, received);
    const algorithm = state?.algorithm ?? 'sha256';
    return {
      ...(state?.offset === offset ? state : { repository, uuid, offset, startedAt, algorithm }),
      ...(isSealed && { seal: { digest, size: Number(size) } }),
    };
  }

  async #received(repository: RepositoryName, uuid: string): Promise<number> {
    return (await orAbsent(this.#storage.stat(uploadDataKey(repository, uuid))))?.size ?? 0;
  }

  /** A state says how much there was once: a store that shows less is given time to show it. */
  async #atLeast(state: UploadState | undefined, received: number): Promise<number> {
    if (state === undefined || received >= state.offset) return received;
    const { repository, uuid, offset, receivedAt } = state;
    const all = await lookAgain(async () => {
      const now = await this.#received(repository, uuid);
      return now >= offset ? now : undefined;
    });
    if (all !== undefined) return all;
    if (this.#visibility.mayBeLate(receivedAt)) throw notYetVisible(uploadDataKey(repository, uuid));
    return this.#received(repository, uuid);
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
   * once, to nothing. So a repeated call leaves alone what is there, and nothing of another size than
   * was sealed is published.
   *
   * @param patiently whether nobody can repeat the call, which is therefore worth a longer wait.
   */
  async publish(session: Session, { digest, size }: Seal, patiently = false): Promise<void> {
    const { repository, uuid, seal: earlier } = session;
    const [from, to] = [uploadDataKey(repository, uuid), blobKey(digest)];
    if (earlier !== undefined && (await orAbsent(this.#storage.stat(to)))?.size === size) return;
    const commit = async () => {
      await this.#storage.commit(from, to, { size });
      await this.#visibility.wrote(to);
    };
    try {
      await commit();
    } catch (error) {
      if (!isLate(error)) throw error;
      if ((await this.#received(repository, uuid)) > size) {
        await this.remove({ repository, uuid });
        throw new RegistryError('DIGEST_INVALID', { digest, problem: 'the upload was still being written' });
      }
      if ((await lookAgain(() => unlessLate(commit()), patiently)) !== undefined) return;
      // What this request has appended is there, and what others have lately may be.
      const isSure = patiently || (earlier === undefined && session.offset < size);
      const isLikely = this.#visibility.mayBeLate(session.receivedAt) || (await this.#visibility.expects(to));
      throw isSure || isLikely ? notYetVisible(from, error) : error;
    }
  }

  async remove({ repository, uuid }: SessionReference): Promise<void> {
    await this.#visibility.removed(uploadStartedKey(repository, uuid));
    await removeIfPresent(this.#storage, uploadKey(repository, uuid));
  }
}

/** Whether it may be the fault of a store that shows writes late. */
function isLate(error: unknown): boolean {
  return isDriverError(error, 'not-found') || isDriverError(error, 'offset-conflict');
}

async function unlessLate(call: Promise<void>): Promise<true | undefined> {
  try {
    await call;
    return true;
  } catch (error) {
    if (isLate(error)) return undefined;
    throw error;
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
