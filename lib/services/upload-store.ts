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
import { uploadDataKey } from './keys.js';
import type { Leases } from './leases.js';
import { exactly } from './spans.js';
import { UploadHash } from './upload-hash.js';
import {
  collision,
  type Seal,
  type Session,
  type SessionReference,
  UploadSessions,
  unknownSession,
} from './upload-session.js';
import type { UploadState } from './upload-state.js';

/** Bytes to append: those of a request. */
export interface Chunk {
  readonly source: AsyncIterable<Uint8Array>;
  /** Where the client says they begin, and how many they are; by default wherever the state it brought ended. */
  readonly start?: number | undefined;
  readonly length?: number | undefined;
  readonly signal: AbortSignal;
}

export interface UploadStoreParts {
  readonly storage: StorageDriver;
  readonly blobs: BlobStore;
  readonly leases: Leases;
  /** Whether other processes may go on with a session. */
  readonly portable: boolean;
  readonly log: Logger;
  readonly clock: () => number;
}

export class UploadStore {
  readonly #storage: StorageDriver;
  readonly #sessions: UploadSessions;
  readonly #blobs: BlobStore;
  readonly #log: Logger;
  readonly #clock: () => number;
  readonly #leases: Leases;
  readonly #hash: UploadHash;

  constructor({ storage, blobs, leases, portable, log, clock }: UploadStoreParts) {
    this.#storage = storage;
    this.#sessions = new UploadSessions(storage);
    this.#blobs = blobs;
    this.#leases = leases;
    this.#hash = new UploadHash(storage, log, portable);
    this.#log = log;
    this.#clock = clock;
  }

  /** How many bytes were read back from the store to know their digest, since the start. */
  get bytesReread(): number {
    return this.#hash.bytesReread;
  }

  /** Begins a session whose content will be known by a digest of `algorithm`. */
  async start(repository: RepositoryName, algorithm: DigestAlgorithm): Promise<UploadState> {
    const uuid = randomUUID();
    const startedAt = new Date(this.#clock()).toISOString();
    const state = { repository, uuid, offset: 0, startedAt, algorithm };
    await this.#sessions.begin(state);
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
      return this.#append(session, chunk, reference.state, lease);
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
  finish(reference: SessionReference, digest: Digest, chunk?: Chunk): Promise<Descriptor> {
    return this.#turn(reference, async (session, lease) => {
      if (session.seal !== undefined && session.seal.digest !== digest) throw unknownSession(reference);
      const seal = session.seal ?? (await this.#receive(session, digest, chunk, reference.state, lease));
      await this.#sessions.publish(session, seal);
      const descriptor = { mediaType: OCTET_STREAM, digest, size: seal.size };
      await this.#blobs.link(session.repository, digest, descriptor);
      await this.#clear(session);
      return descriptor;
    });
  }

  /** Ends a session and gives back what it held. */
  cancel(reference: SessionReference): Promise<void> {
    return this.#turn(reference, (session) => this.#remove(session));
  }

  async #turn<T>(reference: SessionReference, work: (session: Session, lease: Lease) => Promise<T>): Promise<T> {
    const turn = async (lease: Lease) => work(await this.#sessions.read(reference), lease);
    const done = await this.#leases.take(`uploads/${reference.uuid}`, turn).catch((error: unknown) => {
      throw collision(error, reference);
    });
    if (done === undefined) throw new RegistryError('RANGE_INVALID', 'another request is still appending');
    return done.result;
  }

  async #append(session: Session, chunk: Chunk, state: UploadState | undefined, lease: Lease): Promise<UploadState> {
    const { repository, uuid, offset } = session;
    const start = chunk.start ?? state?.offset ?? offset;
    if (start !== offset) throw new RegistryError('RANGE_INVALID', { offset, start });
    const digester = await this.#hash.begin(session, chunk.start !== undefined);
    const source = chunk.length === undefined ? chunk.source : exactly(chunk.source, chunk.length);
    const hashed = digester === undefined ? source : digester.through(source);
    const signal = AbortSignal.any([chunk.signal, lease.signal]);
    try {
      const size = await this.#storage.append(uploadDataKey(repository, uuid), offset, hashed, { signal });
      return this.#hash.end({ ...session, offset: size }, digester);
    } catch (error) {
      await this.#hash.breakOff(session, digester);
      throw error;
    }
  }

  /** Takes in the last chunk, verifies the whole, and seals the session: from here on it can only be published. */
  async #receive(
    session: Session,
    digest: Digest,
    chunk: Chunk | undefined,
    state: UploadState | undefined,
    lease: Lease,
  ): Promise<Seal> {
    const named = session.offset === 0 ? { ...session, algorithm: digestAlgorithm(digest) } : session;
    const received = chunk === undefined ? named : await this.#append(named, chunk, state, lease);
    const { repository, uuid, offset } = received;
    const actual = await this.#hash.digest(received, digest);
    if (actual !== digest) {
      await this.#remove(received);
      throw new RegistryError('DIGEST_INVALID', { digest, actual });
    }
    if (offset === 0) await this.#storage.append(uploadDataKey(repository, uuid), 0, nothing());
    // Whoever has the lease by now may have appended since.
    await lease.confirm();
    return this.#sessions.seal(received, digest);
  }

  #remove(session: UploadState): Promise<void> {
    this.#hash.drop(session.uuid);
    return this.#sessions.remove(session);
  }

  /** The blob is there: what is left of its session must not make the upload fail. */
  async #clear(session: UploadState): Promise<void> {
    try {
      await this.#remove(session);
    } catch (err) {
      this.#log.warn({ err, repository: session.repository, uuid: session.uuid }, 'a finished session was left behind');
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, void> {}
