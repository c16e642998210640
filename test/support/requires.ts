// Tests that need a program beside Node: they run wherever it is installed, are skipped by name where
// it is not, and fail where it is not although it has to be (CI).
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { suite, type Test } from 'uvu';

/** Each program that a test may need, and how to get it. */
const INSTALL = {
  skopeo: 'apt-get install skopeo',
  umoci: 'apt-get install umoci',
  'docker-registry': 'apt-get install docker-registry',
  nginx: 'apt-get install nginx-light',
  'redis-server': 'apt-get install redis-server',
  'docker-compose': 'apt-get install docker-compose',
  openssl: 'apt-get install openssl',
  taskset: 'apt-get install util-linux',
  versitygw: 'go install github.com/versity/versitygw/cmd/versitygw@latest',
  'fake-gcs-server': 'go install github.com/fsouza/fake-gcs-server@latest',
} as const satisfies Record<string, string>;

/** A program that a test may need. */
export type Program = keyof typeof INSTALL;

/** Servers live here, where the PATH of an ordinary user does not lead. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin'];

/** `go install` puts programs here, where no PATH has to lead either. */
function goFolders(): string[] {
  const { GOBIN = '', GOPATH = '' } = process.env;
  const workspaces = [...GOPATH.split(delimiter), join(homedir(), 'go')].filter((folder) => folder !== '');
  return [GOBIN, ...workspaces.map((folder) => join(folder, 'bin'))];
}

/** The path of an installed program, or `undefined`. */
export function findProgram(program: Program): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS, ...goFolders()];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Whether the environment says `CI=true`: what is missing is then a failure, for nobody would look at a skip. */
export function isCi(): boolean {
  return !['', '0', 'false'].includes(process.env.CI ?? '');
}

/**
 * A uvu suite whose tests need programs: `const test = suiteNeeding('round trip', ['skopeo', 'umoci'])`.
 *
 * Where one is missing, neither its tests nor its hooks run. Each test is then announced to the test
 * runner as skipped, with the command that installs what it needs; with `CI=true` it fails instead.
 */
export function suiteNeeding(name: string, programs: readonly Program[]): Test {
  const missing = programs.filter((program) => findProgram(program) === undefined);
  const test = suite(name);
  if (missing.length === 0) return test;
  const reason = `needs ${missing.map((program) => `${program} (${INSTALL[program]})`).join(' and ')}`;
  return isCi() ? failing(test, reason) : skipping(test, name, reason);
}

/** Skips a test and says so by name, which uvu's own `skip` does not. */
export function skip(test: Test, suiteName: string, testName: string, reason: string): void {
  process.stdout.write(`SKIPPED ${suiteName}: ${testName}: ${reason}\n`);
  test.skip(testName);
}

/** Registers the tests of a published suite, and announces by name and reason those that it skips. */
export function announcing(test: Test, suiteName: string) {
  const register = (name: string, body: () => Promise<void>) => test(name, body);
  const announce = (name: string) => {
    process.stdout.write(`SKIPPED ${suiteName}: ${name}\n`);
    test.skip(name);
  };
  return Object.assign(register, { skip: announce });
}

function failing(test: Test, reason: string): Test {
  return standIn(test, (name) => {
    test(name, () => {
      throw new Error(reason);
    });
  });
}

function skipping(test: Test, suiteName: string, reason: string): Test {
  return standIn(test, (name) => skip(test, suiteName, name, reason));
}

/** The suite with another way to add a test, and without hooks: they would meet the missing program first. */
function standIn(test: Test, add: (name: string) => void): Test {
  const hook = Object.assign(() => {}, { each: () => {} });
  return Object.assign((name: string) => add(name), {
    only: (name: string) => add(name),
    skip: test.skip,
    before: hook,
    after: hook,
    run: test.run,
  });
}
