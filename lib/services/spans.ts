// Holding a body to the length that its range announced.
import { RegistryError } from '../errors.js';

/**
 * Passes on exactly `length` bytes.
 *
 * @throws RegistryError `SIZE_INVALID` when there are fewer or more; what is too much is not passed on.
 */
export async function* exactly(
  source: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<Uint8Array, void, void> {
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
