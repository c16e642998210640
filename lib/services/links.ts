// Links: small objects whose content is a digest.
import type { StorageDriver } from '../contracts/storage.js';
import { isDriverError } from '../errors.js';
import { type Digest, isDigest } from '../model/digest.js';

/** What a storage call found, or `undefined` for `not-found`; every other failure is thrown on. */
export async function orAbsent<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isDriverError(error, 'not-found')) return undefined;
    throw error;
  }
}

/**
 * Where a link leads, or `undefined` when there is none. A link that holds no digest (another
 * registry's half-written file) leads nowhere either.
 */
export async function readLink(storage: StorageDriver, key: string): Promise<Digest | undefined> {
  const content = await orAbsent(storage.get(key));
  if (content === undefined) return undefined;
  const text = content.toString('latin1').trim();
  return isDigest(text) ? text : undefined;
}

export function writeLink(storage: StorageDriver, key: string, digest: Digest): Promise<void> {
  return storage.put(key, Buffer.from(digest, 'latin1'));
}

/** Removes what may already be gone; answers whether it was there. */
export async function removeIfPresent(storage: StorageDriver, key: string): Promise<boolean> {
  return (await orAbsent(storage.remove(key).then(() => true))) ?? false;
}
