// Where the state of an upload is between two requests: it travels with the client, or all hosts see it in
// the notes of the coordination.
import type { Notes } from '../contracts/coordination.js';
import type { Logger } from '../contracts/logger.js';
import type { UploadState, UploadStateCodec } from './upload-state.js';

export interface UploadStates {
  /** Keeps the state that the next request, on whatever host, goes on from; answers what the client must bring for it. */
  save(state: UploadState): Promise<string | undefined> | string | undefined;
  /**
   * The state of a session, as far as is known.
   *
   * @param token what the client has brought.
   * @throws RegistryError `BLOB_UPLOAD_INVALID` for a token that {@link save} has not made.
   */
  load(uuid: string, token: string | undefined): Promise<UploadState | undefined> | UploadState | undefined;
  /** The session is over. */
  drop(uuid: string): Promise<void> | void;
}

/** It travels with the client, signed. */
export class LocationStates implements UploadStates {
  readonly #codec: UploadStateCodec;

  constructor(codec: UploadStateCodec) {
    this.#codec = codec;
  }

  save(state: UploadState): string {
    return this.#codec.encode(state);
  }

  load(_uuid: string, token: string | undefined): UploadState | undefined {
    return token === undefined ? undefined : this.#codec.decode(token);
  }

  drop(): void {}
}

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

  async save(state: UploadState): Promise<undefined> {
    await this.#try(this.#notes.set(noteOf(state.uuid), JSON.stringify(state), this.#ttl));
  }

  async load(uuid: string): Promise<UploadState | undefined> {
    const noted = await this.#try(this.#notes.get(noteOf(uuid)));
    return noted === undefined ? undefined : (JSON.parse(noted) as UploadState);
  }

  async drop(uuid: string): Promise<void> {
    await this.#try(this.#notes.delete(noteOf(uuid)));
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
