// Temporary folders that do not outlive the test file that made them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit } from './at-exit.js';

const folders: string[] = [];

/**
 * Makes an empty folder, removed with everything in it when the process exits. (A killed process
 * removes nothing; the test runner then does, for the tests' `TMPDIR` is a folder of its own.)
 */
export function tempFolder(): string {
  if (folders.length === 0) atExit(removeAll);
  const folder = mkdtempSync(join(tmpdir(), 'koa-registry-'));
  folders.push(folder);
  return folder;
}

function removeAll(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
