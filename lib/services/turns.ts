// One at a time: requests to one upload session take turns within this process.

/** How long a request waits for the one before it, in milliseconds. */
const PATIENCE = 10_000;

export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` when all earlier work of the same name is done; `undefined` when that takes too long. */
  async take<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    const before = this.#last.get(name);
    if (before !== undefined && !(await settledWithin(before, PATIENCE))) return undefined;
    // Of several that waited for the same work, the first to wake goes on and the others wait for it.
    if (this.#last.get(name) !== before && this.#last.has(name)) return this.take(name, work);
    const mine = work();
    this.#last.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name);
    }
  }
}

async function settledWithin(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, milliseconds, false).unref();
  });
  const done = work.then(
    () => true,
    () => true,
  );
  const settled = await Promise.race([done, late]);
  clearTimeout(timer);
  return settled;
}
