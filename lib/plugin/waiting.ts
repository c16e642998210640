// Waiting that ends: when a signal says so, or when the time is over.

/** Resolves as `work` does, or rejects with the signal's reason as soon as it is aborted. The work goes on. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}

/**
 * Resolves as `work` does, or rejects when it takes longer than `limit` milliseconds.
 *
 * The timer keeps the process alive, for it is sure to end: what comes after must not be lost
 * because a backend never answers.
 */
export async function settleWithin<T>(limit: number, what: string, work: () => Promise<T>): Promise<T> {
  const timeUp = new AbortController();
  const timer = setTimeout(() => timeUp.abort(new Error(`${what} took longer than ${limit} ms`)), limit);
  try {
    return await untilAborted(work(), timeUp.signal);
  } finally {
    clearTimeout(timer);
  }
}
