// The requests of one process for one name: first come, first served.

interface Waiter {
  readonly proceed: () => void;
  readonly dismiss: (reason: unknown) => void;
}

export class Turns {
  /** Who waits for the names that somebody has, in the order of their coming. */
  readonly #waiting = new Map<string, Set<Waiter>>();

  /**
   * Resolves with what passes the turn on, which may be called again without harm; with `undefined` when
   * it has not come after `wait` milliseconds.
   *
   * @throws the signal's reason, or what everybody was dismissed with.
   */
  async take(name: string, wait: number, signal: AbortSignal | undefined): Promise<(() => void) | undefined> {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) {
      this.#waiting.set(name, new Set());
      return this.#turn(name);
    }
    const came = wait > 0 && (await this.#wait(waiting, wait, signal));
    return came ? this.#turn(name) : undefined;
  }

  /** Sends away everybody who waits. */
  dismiss(reason: unknown): void {
    for (const waiting of this.#waiting.values()) for (const { dismiss } of waiting) dismiss(reason);
  }

  #turn(name: string): () => void {
    let passed = false;
    return () => {
      if (passed) return;
      passed = true;
      const [next] = this.#waiting.get(name) ?? [];
      if (next === undefined) this.#waiting.delete(name);
      else next.proceed();
    };
  }

  #wait(waiting: Set<Waiter>, wait: number, signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        waiting.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const end = (came: boolean) => {
        leave();
        resolve(came);
      };
      const dismiss = (reason: unknown) => {
        leave();
        reject(reason);
      };
      const abort = () => dismiss(signal?.reason);
      const waiter: Waiter = { proceed: () => end(true), dismiss };
      const timer = setTimeout(() => end(false), wait);
      signal?.addEventListener('abort', abort);
      waiting.add(waiter);
    });
  }
}
