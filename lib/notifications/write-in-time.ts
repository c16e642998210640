// One write to a sink, which ends when its time is over even where the sink does not look at the signal.
import type { NotificationSink, RegistryEvent } from '../contracts/notification.js';

/** @throws whatever the sink does; an error when it takes longer than `timeout` milliseconds; a signal's reason. */
export async function writeInTime(
  sink: NotificationSink,
  events: readonly RegistryEvent[],
  { timeout, signals }: { readonly timeout: number; readonly signals: readonly AbortSignal[] },
): Promise<void> {
  for (const signal of signals) signal.throwIfAborted();
  const patience = new AbortController();
  const ended = new Promise<never>((_, reject) => {
    patience.signal.addEventListener('abort', () => reject(patience.signal.reason), { once: true });
  });
  const late = new Error(`the sink has not answered within ${timeout} ms`);
  const timer = setTimeout(() => patience.abort(late), timeout);
  const ends = signals.map((signal) => {
    const end = () => patience.abort(signal.reason);
    signal.addEventListener('abort', end, { once: true });
    return () => signal.removeEventListener('abort', end);
  });
  const write = async () => sink.write(events, { signal: patience.signal });
  try {
    await Promise.race([write(), ended]);
  } finally {
    clearTimeout(timer);
    for (const forget of ends) forget();
  }
}
