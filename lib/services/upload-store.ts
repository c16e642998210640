// Upload sessions: begin, append, finish, cancel. What a session has received stands in the store;
// what a host must know to go on travels in the client's `Location`.
import { randomUUID } from 'node:crypto';
import type { Logger } from '../contracts/logger.js';
import type { StorageDriver } from '../contracts/storage.js';
import { RegistryError } from '../errors.js';
import type { Descriptor } from '../model/descriptor.js';
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../model/digest.js';
import { OCTET_STREAM } from '../model/media-types.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { BlobStore } from './blob-store.js';
import { Digester, Digesters } from './digester.js';
import { uploadDataKey } from './keys.js';
import { exactly } from './spans.js';
import { Turns } from './turns.js';
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
  readonly log: Logger;
  readonly clock: () => number;
}

export class UploadStore {
  readonly #storage: StorageDriver;
  readonly #sessions: UploadSessions;
  readonly #blobs: BlobStore;
  readonly #log: Logger;
  readonly #clock: () => number;
  readonly #digesters = new Digesters();
  readonly #turns = new Turns();
  #reread = 0;

  constructor({ storage, blobs, log, clock }: UploadStoreParts) {
    this.#storage = storage;
    this.#sessions = new UploadSessions(storage);
    this.#blobs = blobs;
    this.#log = log;
    this.#clock = clock;
  }

  /** How many bytes were read back from the store to know their digest, since the start. */
  get bytesReread(): number {
    return this.#reread;
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
    return this.#turn(reference, async (session) => {
      if (session.seal !== undefined) throw unknownSession(reference);
      return this.#append(session, chunk, reference.state);
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
    return this.#turn(reference, async (session) => {
      if (session.seal !== undefined && session.seal.digest !== digest) throw unknownSession(reference);
      const seal = session.seal ?? (await this.#receive(session, digest, chunk, reference));
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

  async #turn<T>(reference: SessionReference, work: (session: Session) => Promise<T>): Promise<T> {
    const turn = async () => ({ result: await work(await this.#sessions.read(reference)) });
    const done = await this.#turns.take(reference.uuid, turn).catch((error: unknown) => {
      throw collision(error, reference);
    });
    if (done === undefined) throw new RegistryError('RANGE_INVALID', 'another request is still appending');
    return done.result;
  }

  async #append(session: Session, chunk: Chunk, state: UploadState | undefined): Promise<UploadState> {
    const { repository, uuid, offset, algorithm } = session;
    const start = chunk.start ?? state?.offset ?? offset;
    if (start !== offset) throw new RegistryError('RANGE_INVALID', { offset, start });
    const digester = this.#digesters.take(uuid, algorithm, offset);
    const source = chunk.length === undefined ? chunk.source : exactly(chunk.source, chunk.length);
    const hashed = digester === undefined ? source : digester.through(source);
    const size = await this.#storage.append(uploadDataKey(repository, uuid), offset, hashed, { signal: chunk.signal });
    const { digest: _outdated, ...next } = { ...session, offset: size };
    if (digester?.offset !== size) return next;
    this.#digesters.keep(uuid, digester);
    return { ...next, digest: digester.digest() };
  }

  /** Takes in the last chunk, verifies the whole, and seals the session: from here on it can only be published. */
  async #receive(
    session: Session,
    digest: Digest,
    chunk: Chunk | undefined,
    { state }: SessionReference,
  ): Promise<Seal> {
    const named = session.offset === 0 ? { ...session, algorithm: digestAlgorithm(digest) } : session;
    const received = chunk === undefined ? named : await this.#append(named, chunk, state);
    const { repository, uuid, offset } = received;
    const actual = await this.#digest(received, digest);
    if (actual !== digest) {
      await this.#remove(received);
      throw new RegistryError('DIGEST_INVALID', { digest, actual });
    }
    if (offset === 0) await this.#storage.append(uploadDataKey(repository, uuid), 0, nothing());
    return this.#sessions.seal(received, digest);
  }

  /** The digest of what a session holds, in the algorithm of `wanted`: known, or by reading it again. */
  async #digest(session: UploadState, wanted: Digest): Promise<Digest> {
    const { repository, uuid, offset } = session;
    const algorithm = digestAlgorithm(wanted);
    if (session.digest !== undefined && session.algorithm === algorithm) return session.digest;
    const kept = this.#digesters.take(uuid, algorithm, offset);
    if (kept !== undefined) return kept.digest();
    const digester = new Digester(algorithm);
    for await (const chunk of digester.through(await this.#storage.open(uploadDataKey(repository, uuid)))) {
      this.#reread += chunk.length;
    }
    return digester.digest();
  }

  #remove(session: UploadState): Promise<void> {
    this.#digesters.drop(session.uuid);
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
