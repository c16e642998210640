// Knowing the digest of an upload without reading it again: what is kept in this process, or travels with
// the state of the upload. Only what an append has acknowledged counts: of bytes that another host may have
// stored in place of ours nobody knows the hash.
import type { StorageDriver } from '../contracts/storage.js';
import { type Digest, digestAlgorithm } from '../model/digest.js';
import { Digester, Digesters } from './digester.js';
import { uploadDataKey } from './keys.js';
import type { UploadState } from './upload-state.js';

export class UploadHash {
  readonly #storage: StorageDriver;
  readonly #portable: boolean;
  readonly #kept = new Digesters();
  #reread = 0;

  /** @param portable whether other processes will go on with these sessions. */
  constructor(storage: StorageDriver, portable: boolean) {
    this.#storage = storage;
    this.#portable = portable;
  }

  /** How many bytes were read back from the store to know their digest, since the start. */
  get bytesReread(): number {
    return this.#reread;
  }

  /**
   * A digester for what comes next in a session; `undefined` when what is there already would have to
   * be read for it.
   *
   * @param inChunks whether more requests are to be expected, which other hosts may get.
   */
  async begin(session: UploadState, inChunks: boolean): Promise<Digester | undefined> {
    const { uuid, algorithm, offset, hash } = session;
    const kept = this.#kept.take(uuid, algorithm, offset);
    if (kept !== undefined) return kept;
    if (offset === 0) return this.#portable && inChunks ? Digester.portable(algorithm) : new Digester(algorithm);
    return hash === undefined ? undefined : Digester.resumed(algorithm, offset, hash);
  }

  /** What a session is after a request that went well. */
  end({ uuid, digest: _outdated, hash: _too, ...session }: UploadState, digester: Digester | undefined): UploadState {
    if (digester?.offset !== session.offset) return { uuid, ...session };
    const { hash } = digester;
    const state = { uuid, ...session, digest: digester.digest() };
    if (hash !== undefined) return { ...state, hash };
    this.#kept.keep(uuid, digester);
    return state;
  }

  /** The digest of what a session holds, in the algorithm of `wanted`: known, or by reading it again. */
  async digest({ repository, uuid, ...session }: UploadState, wanted: Digest): Promise<Digest> {
    const algorithm = digestAlgorithm(wanted);
    if (session.algorithm === algorithm && session.digest !== undefined) return session.digest;
    const known = this.#kept.take(uuid, algorithm, session.offset);
    if (known !== undefined) return known.digest();
    const digester = new Digester(algorithm);
    if (session.offset === 0) return digester.digest();
    for await (const chunk of digester.through(await this.#storage.open(uploadDataKey(repository, uuid)))) {
      this.#reread += chunk.length;
    }
    return digester.digest();
  }

  drop(uuid: string): void {
    this.#kept.drop(uuid);
  }
}
