// Asks the layer handler how a client gets the bytes of a blob, unless the client is spared; and goes on without the
// handler while it fails.
import type { LayerAnswer, LayerHandler, LayerRequest, LayerStore } from '../contracts/layer.js';
import type { Logger } from '../contracts/logger.js';
import type { StorageDriver } from '../contracts/storage.js';
import { RegistryError } from '../errors.js';
import type { Descriptor } from '../model/descriptor.js';
import type { RepositoryName } from '../model/repository-name.js';
import { BoundedRequest } from './bounded-request.js';
import { blobKey } from './keys.js';
import { assertAnswer } from './layer-answer.js';

/** How long a handler may take, in milliseconds. */
const PATIENCE = 10_000;

/** After so many that took longer, one after the other, it is not asked: nobody else is to wait for nothing. */
const MOST_LATE = 3;

/** For how long, in milliseconds. */
const PAUSE = 30_000;

/** After so long without a failure the handler is well again, in milliseconds. */
const WELL_AFTER = 30_000;

export interface OffloadSettings {
  /** In bytes; smaller blobs are streamed. */
  readonly minSize: number;
  /** Whether the handler is asked for HEAD, too. */
  readonly head: boolean;
  /** Whether this client gets the bytes from the registry itself. */
  isSpared(request: LayerRequest): boolean;
  /** What becomes of a request when the handler fails: the registry streams, or 503. */
  readonly onFailure: 'stream' | 'unavailable';
}

export interface OffloadParts extends OffloadSettings {
  readonly handler: LayerHandler;
  readonly storage: StorageDriver;
  readonly log: Logger;
  readonly clock: () => number;
}

/** What a layer handler may ask of the driver. */
export function layerStore({ url, path }: StorageDriver): LayerStore {
  return { ...(url && { url }), ...(path && { path }) };
}

export class Offload {
  readonly #parts: OffloadParts;
  readonly #store: LayerStore;
  #failing = false;
  #latest: unknown;
  #failedAt = Number.NEGATIVE_INFINITY;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  /** How many have taken too long, one after the other. */
  #late = 0;

  constructor(parts: OffloadParts) {
    this.#parts = parts;
    this.#store = layerStore(parts.storage);
  }

  /** What the handler has lately failed with; `undefined` while it is well. */
  get failure(): unknown {
    return this.#failing ? this.#latest : undefined;
  }

  /** Finds out before the first client does whether the handler can do its work. Never rejects. */
  async check(): Promise<void> {
    const patience = new AbortController();
    const late = new Error(`the layer handler has not said within ${PATIENCE} ms whether it is well`);
    const timer = setTimeout(() => patience.abort(late), PATIENCE);
    try {
      const ended = new Promise<never>((_, reject) => {
        patience.signal.addEventListener('abort', () => reject(late), { once: true });
      });
      await Promise.race([this.#parts.handler.check?.({ ...this.#store, signal: patience.signal }), ended]);
    } catch (error) {
      this.#noteFailure(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * How the client gets the blob; `undefined` where the registry streams it.
   *
   * @throws RegistryError `UNAVAILABLE` when the handler fails and the settings say so; and what else of this class
   *   the handler throws, as its answer to the client.
   */
  async resolve(
    repository: RepositoryName,
    descriptor: Descriptor,
    request: LayerRequest,
  ): Promise<LayerAnswer | undefined> {
    const { minSize, head, handler, clock } = this.#parts;
    if (descriptor.size < minSize || (!head && request.method === 'HEAD')) return undefined;
    if (this.#parts.isSpared(request)) return undefined;
    if (clock() < this.#pausedUntil) return this.#without(new Error('the layer handler has lately not answered'));
    const bounded = new BoundedRequest(request);
    try {
      const layer = { repository, descriptor, key: blobKey(descriptor.digest), ...this.#store };
      const answer = handler.resolve(layer, bounded);
      const answered = isThenable(answer) ? await this.#inTime(answer, bounded) : answer;
      assertAnswer(answered);
      // A plugin in JavaScript may answer null for nothing; and nothing is no proof that it can do more.
      if (answered === undefined || answered === null) return undefined;
      if (this.#failing) this.#noteSuccess();
      return answered;
    } catch (error) {
      // It was not the handler that failed.
      if (bounded.isAbandoned) throw request.signal.reason;
      if (error instanceof RegistryError && error.code !== 'UNAVAILABLE') throw error;
      this.#noteFailure(error);
      return this.#without(error);
    }
  }

  /** The answer, unless it comes too late. */
  async #inTime(
    answer: PromiseLike<LayerAnswer | undefined>,
    request: BoundedRequest,
  ): Promise<LayerAnswer | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const reason = new Error(`the layer handler has not answered within ${PATIENCE} ms`);
        this.#late += 1;
        if (this.#late >= MOST_LATE) this.#pausedUntil = this.#parts.clock() + PAUSE;
        request.expire(reason);
        reject(reason);
      }, PATIENCE);
    });
    try {
      const answered = await Promise.race([answer, late]);
      this.#late = 0;
      return answered;
    } finally {
      clearTimeout(timer);
    }
  }

  #without(cause: unknown): undefined {
    if (this.#parts.onFailure === 'unavailable') throw new RegistryError('UNAVAILABLE', undefined, { cause });
    return undefined;
  }

  #noteFailure(error: unknown): void {
    const { log, clock, onFailure } = this.#parts;
    this.#failedAt = clock();
    this.#latest = error;
    if (this.#failing) return;
    this.#failing = true;
    const instead = onFailure === 'stream' ? 'the registry serves blobs itself meanwhile' : 'blobs are answered 503';
    log.warn({ err: error }, `the layer handler fails, ${instead}`);
  }

  /** Where some requests fail and others do not, a line for each would be too many. */
  #noteSuccess(): void {
    if (this.#parts.clock() - this.#failedAt < WELL_AFTER) return;
    this.#failing = false;
    this.#parts.log.info({}, 'the layer handler is well again');
  }
}

/** Also a promise of another library, or of another realm. */
function isThenable<T>(answer: T | PromiseLike<T>): answer is PromiseLike<T> {
  return typeof answer === 'object' && answer !== null && 'then' in answer;
}
