// Where the upload sessions of a store are: found by the folders of repositories alone, and streamed, so
// that it costs no memory however many there are.
import type { StorageDriver } from '../contracts/storage.js';
import { isRepositoryName, type RepositoryName } from '../model/repository-name.js';
import { REPOSITORIES, repositoryKey, UPLOADS, uploadsKey } from './keys.js';
import { childrenOf } from './listing.js';
import { isSessionName } from './upload-session.js';

/** What stands among the uploads of a repository: a session, unless its name or its kind says otherwise. */
export interface UploadEntry {
  readonly repository: RepositoryName;
  readonly name: string;
  readonly isSession: boolean;
}

/** What stands among the uploads of all repositories, whether or not these hold anything else. */
export async function* uploadEntries(
  storage: StorageDriver,
  signal: AbortSignal,
): AsyncGenerator<UploadEntry, void, void> {
  for await (const repository of repositoriesWithUploads(storage, signal)) {
    for await (const { name, kind } of childrenOf(storage, uploadsKey(repository), { signal })) {
      yield { repository, name, isSession: kind === 'prefix' && isSessionName(name) };
    }
  }
}

async function* repositoriesWithUploads(
  storage: StorageDriver,
  signal: AbortSignal,
  parent?: RepositoryName,
): AsyncGenerator<RepositoryName, void, void> {
  const key = parent === undefined ? REPOSITORIES : repositoryKey(parent);
  for await (const { name, kind } of childrenOf(storage, key, { signal })) {
    if (kind !== 'prefix') continue;
    const child = parent === undefined ? name : `${parent}/${name}`;
    if (isRepositoryName(child)) yield* repositoriesWithUploads(storage, signal, child);
    else if (name === UPLOADS && parent !== undefined) yield parent;
  }
}

/** The keys of all objects below a prefix. */
export async function* objectsBelow(storage: StorageDriver, key: string): AsyncGenerator<string, void, void> {
  for await (const { name, kind } of childrenOf(storage, key)) {
    const child = `${key}/${name}`;
    if (kind === 'object') yield child;
    else yield* objectsBelow(storage, child);
  }
}
