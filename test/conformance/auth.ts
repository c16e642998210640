// The published suite for auth handlers: one test for each promise of the contract, each of them over a
// real socket, in a Koa application as the handler will meet it.
import type { AuthCase } from './auth-case.js';
import { conductCases } from './auth-conduct.js';
import { refusedCases } from './auth-refused.js';
import { GuardedRegistry } from './auth-registry.js';
import { rightsCases } from './auth-rights.js';
import type { AuthSetup } from './auth-setup.js';
import type { RegisterTest } from './storage.js';

export type { AuthCaller, AuthCallers, AuthSetup, RequestHeaders } from './auth-setup.js';

const CASES: readonly AuthCase[] = [...refusedCases, ...rightsCases, ...conductCases];

/**
 * Checks an auth handler against every promise of `AuthHandler`.
 *
 * ```ts
 * import { test } from 'uvu';
 * import { authHandlerSuite } from 'koa-registry/conformance';
 *
 * const basic = (name: string, password: string) => ({
 *   Authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
 * });
 *
 * authHandlerSuite(test, () => ({
 *   auth: ldap({ url: 'ldap://127.0.0.1' }),
 *   callers: {
 *     writer: { actor: 'ann', headers: basic('ann', 'right') },
 *     reader: { actor: 'ron', headers: basic('ron', 'right') },
 *     wrong: { 'wrong password': basic('ann', 'wrong'), 'unknown name': basic('eve', 'right') },
 *   },
 * }), {
 *   'writer: finds its repositories in the catalogue': 'the directory knows nothing of catalogues',
 * });
 * test.run();
 * ```
 *
 * Each test opens a setup of its own, puts a registry with three repositories (`conformance/one`,
 * `conformance/two`, `conformance/other`) and a store in memory behind the handler, and asks it over a
 * socket of 127.0.0.1. The registry does not count failed logins meanwhile. Tests about a caller that the
 * setup does not have, a `reader` or a `stranger`, pass: a handler without such a right keeps its promise.
 *
 * @param open makes the plugin and says who may do what there; called for each test.
 * @param skips the names of tests that the handler cannot pass, each with the reason.
 * @throws Error when `skips` names a test that does not exist, so that none outlives its test.
 */
export function authHandlerSuite(
  test: RegisterTest,
  open: () => AuthSetup | Promise<AuthSetup>,
  skips: Readonly<Record<string, string>> = {},
): void {
  const unknown = new Set(Object.keys(skips));
  for (const [name] of CASES) unknown.delete(name);
  if (unknown.size > 0) throw new Error(`no such test: ${[...unknown].join(', ')}`);
  for (const [name, body] of CASES) {
    const run = async () => runCase(await open(), body);
    const reason = skips[name];
    if (reason === undefined) test(name, run);
    else test.skip?.(`${name} (${reason})`, run);
  }
}

async function runCase(setup: AuthSetup, body: AuthCase[1]): Promise<void> {
  try {
    const at = await GuardedRegistry.open(setup);
    try {
      await body(at);
    } finally {
      await at.close();
    }
  } finally {
    await setup.close?.();
  }
}
