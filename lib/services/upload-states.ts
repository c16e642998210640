// Where the state of an upload is between two requests: it travels with the client, or all hosts see it in
// the notes of the coordination.
import type { Notes } from '../contracts/coordination.js';
import type { Logger } from '../contracts/logger.js';
import type { SessionReference } from './upload-session.js';
import type { UploadState, UploadStateCodec } from './upload-state.js';

export interface UploadStates {
  /** Leaves a state to the next request, on whatever host. */
  save(state: UploadState): Promise<void>;
  /** What the client has to bring with that request, if anything. */
  tokenOf(state: UploadState): string | undefined;
  /**
   * What is known of a session before the store is asked.
   *
   * @param token what the client has brought.
   * @throws RegistryError `BLOB_UPLOAD_INVALID` for a token that {@link tokenOf} has not made.
   */
  load(uuid: string, token: string | undefined): Promise<Pick<SessionReference, 'state' | 'claimed'>>;
  /** The session is over. */
  end(state: UploadState): Promise<void>;
}

/** It travels with the client, signed. */
export class LocationStates implements UploadStates {
  readonly #codec: UploadStateCodec;
  readonly #log: Logger;
  #warned = false;

  constructor(codec: UploadStateCodec, log: Logger) {
    this.#codec = codec;
    this.#log = log;
  }

  async save(): Promise<void> {}

  tokenOf(state: UploadState): string {
    return this.#codec.encode(state);
  }

  async load(_uuid: string, token: string | undefined) {
    if (token === undefined) return {};
    const state = this.#decode(token);
    return { state, claimed: state.offset };
  }

  /** Once, because clients may send anything. */
  #decode(token: string): UploadState {
    try {
      return this.#codec.decode(token);
    } catch (error) {
      if (!this.#warned)
        this.#log.warn({}, 'the state of an upload is not signed with this http.secret: have all hosts the same?');
      this.#warned = true;
      throw error;
    }
  }

  async end(): Promise<void> {}
}

/** For how long an answer may be lost and a request repeated, in milliseconds. */
const AFTERWARDS = 60_000;

/**
 * It is noted where all hosts see it. A note that cannot be had costs no upload: how far a session is stands
 * in the store, and what is not known of its digest is read again.
 */
export class NotedStates implements UploadStates {
  readonly #notes: Notes;
  readonly #ttl: number;
  readonly #log: Logger;

  /** @param ttl for how long a state is kept after the last request, in milliseconds. */
  constructor(notes: Notes, ttl: number, log: Logger) {
    this.#notes = notes;
    this.#ttl = ttl;
    this.#log = log;
  }

  save(state: UploadState): Promise<void> {
    return this.#note(state, this.#ttl);
  }

  tokenOf(): undefined {}

  async load(uuid: string) {
    const noted = await this.#try(this.#notes.get(noteOf(uuid)));
    return noted === undefined ? {} : { state: JSON.parse(noted) as UploadState };
  }

  end(state: UploadState): Promise<void> {
    return this.#note(state, AFTERWARDS);
  }

  async #note(state: UploadState, ttl: number): Promise<void> {
    await this.#try(this.#notes.set(noteOf(state.uuid), JSON.stringify(state), ttl));
  }

  /** Whoever keeps the notes says itself, and once, that they cannot be had. */
  async #try<T>(call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (err) {
      this.#log.debug({ err }, 'the state of an upload could not be noted, or read');
      return undefined;
    }
  }
}

function noteOf(uuid: string): string {
  return `upload-states/${uuid}`;
}
