// Work that is done one piece after another, in the order in which it was asked for.

export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Resolves, or rejects, with what `work` does when its turn has come; a failure harms nobody behind it. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
