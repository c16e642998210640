// Knowing the digest of an upload without reading it again: what is kept in this process, travels with
// the client, or was written down where a request broke off.
import type { Logger } from '../contracts/logger.js';
import type { StorageDriver } from '../contracts/storage.js';
import { type Digest, digestAlgorithm } from '../model/digest.js';
import { Digester, Digesters } from './digester.js';
import { uploadDataKey, uploadHashKey } from './keys.js';
import { orAbsent } from './links.js';
import type { UploadState } from './upload-state.js';

export class UploadHash {
  readonly #storage: StorageDriver;
  readonly #log: Logger;
  readonly #portable: boolean;
  readonly #kept = new Digesters();
  #reread = 0;

  /** @param portable whether other processes will go on with these sessions. */
  constructor(storage: StorageDriver, log: Logger, portable: boolean) {
    this.#storage = storage;
    this.#log = log;
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
    return hash === undefined ? this.#readSaved(session) : Digester.portable(algorithm, { offset, hash });
  }

  /** What a session is after a request that went well. */
  end({ uuid, digest: _outdated, hash: _too, ...session }: UploadState, digester: Digester | undefined): UploadState {
    if (digester?.offset !== session.offset) return { uuid, ...session };
    this.#kept.keep(uuid, digester);
    const { hash } = digester;
    return { uuid, ...session, digest: digester.digest(), ...(hash !== undefined && { hash }) };
  }

  /**
   * Keeps what is known of a session whose request broke off: the client has not been told, and may come back to
   * another host.
   */
  async breakOff({ repository, uuid, algorithm }: UploadState, digester: Digester | undefined): Promise<void> {
    if (digester === undefined) return;
    try {
      const { size } = await this.#storage.stat(uploadDataKey(repository, uuid));
      if (size !== digester.offset) return;
      this.#kept.keep(uuid, digester);
      const { hash } = digester;
      if (hash === undefined || !this.#portable) return;
      await this.#storage.put(uploadHashKey(repository, uuid, algorithm, size), Buffer.from(hash));
    } catch (err) {
      this.#log.debug({ err, repository, uuid }, 'the hash of an upload that broke off was not kept');
    }
  }

  /** The digest of what a session holds, in the algorithm of `wanted`: known, or by reading it again. */
  async digest(session: UploadState, wanted: Digest): Promise<Digest> {
    const { repository, uuid, offset } = session;
    const algorithm = digestAlgorithm(wanted);
    if (session.algorithm === algorithm && session.digest !== undefined) return session.digest;
    if (offset === 0) return new Digester(algorithm).digest();
    const kept = this.#kept.take(uuid, algorithm, offset) ?? (await this.#readSaved({ ...session, algorithm }));
    if (kept !== undefined) return kept.digest();
    const digester = new Digester(algorithm);
    for await (const chunk of digester.through(await this.#storage.open(uploadDataKey(repository, uuid)))) {
      this.#reread += chunk.length;
    }
    return digester.digest();
  }

  drop(uuid: string): void {
    this.#kept.drop(uuid);
  }

  async #readSaved({ repository, uuid, algorithm, offset }: UploadState): Promise<Digester | undefined> {
    if (!this.#portable || offset === 0) return undefined;
    const saved = await orAbsent(this.#storage.get(uploadHashKey(repository, uuid, algorithm, offset)));
    return saved && Digester.portable(algorithm, { offset, hash: saved.toString('latin1') });
  }
}
