// `node dist/test/support/run.js [--jobs=2] [--timeout=300] [part of a path …]`: runs the test files,
// all of them or those whose path contains one of the parts.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runTests } from './run-tests.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** How many files run at a time. */
    jobs: { type: 'string', default: '2' },
    /** How long a file may take, in seconds. */
    timeout: { type: 'string', default: '300' },
    /** Where the files are. */
    folder: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) },
  },
});

const passed = await runTests({
  folder: values.folder,
  only: positionals,
  jobs: positive('jobs', values.jobs),
  timeout: positive('timeout', values.timeout) * 1000,
  print: (line) => void process.stdout.write(`${line}\n`),
});
process.exitCode = passed ? 0 : 1;

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`--${name}: must be a number greater than 0`);
  return number;
}
