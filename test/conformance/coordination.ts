// The published suite for coordinators: one test for each promise of the contract, with two hosts where
// a promise is about both.
import { type Plugin, startPlugin } from 'koa-registry';
import { type CoordinationCase, CoordinationHost } from './coordination-case.js';
import { leaseCases } from './coordination-leases.js';
import { noteCases, sharedNoteCases } from './coordination-notes.js';
import { sharedLeaseCases } from './coordination-shared.js';
import { waitingCases } from './coordination-waiting.js';
import { register } from './register.js';
import type { RegisterTest } from './storage.js';

export interface CoordinationSuiteOptions {
  /**
   * Whether two plugins that `open` makes are two hosts that are kept out of each other's way. Without,
   * tests about two hosts do not run. Default: true.
   */
  readonly shared?: boolean;
}

const CASES: readonly CoordinationCase[] = [...leaseCases, ...waitingCases, ...noteCases];

/**
 * Checks a coordinator against every promise of `Coordinator`.
 *
 * ```ts
 * import { test } from 'uvu';
 * import { coordinationSuite } from 'koa-registry/conformance';
 *
 * coordinationSuite(test, () => consul({ address: 'http://127.0.0.1:8500' }));
 * test.run();
 * ```
 *
 * Each test starts plugins of its own and uses names of its own, so others may use what is behind them.
 * Leases are asked for with times to live from half a second on. Tests about notes pass where there are
 * none.
 *
 * That a lease ends with the process that held it, and what becomes of leases while the backend is
 * away, is for the plugin's own tests.
 *
 * @param open makes the plugin; what is behind it may be the same each time.
 * @param skips the names of tests that the coordinator cannot pass, each with the reason.
 * @throws Error when `skips` names a test that does not exist, so that none outlives its test.
 */
export function coordinationSuite(
  test: RegisterTest,
  open: () => Plugin<'coordination'> | Promise<Plugin<'coordination'>>,
  skips: Readonly<Record<string, string>> = {},
  { shared = true }: CoordinationSuiteOptions = {},
): void {
  const cases = shared ? [...CASES, ...sharedLeaseCases, ...sharedNoteCases] : CASES;
  register(test, cases, skips, (body) => runCase(open, body));
}

async function runCase(
  open: () => Plugin<'coordination'> | Promise<Plugin<'coordination'>>,
  body: CoordinationCase[1],
): Promise<void> {
  const started: CoordinationHost[] = [];
  try {
    await body(async () => {
      const host = new CoordinationHost(await startPlugin(await open()));
      started.push(host);
      return host;
    });
  } finally {
    for (const host of started.reverse()) await host.close();
  }
}
