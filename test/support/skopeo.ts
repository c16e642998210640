// skopeo, which copies images between registries and folders as other clients do, without a daemon.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runProcess } from './process.js';
import { findProgram } from './requires.js';
import { tempFolder } from './temp-folder.js';

let home: string | undefined;

/**
 * Runs skopeo: `await skopeo('copy', '--dest-tls-verify=false', 'oci:folder:latest', 'docker://127.0.0.1:5000/a:b')`.
 *
 * All calls of a test file share one home, as those of one user do: credentials of a `login`, and what
 * it remembers of blobs that it saw elsewhere and would mount. They share it with nobody else.
 *
 * @returns what it wrote to stdout.
 * @throws Error with what it wrote to stderr.
 */
export function skopeo(...args: readonly string[]): Promise<string> {
  home ??= makeHome();
  const program = findProgram('skopeo') ?? 'skopeo';
  return runProcess(program, ['--insecure-policy', '--tmpdir', join(home, 'tmp'), ...args], { env: environment(home) });
}

function makeHome(): string {
  const folder = tempFolder();
  for (const name of ['tmp', 'run', 'data']) mkdirSync(join(folder, name), { mode: 0o700 });
  return folder;
}

function environment(folder: string): Record<string, string> {
  return {
    HOME: folder,
    XDG_RUNTIME_DIR: join(folder, 'run'),
    XDG_DATA_HOME: join(folder, 'data'),
    // Root's memory of blobs is in /var/lib, whatever HOME says, unless it takes itself for another.
    _CONTAINERS_ROOTLESS_UID: String(process.getuid?.() || 1),
  };
}
