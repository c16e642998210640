// The source of an append as the driver sees it: it ends with the caller's signal, and remembers why
// it failed, so that the caller gets that reason and not what the driver made of it.

/** Wraps the source of one `append`. */
export class GuardedSource implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  #iterator: AsyncIterator<Uint8Array> | undefined;
  #failure: { readonly reason: unknown } | undefined;
  /** Rejects the step that is under way. */
  #interrupt: ((reason: unknown) => void) | undefined;

  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    // One promise a step: a race against the signal would leave a reaction on it for every chunk.
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure.reason);
      this.#interrupt = reject;
      this.#iterator ??= this.#source[Symbol.asyncIterator]();
      this.#iterator.next().then(resolve, (reason) => reject(this.#fail(reason)));
    });
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.#iterator?.return?.();
    return { done: true, value: undefined };
  }

  /** The driver's answer, unless the source failed: then the failure, whatever the driver made of it. */
  async outcome<T>(answer: Promise<T>): Promise<T> {
    try {
      const value = await answer;
      if (this.#failure === undefined) return value;
    } catch (error) {
      if (this.#failure === undefined) throw error;
    } finally {
      this.#signal?.removeEventListener('abort', this.#abort);
    }
    throw this.#failure.reason;
  }

  #fail(reason: unknown): unknown {
    this.#failure ??= { reason };
    return this.#failure.reason;
  }

  readonly #abort = (): void => {
    this.#interrupt?.(this.#fail(this.#signal?.reason));
    // Not awaited: a source that is stuck would never return. What it says after this concerns nobody.
    this.#iterator?.return?.().then(undefined, () => undefined);
  };
}
