// The whole suite of the wire, and how it is run in one mount: the same tests, wherever a registry stands.
import { suite, type Test } from 'uvu';
import { type Mount, type OpenOptions, type OpenRegistry, openRegistry } from '../../support/registry.js';
import { authSuite } from './auth.js';
import { backendSuite } from './backend.js';
import { badBodiesSuite } from './bad-bodies.js';
import { badHeadersSuite } from './bad-headers.js';
import { badPathsSuite } from './bad-paths.js';
import { baseSuite } from './base.js';
import { blobsSuite } from './blobs.js';
import { cacheSuite } from './cache.js';
import { catalogSuite } from './catalog.js';
import { chunksSuite } from './chunks.js';
import { concurrencySuite } from './concurrency.js';
import { deletesSuite } from './deletes.js';
import { eventsSuite } from './events.js';
import { foreignSuite } from './foreign.js';
import { layerSuite } from './layer.js';
import { manifestPushSuite } from './manifest-push.js';
import { manifestsSuite } from './manifests.js';
import { metadataSuite } from './metadata.js';
import { methodsSuite } from './methods.js';
import { mountsSuite } from './mounts.js';
import { rangesSuite } from './ranges.js';
import { readOnlySuite } from './read-only.js';
import { referrersSuite } from './referrers.js';
import { referrersTagSuite } from './referrers-tag.js';
import { tagsSuite } from './tags.js';
import { uploadsSuite } from './uploads.js';

/** Starts a registry in the mount under test; it is closed when the test ends. */
export type Open = (options?: OpenOptions) => Promise<OpenRegistry>;

/** Adds the tests of one resource. */
export type Suite = (test: Test, open: Open, mount: Mount) => void;

const SUITES: Readonly<Record<string, Suite>> = {
  base: baseSuite,
  methods: methodsSuite,
  uploads: uploadsSuite,
  chunks: chunksSuite,
  mounts: mountsSuite,
  blobs: blobsSuite,
  ranges: rangesSuite,
  manifests: manifestsSuite,
  'manifest push': manifestPushSuite,
  deletes: deletesSuite,
  tags: tagsSuite,
  catalog: catalogSuite,
  referrers: referrersSuite,
  'referrers tag': referrersTagSuite,
  'bad paths': badPathsSuite,
  'bad headers': badHeadersSuite,
  'bad bodies': badBodiesSuite,
  'read-only': readOnlySuite,
  auth: authSuite,
  layer: layerSuite,
  foreign: foreignSuite,
  events: eventsSuite,
  metadata: metadataSuite,
  cache: cacheSuite,
  backend: backendSuite,
  concurrency: concurrencySuite,
};

/** Adds tests whose registries are closed when they end. */
export function wireSuite(name: string, mount: Mount, define: Suite): void {
  const test = suite(name);
  const opened: OpenRegistry[] = [];
  test.after.each(async () => {
    for (const registry of opened.splice(0)) await registry.close();
  });
  const open: Open = async (options) => {
    const registry = await openRegistry(mount, options);
    opened.push(registry);
    return registry;
  };
  define(test, open, mount);
  test.run();
}

/** Runs the whole suite in one mount. */
export function runSuite(mount: Mount): void {
  for (const [resource, define] of Object.entries(SUITES)) wireSuite(`${mount.name}: ${resource}`, mount, define);
}
