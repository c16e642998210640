// How the cases of a suite become tests: by name, each with its skip and the reason for it.
import type { RegisterTest } from './storage.js';

/** @throws Error when `skips` names a test that does not exist. */
export function register<Body>(
  test: RegisterTest,
  cases: readonly (readonly [promise: string, body: Body])[],
  skips: Readonly<Record<string, string>>,
  run: (body: Body) => Promise<void>,
): void {
  const names = new Set(cases.map(([name]) => name));
  const unknown = Object.keys(skips).filter((name) => !names.has(name));
  if (unknown.length > 0) throw new Error(`no such test: ${unknown.join(', ')}`);
  for (const [name, body] of cases) {
    const reason = skips[name];
    if (reason === undefined) test(name, () => run(body));
    else test.skip?.(`${name} (${reason})`, () => run(body));
  }
}
