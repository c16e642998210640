// Finds the test files, runs them a few at a time, and tells how it went: a line for each file, the
// output of those that failed, the skipped tests with their reasons, and the counts as the last line.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LOG_FOLDER } from './log-journal.js';
import { tempFolder } from './temp-folder.js';
import { type FileResult, runTestFile } from './test-file.js';

export interface TestRunOptions {
  /** The folder below which the files are: those named `*.test.js`. */
  readonly folder: string;
  /** Only files whose path, relative to the folder, contains one of these. Default: all. */
  readonly only?: readonly string[];
  /** How many files run at a time. */
  readonly jobs: number;
  /** How long a file may take, in milliseconds. */
  readonly timeout: number;
  /** Takes a line of the report. */
  readonly print: (line: string) => void;
}

type NamedResult = FileResult & { readonly name: string };

/** Runs the tests; answers whether there were any and none failed. */
export async function runTests({ folder, only = [], jobs, timeout, print }: TestRunOptions): Promise<boolean> {
  const names = await findTests(folder, only);
  // What a killed test leaves in its temporary folders goes with this one.
  const env = { TMPDIR: tempFolder(), [LOG_FOLDER]: tempFolder() };
  const results: NamedResult[] = [];
  const runAll = async (some: readonly string[]) => {
    const queue = some.values();
    const work = async () => {
      for (const name of queue) {
        const result = { name, ...(await runTestFile(join(folder, name), { timeout, env })) };
        results.push(result);
        print(fileLine(result));
      }
    };
    await Promise.all(Array.from({ length: jobs }, work));
  };
  await runAll(names.filter((name) => !isLast(name)));
  await runAll(names.filter(isLast));
  results.sort((a, b) => (a.name < b.name ? -1 : 1));
  if (names.length === 0) print(`No test file in ${folder} ${only.length === 0 ? '' : `matches ${only.join(', ')}`}`);
  printFailures(results, print);
  printSkips(results, print);
  print(countsLine(results));
  return results.length > 0 && results.every(({ failed }) => failed === 0);
}

async function findTests(folder: string, only: readonly string[]): Promise<string[]> {
  const files = await readdir(folder, { recursive: true });
  const wanted = (name: string) => only.length === 0 || only.some((part) => name.includes(part));
  return files.filter((name) => name.endsWith('.test.js') && wanted(name)).sort();
}

/** Those that look at what all others have left. */
function isLast(name: string): boolean {
  return name.startsWith('after/');
}

function fileLine(result: NamedResult): string {
  const mark = result.failed === 0 ? 'ok  ' : 'FAIL';
  const seconds = `${result.seconds.toFixed(1)} s`;
  const line = `${mark} ${result.name.padEnd(48)} ${countsLine([result])}, ${seconds}`;
  return result.problem === undefined ? line : `${line}: ${result.problem}`;
}

function printFailures(results: readonly NamedResult[], print: TestRunOptions['print']): void {
  for (const { name, output, problem } of results.filter(({ failed }) => failed > 0)) {
    print(`\n---- ${name}${problem === undefined ? '' : `: ${problem}`}\n${output.trimEnd()}`);
  }
}

function printSkips(results: readonly NamedResult[], print: TestRunOptions['print']): void {
  if (results.every(({ skipped }) => skipped === 0)) return;
  print('\nSkipped:');
  for (const { name, skipped, skips } of results) {
    for (const skip of skips) print(`  ${skip}`);
    if (skipped > skips.length) print(`  ${name}: ${skipped - skips.length} without a reason`);
  }
  print('');
}

function countsLine(results: readonly FileResult[]): string {
  const sum = (count: 'passed' | 'failed' | 'skipped') => results.reduce((total, result) => total + result[count], 0);
  return `${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`;
}
