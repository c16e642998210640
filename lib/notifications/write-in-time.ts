// One write to a sink, which ends when its time is over even where the sink does not look at the signal.
import type { NotificationSink, RegistryEvent } from '../contracts/notification.js';

/** @throws whatever the sink does; an error when it takes longer than `timeout` milliseconds; the signal's reason. */
export async function writeInTime(
  sink: NotificationSink,
  events: readonly RegistryEvent[],
  { timeout, signal }: { readonly timeout: number; readonly signal: AbortSignal },
): Promise<void> {
  const patience = new AbortController();
  const end = new Promise<never>((_, reject) => {
    patience.signal.addEventListener('abort', () => reject(patience.signal.reason), { once: true });
  });
  const close = () => patience.abort(signal.reason);
  if (signal.aborted) close();
  signal.addEventListener('abort', close, { once: true });
  const late = new Error(`the sink has not answered within ${timeout} ms`);
  const timer = setTimeout(() => patience.abort(late), timeout);
  try {
    await Promise.race([sink.write(events, { signal: patience.signal }), end]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', close);
  }
}
