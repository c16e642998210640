// `objectStorage` over a bucket in memory: the published suite, with parts and pages as small as they can be.
import { definePlugin, objectStorage } from 'koa-registry';
import { storageDriverSuite } from 'koa-registry/conformance';
import { suite } from 'uvu';
import { z } from 'zod';
import { MemoryBucket } from '../support/memory-bucket.js';

const overMemory = definePlugin({
  kind: 'storage',
  name: 'memory-bucket',
  options: z.strictObject({
    pageEntries: z.int(),
    emptyPages: z.boolean(),
    minPartBytes: z.int(),
    partBytes: z.int(),
    rootDirectory: z.string(),
  }),
  create: ({ rootDirectory, partBytes, ...options }) =>
    objectStorage(new MemoryBucket(options), { rootDirectory, partBytes }),
});

const ordinary = suite('pages of 1,000 entries, parts of 8 MiB');
storageDriverSuite(ordinary, () =>
  overMemory({
    pageEntries: 1000,
    emptyPages: false,
    minPartBytes: 256 * 1024,
    partBytes: 8 * 1024 * 1024,
    rootDirectory: '/',
  }),
);
ordinary.run();

const small = suite('pages of 3 entries or none, parts of 100,000 bytes');
storageDriverSuite(small, () =>
  overMemory({ pageEntries: 3, emptyPages: true, minPartBytes: 30_000, partBytes: 100_000, rootDirectory: '/a/root/' }),
);
small.run();
