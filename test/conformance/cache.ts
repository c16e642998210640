// The published suite for descriptor caches: one test for each promise of the contract, with two hosts
// where a promise is about both.
import type { Plugin } from 'koa-registry';
import { type CacheCase, CacheHost } from './cache-case.js';
import { keptCases } from './cache-kept.js';
import { revokedCases } from './cache-revoked.js';
import { sharedCacheCases } from './cache-shared.js';
import { register } from './register.js';
import type { RegisterTest } from './storage.js';

export interface CacheSuiteOptions {
  /**
   * Whether two plugins that `open` makes are two hosts with one cache. Without, tests about two hosts
   * do not run. Default: true.
   */
  readonly shared?: boolean;
}

const CASES: readonly CacheCase[] = [...keptCases, ...revokedCases];

/**
 * Checks a descriptor cache against every promise of `DescriptorCache`.
 *
 * ```ts
 * import { test } from 'uvu';
 * import { descriptorCacheSuite } from 'koa-registry/conformance';
 *
 * descriptorCacheSuite(test, () => memcached({ servers: ['127.0.0.1:11211'] }));
 * test.run();
 * ```
 *
 * Each test starts plugins of its own and uses repositories and digests of its own, so the cache behind
 * them may hold other things. A cache may take up to a minute after its start before it remembers
 * anything; it is asked until it does.
 *
 * @param open makes the plugin; the cache behind it may be the same each time.
 * @param skips the names of tests that the cache cannot pass, each with the reason.
 * @throws Error when `skips` names a test that does not exist, so that none outlives its test.
 */
export function descriptorCacheSuite(
  test: RegisterTest,
  open: () => Plugin<'cache'> | Promise<Plugin<'cache'>>,
  skips: Readonly<Record<string, string>> = {},
  { shared = true }: CacheSuiteOptions = {},
): void {
  const cases = shared ? [...CASES, ...sharedCacheCases] : CASES;
  register(test, cases, skips, (body) => runCase(open, body));
}

async function runCase(open: () => Plugin<'cache'> | Promise<Plugin<'cache'>>, body: CacheCase[1]): Promise<void> {
  const started: CacheHost[] = [];
  try {
    await body(async () => {
      const host = await CacheHost.start(await open());
      started.push(host);
      await host.warm();
      return host;
    });
  } finally {
    for (const host of started.reverse()) await host.close();
  }
}
