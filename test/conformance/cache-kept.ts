// What a cache remembers: descriptors, whole, each in its set.
import { digestOf } from 'koa-registry';
import { aDescriptor, aName, aSet, type CacheCase } from './cache-case.js';

export const keptCases: readonly CacheCase[] = [
  [
    'get: what was never set is undefined',
    async (start) => {
      const host = await start();
      await host.lacks('blobs', aDescriptor().digest);
      await host.lacks(aSet(), aDescriptor().digest);
    },
  ],
  [
    'get: answers the descriptor that was set, in each kind of set',
    async (start) => {
      const host = await start();
      for (const set of ['blobs', aSet('blobs'), aSet('manifests')] as const) {
        const descriptor = aDescriptor();
        await host.cache.set(set, descriptor.digest, descriptor);
        await host.has(set, descriptor);
      }
    },
  ],
  [
    'get: the descriptor is whole, with all that it may have',
    async (start) => {
      const host = await start();
      const set = aSet('manifests');
      const descriptors = [
        aDescriptor({ size: 0 }),
        aDescriptor({ size: 2 ** 40 + 1 }),
        aDescriptor({ digest: digestOf(Buffer.from(aName()), 'sha512') }),
        aDescriptor({
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          urls: ['https://mirror.example/é?a=b&c', ''],
          annotations: { 'a.b': 'line\nbreak "quoted"', '': 'ünï \u{1f600}' },
          artifactType: 'application/x',
          platform: { architecture: 'arm', os: 'linux', variant: 'v7' },
        }),
      ];
      for (const descriptor of descriptors) await host.cache.set(set, descriptor.digest, descriptor);
      for (const descriptor of descriptors) await host.has(set, descriptor);
    },
  ],
  [
    'set: a descriptor is in the set that it was set in, and in no other',
    async (start) => {
      const host = await start();
      const [name, descriptor] = [aName(), aDescriptor()];
      await host.cache.set(`blobs:${name}`, descriptor.digest, descriptor);
      await host.has(`blobs:${name}`, descriptor);
      const others = ['blobs', `manifests:${name}`, aSet()] as const;
      for (const set of others) await host.lacks(set, descriptor.digest, 'it was set elsewhere');
    },
  ],
  [
    'set: may be repeated',
    async (start) => {
      const host = await start();
      const [set, descriptor] = [aSet(), aDescriptor()];
      for (let count = 0; count < 3; count++) await host.cache.set(set, descriptor.digest, descriptor);
      await host.has(set, descriptor);
    },
  ],
  [
    'set: many at a time are each remembered',
    async (start) => {
      const host = await start();
      const set = aSet();
      const descriptors = Array.from({ length: 100 }, (_, size) => aDescriptor({ size }));
      await Promise.all(descriptors.map(async (each) => host.cache.set(set, each.digest, each)));
      await Promise.all(descriptors.map((each) => host.has(set, each)));
    },
  ],
  [
    'check: resolves while the cache can be reached',
    async (start) => {
      const host = await start();
      await host.cache.check?.();
    },
  ],
];
