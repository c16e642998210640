// The published suite for storage drivers: one test for each promise of the contract, in the order
// in which a driver author would want to keep them.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { isDriverError, type Plugin, startPlugin } from 'koa-registry';
import { appendCases } from './storage-append.js';
import { capabilityCases } from './storage-capabilities.js';
import type { Case } from './storage-case.js';
import { commitCases } from './storage-commit.js';
import { keyCases } from './storage-keys.js';
import { type GrowObject, largeCases } from './storage-large.js';
import { listCases } from './storage-list.js';
import { objectCases } from './storage-objects.js';
import { openCases } from './storage-open.js';
import { removeCases } from './storage-remove.js';

export type { GrowObject };

/** How tests are registered: uvu's `test`, `node:test`'s, or any function of the kind. */
export interface RegisterTest {
  (name: string, body: () => Promise<void>): unknown;
  /** Used for skipped tests where there is one. */
  readonly skip?: (name: string, body: () => Promise<void>) => unknown;
}

export interface StorageSuiteOptions {
  /**
   * Whether objects of more than 5 GiB are tested, with the time and the room that they take. A function
   * saves both: it grows the object at a key where the backend can do so without writing. Default: false.
   */
  readonly large?: boolean | GrowObject;
}

/**
 * Checks a storage driver against every promise of `StorageDriver`.
 *
 * ```ts
 * import { test } from 'uvu';
 * import { storageDriverSuite } from 'koa-registry/conformance';
 *
 * storageDriverSuite(test, () => gcs({ bucket: 'ci' }), {
 *   'url: a client gets the object from it': 'the emulator cannot sign URLs',
 * });
 * test.run();
 * ```
 *
 * Each test starts a plugin of its own through the kernel, works below a random prefix, and removes
 * it: the store may hold other things, and several runs may share it.
 *
 * @param open makes the plugin; the store behind it may be the same each time.
 * @param skips the names of tests that the driver cannot pass, each with the reason.
 * @throws Error when `skips` names a test that does not exist, so that none outlives its test.
 */
export function storageDriverSuite(
  test: RegisterTest,
  open: () => Plugin<'storage'> | Promise<Plugin<'storage'>>,
  skips: Readonly<Record<string, string>> = {},
  { large = false }: StorageSuiteOptions = {},
): void {
  const larges = largeCases(typeof large === 'function' ? large : undefined);
  const unknown = new Set(Object.keys(skips));
  for (const [name] of [...CASES, ...larges]) unknown.delete(name);
  if (unknown.size > 0) throw new Error(`no such test: ${[...unknown].join(', ')}`);
  for (const [name, body] of large === false ? CASES : [...CASES, ...larges]) {
    const run = () => runCase(open, body);
    const reason = skips[name];
    if (reason === undefined) test(name, run);
    else test.skip?.(`${name} (${reason})`, run);
  }
}

const CASES: readonly Case[] = [
  ...objectCases,
  ...keyCases,
  ...openCases,
  ...listCases,
  ...appendCases,
  ...commitCases,
  ...removeCases,
  ...capabilityCases,
];

async function runCase(open: () => Plugin<'storage'> | Promise<Plugin<'storage'>>, body: Case[1]): Promise<void> {
  const { instance: driver, close } = await startPlugin(await open());
  const prefix = `conformance-${randomUUID()}`;
  try {
    await body(driver, (path) => `${prefix}/${path}`);
    await driver.remove(prefix).catch((error: unknown) => {
      if (!isDriverError(error, 'not-found')) throw error;
    });
    await assert.rejects(driver.stat(prefix), (error) => isDriverError(error, 'not-found'), 'something is left behind');
  } finally {
    // After a failed test there may still be something; its failure is the one to report.
    await driver.remove(prefix).catch(() => undefined);
    await close();
  }
}
