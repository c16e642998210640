// The sites of the option `federation`, as the services ask them.
import type { ResolvedOptions } from './options.js';
import { repositoryMatcher } from './plugin/index.js';
import type { FederatedSite } from './services/index.js';

export function federatedSites(federation: ResolvedOptions['federation']): FederatedSite[] {
  return federation.map(({ repositories, mediaTypes, url }) => {
    const matches = repositoryMatcher(repositories ?? ['**']);
    return {
      serves: (repository, mediaType) => matches(repository) && (mediaTypes?.includes(mediaType) ?? true),
      urlOf: (repository, digest, key) => {
        const values: Readonly<Record<string, string>> = { repository, digest, key };
        return url.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '');
      },
    };
  });
}
