// What one request adds to an upload, held to the length that its range announced.
import { RegistryError } from '../errors.js';

/** Bytes to append: those of a request. */
export interface Chunk {
  readonly source: AsyncIterable<Uint8Array>;
  /** Where the client says they begin, and how many they are; by default wherever the state it brought ended. */
  readonly start?: number | undefined;
  readonly length?: number | undefined;
  readonly signal: AbortSignal;
}

/** @throws RegistryError `SIZE_INVALID` when they are fewer or more than announced. */
export function bytesOf({ source, length }: Chunk): AsyncIterable<Uint8Array> {
  return length === undefined ? source : exactly(source, length);
}

/**
 * Passes on exactly `length` bytes.
 *
 * @throws RegistryError `SIZE_INVALID` when there are fewer or more; what is too much is not passed on.
 */
async function* exactly(source: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array, void, void> {
  let left = length;
  for await (const chunk of source) {
    if (chunk.length > left) {
      if (left > 0) yield chunk.subarray(0, left);
      throw new RegistryError('SIZE_INVALID', { expected: length, problem: 'the body is longer' });
    }
    left -= chunk.length;
    yield chunk;
  }
  if (left > 0) throw new RegistryError('SIZE_INVALID', { expected: length, received: length - left });
}
