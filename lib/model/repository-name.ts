// Repository names, the `<name>` of every path (OCI distribution-spec, "Pulling manifests").
import { RegistryError } from '../errors.js';

/** A well-formed repository name of at most 255 characters. Made by {@link parseRepositoryName} only. */
export type RepositoryName = string & { readonly __brand: 'RepositoryName' };

export const MAX_REPOSITORY_NAME_LENGTH = 255;

const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= MAX_REPOSITORY_NAME_LENGTH && NAME.test(text);
}

/** @throws RegistryError `NAME_INVALID` for anything that breaks the grammar or is too long. */
export function parseRepositoryName(text: string): RepositoryName {
  if (!isRepositoryName(text)) throw new RegistryError('NAME_INVALID', { name: text.slice(0, 300) });
  return text;
}
