// What a cache forgets: whatever was deleted, and nothing else.
import { aDescriptor, aName, aSet, type CacheCase } from './cache-case.js';

export const revokedCases: readonly CacheCase[] = [
  [
    'delete: the descriptor is answered no more',
    async (start) => {
      const host = await start();
      for (const set of ['blobs', aSet('blobs'), aSet('manifests')] as const) {
        const descriptor = aDescriptor();
        await host.cache.set(set, descriptor.digest, descriptor);
        await host.has(set, descriptor);
        await host.cache.delete(set, descriptor.digest);
        await host.lacks(set, descriptor.digest, 'what was deleted is answered');
      }
    },
  ],
  [
    'delete: what is not there may be deleted, again and again',
    async (start) => {
      const host = await start();
      const [set, { digest }] = [aSet(), aDescriptor()];
      for (let count = 0; count < 3; count++) await host.cache.delete(set, digest);
      await host.lacks(set, digest);
    },
  ],
  [
    'delete: other sets and other digests keep what they have',
    async (start) => {
      const host = await start();
      const name = aName();
      const [descriptor, neighbour] = [aDescriptor(), aDescriptor()];
      const others = ['blobs', `manifests:${name}`, aSet()] as const;
      for (const set of [`blobs:${name}`, ...others] as const) {
        await host.cache.set(set, descriptor.digest, descriptor);
      }
      await host.cache.set(`blobs:${name}`, neighbour.digest, neighbour);
      await host.cache.delete(`blobs:${name}`, descriptor.digest);
      await host.lacks(`blobs:${name}`, descriptor.digest);
      await host.has(`blobs:${name}`, neighbour);
      for (const set of others) await host.has(set, descriptor);
    },
  ],
  [
    'delete: what was being set meanwhile is not there afterwards',
    async (start) => {
      const host = await start();
      const set = aSet();
      for (let round = 0; round < 25; round++) {
        const descriptor = aDescriptor();
        const setting = host.cache.set(set, descriptor.digest, descriptor);
        await host.cache.delete(set, descriptor.digest);
        await setting;
        await host.lacks(set, descriptor.digest, 'a delete was overtaken');
      }
    },
  ],
];
