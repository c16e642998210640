// One cache of several hosts: what one remembers the others know, and what one deletes none answers.
import { aDescriptor, aSet, type CacheCase } from './cache-case.js';

export const sharedCacheCases: readonly CacheCase[] = [
  [
    'two hosts: what one has set the other answers',
    async (start) => {
      const [first, second] = [await start(), await start()];
      const [set, descriptor] = [aSet(), aDescriptor({ annotations: { a: 'b' } })];
      await first.cache.set(set, descriptor.digest, descriptor);
      await second.has(set, descriptor);
    },
  ],
  [
    'two hosts: what one has deleted neither answers',
    async (start) => {
      const [first, second] = [await start(), await start()];
      for (const set of ['blobs', aSet('blobs'), aSet('manifests')] as const) {
        const descriptor = aDescriptor();
        await first.cache.set(set, descriptor.digest, descriptor);
        await second.has(set, descriptor);
        await second.cache.delete(set, descriptor.digest);
        for (const host of [first, second]) await host.lacks(set, descriptor.digest, 'what was deleted is answered');
      }
    },
  ],
  [
    'two hosts: what one is setting while the other deletes it is not there afterwards',
    async (start) => {
      const [first, second] = [await start(), await start()];
      const set = aSet();
      for (let round = 0; round < 25; round++) {
        const descriptor = aDescriptor();
        const setting = first.cache.set(set, descriptor.digest, descriptor);
        await second.cache.delete(set, descriptor.digest);
        await setting;
        for (const host of [first, second]) await host.lacks(set, descriptor.digest, 'a delete was overtaken');
      }
    },
  ],
  [
    'two hosts: a look-up that began before a delete cannot bring back what it found',
    async (start) => {
      const [first, second] = [await start(), await start()];
      const [set, descriptor] = [aSet(), aDescriptor()];
      await first.lacks(set, descriptor.digest);
      await second.cache.delete(set, descriptor.digest);
      await first.cache.set(set, descriptor.digest, descriptor);
      for (const host of [first, second]) await host.lacks(set, descriptor.digest, 'what was deleted is back');
    },
  ],
];
