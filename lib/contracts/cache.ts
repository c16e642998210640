// The contract of a descriptor cache: what the registry remembers so that it need not ask the store.
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';
import type { RepositoryName } from '../model/repository-name.js';

/**
 * A set of descriptors: the blobs of the whole registry, or the blobs or manifests that one
 * repository links to. Being in a repository's set is what makes a blob readable there.
 */
export type DescriptorSet = 'blobs' | `blobs:${RepositoryName}` | `manifests:${RepositoryName}`;

/**
 * Remembers descriptors. It is only ever a copy: a miss costs a look into the store, and a push
 * never believes it. A cache that cannot be reached behaves like one that is empty: `get` answers
 * `undefined` and `delete` must still keep its promise once the cache is back.
 *
 * Results may be plain values or promises: an in-process cache answers at once.
 */
export interface DescriptorCache {
  /** The descriptor, or `undefined` when it is not remembered. */
  get(set: DescriptorSet, digest: Digest): Promise<Descriptor | undefined> | Descriptor | undefined;

  set(set: DescriptorSet, digest: Digest, descriptor: Descriptor): Promise<void> | void;

  /** After it resolves no host answers the descriptor from this set. Never throws for a digest it does not have. */
  delete(set: DescriptorSet, digest: Digest): Promise<void> | void;

  /** Capability: resolves when the cache can be reached. */
  check?(): Promise<void>;

  close?(): Promise<void>;
}
