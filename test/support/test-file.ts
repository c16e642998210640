// Runs one test file in a process of its own and reads from its output how it went.
import { spawn } from 'node:child_process';
import { atExit } from './at-exit.js';
import { isCi } from './requires.js';

/** How a test file went. */
export interface FileResult {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** One for each skipped test that gave a reason: `<suite>: <test>: <reason>`. */
  readonly skips: readonly string[];
  /** What is wrong with the file as a whole, and counts as a failure of its own. */
  readonly problem?: string;
  readonly output: string;
  readonly seconds: number;
}

export interface FileOptions {
  /** After this many milliseconds the file and all that it started are killed. */
  readonly timeout: number;
  /** Besides the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What became of the process. */
interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
}

type Counts = Pick<FileResult, 'passed' | 'failed' | 'skipped' | 'skips'> & { readonly summaries: number };

/** The last lines that uvu writes; a file with several runs has several. */
const SUMMARY = /^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm;
const SKIPPED = /^SKIPPED (.+)$/gm;

/** How long output is awaited that a process outside of the group holds back. */
const DRAIN = 2_000;

/** Each file leads a process group, so that whatever it started can be found. */
const groups = new Set<number>();

atExit(() => {
  for (const group of groups) killGroup(group);
});

/** Runs a test file to its end. It never throws for what the file does. */
export async function runTestFile(file: string, { timeout, env }: FileOptions): Promise<FileResult> {
  const started = performance.now();
  const { output, ...ending } = await runToEnd(file, timeout, env);
  const { summaries, ...counts } = parseOutput(output);
  const problem = findProblem(ending, counts, summaries);
  const failed = counts.failed + (problem === undefined ? 0 : 1);
  const seconds = (performance.now() - started) / 1000;
  return { ...counts, failed, ...(problem && { problem }), output, seconds };
}

/** Reads the counts of all summaries. A test that neither passed nor failed, because a hook threw, has failed. */
function parseOutput(output: string): Counts {
  const summaries = [...output.matchAll(SUMMARY)].map((match) => match.slice(1).map(Number));
  const sum = (column: number) => summaries.reduce((total, row) => total + (row[column] ?? 0), 0);
  const skips = [...output.matchAll(SKIPPED)].map((match) => match[1] ?? '');
  return { summaries: summaries.length, passed: sum(1), failed: sum(0) - sum(1), skipped: sum(2), skips };
}

function findProblem({ code, signal, timedOut }: Ending, counts: Omit<Counts, 'summaries'>, summaries: number) {
  const { passed, failed, skipped, skips } = counts;
  if (timedOut) return 'took too long and was killed';
  if (signal !== null) return `was ended by ${signal}`;
  if (summaries === 0) return `ended with code ${code} before its tests were done`;
  if (passed + failed + skipped === 0) return 'has no tests';
  if (code !== 0 && failed === 0) return `ended with code ${code} although no test failed`;
  if (code === 0 && failed > 0) return 'has a hook that throws, of which uvu says nothing';
  if (isCi() && skipped > skips.length) return `skips ${skipped - skips.length} tests without a reason`;
  return undefined;
}

async function runToEnd(file: string, timeout: number, env: FileOptions['env']): Promise<Ending & { output: string }> {
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...plainEnvironment(), ...env },
  });
  const group = child.pid ?? 0;
  groups.add(group);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  let timedOut = false;
  const clock = setTimeout(() => {
    timedOut = true;
    killGroup(group);
  }, timeout);
  // A file that ends leaves nothing running, or else it would hold the pipes open for ever.
  child.once('exit', () => {
    clearTimeout(clock);
    killGroup(group);
    groups.delete(group);
    setTimeout(() => [child.stdout, child.stderr].map((stream) => stream.destroy()), DRAIN).unref();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, timedOut, output }));
  });
}

/** Colours would hide the summary. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _, ...environment } = process.env;
  return { ...environment, NO_COLOR: '1' };
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Nothing of it is left, as it should be.
  }
}
