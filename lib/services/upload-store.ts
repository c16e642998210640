// Upload sessions: begin, append, finish, cancel. What a session has received stands in the store;
// what a host must know to go on travels in the client's `Location`.
import { randomUUID } from 'node:crypto';
import type { Lease } from '../contracts/coordination.js';
import type { Logger } from '../contracts/logger.js';
import type { StorageDriver } from '../contracts/storage.js';
import { RegistryError } from '../errors.js';
import type { Descriptor } from '../model/descriptor.js';
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../model/digest.js';
import { OCTET_STREAM } from '../model/media-types.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { BlobStore } from './blob-store.js';
import { bytesOf, type Chunk } from './chunk.js';
import { uploadDataKey } from './keys.js';
import type { Leases } from './leases.js';
import { UploadHash } from './upload-hash.js';
import {
  collision,
  type Seal,
  type Session,
  type SessionReference,
  sessionLease,
  UploadSessions,
  unknownSession,
} from './upload-session.js';
import type { UploadState } from './upload-state.js';
import type { UploadStates } from './upload-states.js';
import type { Visibility } from './visibility.js';

export interface UploadStoreParts {
  readonly storage: StorageDriver;
  readonly blobs: BlobStore;
  readonly leases: Leases;
  readonly visibility: Visibility;
  readonly states: UploadStates;
  /** Whether other processes may go on with a session. */
  readonly portable: boolean;
  readonly log: Logger;
  readonly clock: () => number;
}

export class UploadStore {
  readonly #parts: UploadStoreParts;
  readonly #sessions: UploadSessions;
  readonly #hash: UploadHash;

  constructor(parts: UploadStoreParts) {
    this.#parts = parts;
    this.#sessions = new UploadSessions(parts.storage, parts.visibility);
    this.#hash = new UploadHash(parts.storage, parts.portable);
  }

  /** How many bytes were read back from the store to know their digest, since the start. */
  get bytesReread(): number {
    return this.#hash.bytesReread;
  }

  /** Begins a session whose content will be known by a digest of `algorithm`. */
  async start(repository: RepositoryName, algorithm: DigestAlgorithm): Promise<UploadState> {
    const uuid = randomUUID();
    const startedAt = new Date(this.#parts.clock()).toISOString();
    const state = { repository, uuid, offset: 0, startedAt, algorithm };
    await this.#sessions.begin(state);
    await this.#parts.states.save(state);
    return state;
  }

  /**
   * How far a session is.
   *
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN`; `BLOB_UPLOAD_INVALID` for the state of another session.
   */
  status(reference: SessionReference): Promise<UploadState> {
    return this.#sessions.read(reference);
  }

  /**
   * Streams a chunk on at the end of a session.
   *
   * @throws RegistryError as {@link status}; `RANGE_INVALID` when the chunk does not begin at the end
   *   of what is there; `SIZE_INVALID` when it has another length than announced. The session
   *   survives both.
   */
  append(reference: SessionReference, chunk: Chunk): Promise<UploadState> {
    return this.#turn(reference, async (session, lease) => {
      if (session.seal !== undefined) throw unknownSession(reference);
      const state = await this.#append(session, chunk, reference.claimed);
      if (lease.signal.aborted) await this.#assertOpen(state);
      await this.#parts.states.save(state);
      return state;
    });
  }

  /**
   * Ends a session: verifies `digest`, publishes the content under it, links it into the repository.
   * A crash between any two of these leaves nothing visible that is not whole, and a repeated call
   * succeeds.
   *
   * @throws RegistryError as {@link append}; `DIGEST_INVALID` when the content has another digest,
   *   and then the session is gone.
   */
  async finish(reference: SessionReference, digest: Digest, chunk?: Chunk): Promise<Descriptor> {
    try {
      return await this.#finish(reference, digest, chunk);
    } catch (error) {
      const isOver = error instanceof RegistryError && error.code === 'BLOB_UPLOAD_UNKNOWN';
      // The answer to an earlier PUT may have been lost, or a proxy may have sent it twice.
      const isRepeated = isOver && chunk === undefined && reference.state?.digest === digest;
      const finished = isRepeated && (await this.#parts.blobs.confirm(reference.repository, digest));
      if (finished) return finished;
      throw error;
    }
  }

  #finish(reference: SessionReference, digest: Digest, chunk?: Chunk): Promise<Descriptor> {
    return this.#turn(reference, async (session) => {
      if (session.seal !== undefined && session.seal.digest !== digest) throw unknownSession(reference);
      const seal = session.seal ?? (await this.#receive(session, digest, chunk, reference.claimed));
      await this.#sessions.publish(session, seal);
      return this.#enter(session, seal);
    });
  }

  /**
   * Takes in a whole blob, in a session that nobody else knows of: where that fails the session goes too.
   *
   * @throws RegistryError `DIGEST_INVALID`; `SIZE_INVALID` as {@link append}.
   */
  async receive(repository: RepositoryName, digest: Digest, chunk?: Chunk): Promise<Descriptor> {
    const session = await this.start(repository, digestAlgorithm(digest));
    try {
      const seal = await this.#receive(session, digest, chunk);
      await this.#sessions.publish(session, seal, true);
      return await this.#enter(session, seal);
    } catch (error) {
      await this.#clear(session);
      throw collision(error, session);
    }
  }

  /** Makes published content a blob of the session's repository. */
  async #enter(session: UploadState, { digest, size }: Seal): Promise<Descriptor> {
    const descriptor = { mediaType: OCTET_STREAM, digest, size };
    await this.#parts.blobs.link(session.repository, digest, descriptor);
    await this.#clear(session);
    return descriptor;
  }

  /** Ends a session and gives back what it held. */
  cancel(reference: SessionReference): Promise<void> {
    return this.#turn(reference, (session) => this.#remove(session));
  }

  /** After a pause: another host may have ended the session, and then what was stored since belongs to nothing. */
  async #assertOpen(state: UploadState): Promise<void> {
    const { seal, offset } = await this.#sessions.read({ ...state, state });
    if (seal !== undefined) throw unknownSession(state);
    if (offset !== state.offset) throw new RegistryError('RANGE_INVALID', { offset, start: state.offset });
  }

  async #turn<T>(reference: SessionReference, work: (session: Session, lease: Lease) => Promise<T>): Promise<T> {
    const turn = async (lease: Lease) => work(await this.#sessions.read(reference), lease);
    const done = await this.#parts.leases.take(sessionLease(reference), turn).catch((error: unknown) => {
      throw collision(error, reference);
    });
    if (done === undefined) throw new RegistryError('RANGE_INVALID', 'another request is still appending');
    return done.result;
  }

  /**
   * The lease is not asked again, here or before the seal: it keeps hosts from disturbing each other, and may be
   * lost. Of two appends at one offset the store lets one win, and it publishes the size that was sealed or nothing.
   */
  async #append(session: Session, chunk: Chunk, claimed?: number): Promise<UploadState> {
    const { repository, uuid, offset } = session;
    const start = chunk.start ?? claimed ?? offset;
    if (start !== offset) throw new RegistryError('RANGE_INVALID', { offset, start });
    const digester = await this.#hash.begin(session, chunk.start !== undefined);
    const hashed = digester === undefined ? bytesOf(chunk) : digester.through(bytesOf(chunk));
    const { storage, clock } = this.#parts;
    const { signal } = chunk;
    const size = await storage.append(uploadDataKey(repository, uuid), offset, hashed, { signal });
    return this.#hash.end({ ...session, offset: size, receivedAt: clock() }, digester);
  }

  /** Takes in the last chunk, verifies the whole, and seals the session: from here on it can only be published. */
  async #receive(session: Session, digest: Digest, chunk?: Chunk, claimed?: number): Promise<Seal> {
    const named = session.offset === 0 ? { ...session, algorithm: digestAlgorithm(digest) } : session;
    const received = chunk === undefined ? named : await this.#append(named, chunk, claimed);
    const { repository, uuid, offset } = received;
    const actual = await this.#hash.digest(received, digest);
    if (actual !== digest) {
      await this.#remove(received);
      throw new RegistryError('DIGEST_INVALID', { digest, actual });
    }
    if (offset === 0) await this.#parts.storage.append(uploadDataKey(repository, uuid), 0, nothing());
    return this.#sessions.seal(received, digest);
  }

  async #remove(session: UploadState): Promise<void> {
    this.#hash.drop(session.uuid);
    await Promise.all([this.#sessions.remove(session), this.#parts.states.end(session)]);
  }

  /** The outcome stands: what is left of its session must not change it. */
  async #clear(session: UploadState): Promise<void> {
    try {
      await this.#remove(session);
    } catch (err) {
      this.#parts.log.warn(
        { err, repository: session.repository, uuid: session.uuid },
        'an upload session was left behind',
      );
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, void> {}
