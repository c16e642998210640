// The test runner: what it counts, what it calls a failure, and what it leaves behind (nothing).
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startProcess } from '../support/process.js';
import { hasEnded } from '../support/process-state.js';
import { tempFolder } from '../support/temp-folder.js';

const RUNNER = fileURLToPath(new URL('../support/run.js', import.meta.url));
const REQUIRES = import.meta.resolve('../support/requires.js');
const UVU = `import { suite, test } from '${import.meta.resolve('uvu')}';`;

interface Run {
  readonly code: number;
  readonly lines: readonly string[];
  readonly text: string;
}

/** The arguments that run the runner over files of the given content. */
async function prepare(files: Record<string, string>): Promise<string[]> {
  const folder = tempFolder();
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), `${UVU}\n${content}`);
  }
  return [RUNNER, `--folder=${folder}`];
}

async function run(files: Record<string, string>, args: string[] = [], env: Record<string, string> = {}): Promise<Run> {
  const argv = [...(await prepare(files)), ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { env: { ...process.env, CI: '', ...env } }, (error, stdout, stderr) => {
      const text = stdout + stderr;
      resolve({ code: error === null ? 0 : Number(error.code), lines: text.trimEnd().split('\n'), text });
    });
  });
}

const PASSING = `test('a', () => {}); test('b', () => {}); test.run();`;
const FAILING = `test('a', () => {}); test('breaks', () => { throw new Error('out of cheese'); }); test.run();`;

const test = suite('test runner');

test('adds up the suites of several files and ends with the counts', async () => {
  const two = `const one = suite('one'); one('a', () => {}); one.run(); const two = suite('two'); two('b', () => {}); two.run();`;
  const { code, lines } = await run({ 'a.test.js': PASSING, 'deeper/b.test.js': two, 'not-a-test.js': FAILING });
  assert.is(code, 0);
  assert.is(lines.at(-1), '4 passed, 0 failed, 0 skipped');
  assert.ok(lines.some((line) => /^ok +deeper\/b\.test\.js +2 passed, 0 failed, 0 skipped, \d+\.\d s$/.test(line)));
});

test('runs only the files that an argument selects', async () => {
  const { code, lines } = await run({ 'http/a.test.js': PASSING, 'unit/b.test.js': FAILING }, ['http/']);
  assert.is(code, 0);
  assert.is(lines.at(-1), '2 passed, 0 failed, 0 skipped');
});

test('fails when nothing is selected', async () => {
  const { code, lines } = await run({ 'a.test.js': PASSING }, ['nothing-like-it']);
  assert.is(code, 1);
  assert.is(lines.at(-1), '0 passed, 0 failed, 0 skipped');
});

test('shows the whole output of a failing file, and none of a passing one', async () => {
  const noisy = `console.log('a quiet word'); ${PASSING}`;
  const { code, lines, text } = await run({ 'a.test.js': FAILING, 'b.test.js': noisy });
  assert.is(code, 1);
  assert.is(lines.at(-1), '3 passed, 1 failed, 0 skipped');
  assert.match(text, 'out of cheese');
  assert.not.match(text, 'a quiet word');
});

test('reads counts although the environment asks for colours', async () => {
  const { lines } = await run({ 'a.test.js': PASSING }, [], { FORCE_COLOR: '1' });
  assert.is(lines.at(-1), '2 passed, 0 failed, 0 skipped');
});

const BROKEN: Record<string, [content: string, problem: RegExp]> = {
  'cannot be loaded': [`import './not-there.js'; ${PASSING}`, /ended with code 1 before its tests were done/],
  'exits early with success': [`${PASSING} process.exit(0);`, /ended with code 0 before its tests were done/],
  'waits for what never comes': [`test('a', () => new Promise(() => {})); test.run();`, /before its tests were done/],
  'has no tests': ['test.run();', /has no tests/],
  'fails after its tests': [
    `${PASSING} process.on('exit', () => { process.exitCode = 3; });`,
    /ended with code 3 although no test failed/,
  ],
  'has a failing hook': [`test.before(() => { throw new Error(); }); ${PASSING}`, /has a hook that throws/],
  'is killed': [`${PASSING} process.kill(process.pid, 'SIGKILL');`, /was ended by SIGKILL/],
};

for (const [name, [content, problem]] of Object.entries(BROKEN)) {
  test(`counts as failed a file that ${name}`, async () => {
    const { code, lines, text } = await run({ 'a.test.js': content });
    assert.is(code, 1);
    assert.match(lines.at(-1) ?? '', /^0 passed, [13] failed, 0 skipped$|^2 passed, 1 failed, 0 skipped$/);
    assert.match(text, problem);
  });
}

/** A test file that starts a process, notes its id, and goes on as `then` says. */
const starting = (note: string, then: string) => `
  import { spawn } from 'node:child_process';
  import { writeFileSync } from 'node:fs';
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
  writeFileSync(${JSON.stringify(note)}, String(child.pid));
  ${then}`;

/** Whether the process that was noted ends. */
async function notedHasEnded(note: string): Promise<boolean> {
  return hasEnded(Number(await readFile(note, 'utf8')));
}

test('kills a file that takes too long, with what it started', async () => {
  const note = join(tempFolder(), 'pid');
  const slow = starting(note, `test('a', () => new Promise(() => {})); test.run();`);
  const { code, text } = await run({ 'a.test.js': slow }, ['--timeout=2']);
  assert.is(code, 1);
  assert.match(text, 'took too long and was killed');
  assert.ok(await notedHasEnded(note));
});

test('ends what a file leaves running', async () => {
  const note = join(tempFolder(), 'pid');
  const { lines } = await run({ 'a.test.js': starting(note, `child.unref(); ${PASSING}`) });
  assert.is(lines.at(-1), '2 passed, 0 failed, 0 skipped');
  assert.ok(await notedHasEnded(note));
});

test('ends what runs when it is ended itself', async () => {
  const note = join(tempFolder(), 'pid');
  // The note is complete before the file says that it is: by taking its other name.
  const slow = `${starting(`${note}~`, `import { renameSync } from 'node:fs';`)}
    renameSync('${note}~', '${note}'); test('a', () => new Promise(() => {})); test.run();`;
  const argv = await prepare({ 'a.test.js': slow, 'b.test.js': PASSING });
  const runner = await startProcess(process.execPath, argv, { ready: /ok +b\.test/ });
  while (!existsSync(note)) await delay(10);
  await runner.stop();
  assert.ok(await notedHasEnded(note));
});

test('leaves no temporary folder, even of a file that was killed', async () => {
  const folder = tempFolder();
  const messy = `
    import { mkdtempSync } from 'node:fs'; import { tmpdir } from 'node:os'; import { join } from 'node:path';
    mkdtempSync(join(tmpdir(), 'left-')); process.kill(process.pid, 'SIGKILL');`;
  await run({ 'a.test.js': messy }, [], { TMPDIR: folder });
  assert.equal(await readdir(folder), []);
});

const NEEDING = `
  import { suiteNeeding } from '${REQUIRES}';
  const needing = suiteNeeding('round trip', ['skopeo', 'umoci']);
  needing.before(() => { throw new Error('a hook ran'); });
  needing('pushes', () => {}); needing('pulls', () => {}); needing.run();
  ${PASSING}`;

test('lists tests that need a missing program as skipped, by name and with the way to get it', async () => {
  const { code, lines } = await run({ 'a.test.js': NEEDING }, [], { PATH: '' });
  assert.is(code, 0);
  assert.is(lines.at(-1), '2 passed, 0 failed, 2 skipped');
  const reason = 'needs skopeo (apt-get install skopeo) and umoci (apt-get install umoci)';
  assert.ok(lines.includes(`  round trip: pushes: ${reason}`));
  assert.ok(lines.includes(`  round trip: pulls: ${reason}`));
});

test('fails those tests with CI=true', async () => {
  const { code, lines, text } = await run({ 'a.test.js': NEEDING }, [], { PATH: '', CI: 'true' });
  assert.is(code, 1);
  assert.is(lines.at(-1), '2 passed, 2 failed, 0 skipped');
  assert.match(text, 'needs skopeo (apt-get install skopeo)');
});

test('lets a skip without a reason pass, but not with CI=true', async () => {
  const silent = { 'a.test.js': `test.skip('c'); ${PASSING}` };
  const here = await run(silent);
  assert.is(here.code, 0);
  assert.match(here.text, 'a.test.js: 1 without a reason');
  const there = await run(silent, [], { CI: 'true' });
  assert.is(there.code, 1);
  assert.is(there.lines.at(-1), '2 passed, 1 failed, 1 skipped');
});

test.run();
