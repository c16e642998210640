// Listings where nothing is as good as empty.
import type { Entry, ListOptions, StorageDriver } from '../contracts/storage.js';
import { isDriverError } from '../errors.js';

/** The direct children of a prefix; none where there is nothing. */
export async function* childrenOf(
  storage: StorageDriver,
  key: string,
  options?: ListOptions,
): AsyncGenerator<Entry, void, void> {
  try {
    yield* storage.list(key, options);
  } catch (error) {
    if (!isDriverError(error, 'not-found')) throw error;
  }
}

/** Whether anything stands below a prefix that `isWanted`. */
export async function hasChild(
  storage: StorageDriver,
  key: string,
  isWanted: (name: string) => boolean = () => true,
): Promise<boolean> {
  for await (const { name } of childrenOf(storage, key)) {
    if (isWanted(name)) return true;
  }
  return false;
}
