// The one wrapper around every storage driver: checks keys and offsets before the driver sees them,
// and turns whatever the driver throws, also from its streams and iterators, into what the contract
// allows. What stands here no driver has to repeat.
import { Readable } from 'node:stream';
import type { OpenOptions, StorageDriver } from '../contracts/storage.js';
import { DriverError } from '../errors.js';
import { GuardedSource } from './guarded-source.js';

/** The longest key, in characters: what S3 and GCS allow. */
export const MAX_KEY_LENGTH = 1024;

/** The longest component of a key, in characters: what file systems allow. */
export const MAX_KEY_COMPONENT_LENGTH = 255;

const SLASH = 0x2f;
const DOT = 0x2e;
const LEGAL = new Uint8Array(128);
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-') {
  LEGAL[character.charCodeAt(0)] = 1;
}

function isComponent(length: number, dots: number): boolean {
  return length > 0 && length <= MAX_KEY_COMPONENT_LENGTH && (dots < length || length > 2);
}

/** Whether `key` keeps to the grammar of {@link StorageDriver}. A loop, as it runs on every call. */
function isKey(key: string): boolean {
  if (typeof key !== 'string' || key.length > MAX_KEY_LENGTH) return false;
  let length = 0;
  let dots = 0;
  for (let index = 0; index < key.length; index++) {
    const code = key.charCodeAt(index);
    if (code === SLASH) {
      if (!isComponent(length, dots)) return false;
      length = dots = 0;
    } else {
      if (LEGAL[code] !== 1) return false;
      length++;
      if (code === DOT) dots++;
    }
  }
  return isComponent(length, dots);
}

function checkKey(key: string): void {
  if (!isKey(key)) throw new DriverError('invalid-key', String(key));
}

function checkOffset(key: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new DriverError('invalid-offset', key);
}

function checkRange(key: string, { start = 0, end }: OpenOptions): void {
  checkOffset(key, start);
  if (end === undefined) return;
  checkOffset(key, end);
  if (end < start) throw new DriverError('invalid-offset', key);
}

/** What the caller gets for an error of the driver: the contract's own errors, and the caller's own reason, as they are. */
function failure(error: unknown, key: string, signal: AbortSignal | undefined): unknown {
  if (error instanceof DriverError) return error;
  if (signal?.aborted) return signal.reason;
  return new DriverError('unavailable', key, { cause: error });
}

async function call<T>(key: string, signal: AbortSignal | undefined, method: () => Promise<T>): Promise<T> {
  checkKey(key);
  signal?.throwIfAborted();
  try {
    return await method();
  } catch (error) {
    throw failure(error, key, signal);
  }
}

async function* iterate<T>(key: string, signal: AbortSignal | undefined, method: () => AsyncIterable<T>) {
  if (key !== '') checkKey(key);
  signal?.throwIfAborted();
  try {
    for await (const item of method()) {
      yield item;
      signal?.throwIfAborted();
    }
  } catch (error) {
    throw failure(error, key, signal);
  }
}

function guardedPath(key: string, method: () => string): string {
  checkKey(key);
  try {
    return method();
  } catch (error) {
    throw failure(error, key, undefined);
  }
}

/**
 * Makes the stream fail with the contract's errors, and end with the signal. A premature close is
 * the doing of whoever reads (`pipeline` destroys its source so), not of the backend.
 */
function guardStream(stream: Readable, key: string, signal: AbortSignal | undefined): Readable {
  const destroy = stream.destroy.bind(stream);
  stream.destroy = (error) => {
    const known = !error || (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE';
    return destroy(known ? error : (failure(error, key, signal) as Error));
  };
  if (signal !== undefined) {
    const abort = () => void stream.destroy(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    stream.once('close', () => signal.removeEventListener('abort', abort));
  }
  return stream;
}

/** The optional methods, only those that the driver has: each is a capability. */
function guardCapabilities(driver: StorageDriver): Partial<StorageDriver> {
  const { url, path, walk, purge, check, close } = driver;
  const attempt = async (method: () => Promise<void>, signal?: AbortSignal): Promise<void> => {
    try {
      await method();
    } catch (error) {
      throw failure(error, '', signal);
    }
  };
  return {
    ...(url && { url: (key, options) => call(key, undefined, () => url.call(driver, key, options)) }),
    ...(path && { path: (key) => guardedPath(key, () => path.call(driver, key)) }),
    ...(walk && { walk: (key, options) => iterate(key, options?.signal, () => walk.call(driver, key, options)) }),
    ...(purge && { purge: (key, options) => call(key, options.signal, () => purge.call(driver, key, options)) }),
    ...(check && { check: (options) => attempt(() => check.call(driver, options), options?.signal) }),
    ...(close && { close: () => attempt(() => close.call(driver)) }),
  };
}

/**
 * Wraps a driver so that it keeps the part of the contract that is the same for all of them.
 *
 * - A key that breaks the grammar is `invalid-key`, an offset that is negative or no integer
 *   `invalid-offset`, and the driver is not asked. Only `list` and `walk` take `''`.
 * - An aborted signal ends calls, iterations, streams and sources with its reason.
 * - Whatever else the driver throws is `unavailable`, with the error as its cause.
 *
 * @param name the plugin's name, which an error names whose cause is the driver itself.
 */
export function guardStorage(driver: StorageDriver, name: string): StorageDriver {
  return {
    get: (key, options) => call(key, options?.signal, () => driver.get(key, options)),
    put: (key, bytes) => call(key, undefined, () => driver.put(key, bytes)),
    stat: (key) => call(key, undefined, () => driver.stat(key)),
    list: (key, options) => iterate(key, options?.signal, () => driver.list(key, options)),
    open: (key, options = {}) =>
      call(key, options.signal, async () => {
        checkRange(key, options);
        const stream = await driver.open(key, options);
        if (!(stream instanceof Readable)) throw new TypeError(`the storage driver "${name}" opened no Readable`);
        return guardStream(stream, key, options.signal);
      }),
    append(key, offset, source, options) {
      const guarded = new GuardedSource(source, options?.signal);
      const size = call(key, options?.signal, async () => {
        checkOffset(key, offset);
        return driver.append(key, offset, guarded, options);
      });
      return guarded.outcome(size);
    },
    commit: (from, to, options) =>
      call(from, undefined, async () => {
        checkKey(to);
        return driver.commit(from, to, options);
      }),
    remove: (key) => call(key, undefined, () => driver.remove(key)),
    ...guardCapabilities(driver),
  };
}
