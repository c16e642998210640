// Several parts of an append as one object of the bucket: its pieces are sent side by side, and nobody
// sees anything of them before it is complete.
import type { PiecewiseWrite } from './bucket.js';

/** The most pieces of a run: what a host that dies takes along. */
const MOST_PIECES = 16;

export class Run {
  readonly #object: PiecewiseWrite;
  readonly #pieces: Promise<void>[] = [];

  constructor(object: PiecewiseWrite) {
    this.#object = object;
  }

  get isFull(): boolean {
    return this.#pieces.length === MOST_PIECES;
  }

  /** Resolves when the piece is sent. */
  add(bytes: Uint8Array): Promise<void> {
    const sent = this.#object.add(bytes);
    this.#pieces.push(sent);
    return sent;
  }

  /** Resolves when the object stands. Where that fails nothing is left of it. */
  async complete(): Promise<void> {
    try {
      await Promise.all(this.#pieces);
      await this.#object.complete();
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  /** Resolves when no piece is under way any more. */
  async abort(): Promise<void> {
    await Promise.allSettled(this.#pieces);
    // What cannot be removed now is found again as abandoned.
    await this.#object.abort().catch(() => undefined);
  }
}
