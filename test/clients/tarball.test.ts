// The package as others get it: packed, installed into an empty folder beside Koa, and used from there
// as its README says.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { onFreePort } from '../support/free-port.js';
import { type RunningProcess, runProcess, startProcess } from '../support/process.js';
import { randomImage } from '../support/random-image.js';
import { RegistryClient } from '../support/registry-client.js';
import { tempFolder } from '../support/temp-folder.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

interface PackageJson {
  readonly exports: Readonly<Record<string, unknown>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** What the package may consist of; the suites that authors of plugins run are the only tests among it. */
const BELONGS = /^(?:(?:dist\/)?(?:lib|plugins|test\/conformance)\/.+|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/;

const COMMONJS_SERVICE = `
const Koa = require('koa');
const { registry } = require('koa-registry');
const { filesystem } = require('koa-registry/plugins/storage/filesystem');
const app = new Koa();
app.use(registry({ prefix: '/portal', storage: filesystem({ rootDirectory: './commonjs-data' }) }));
app.listen(process.env.PORT, '127.0.0.1');
`;

const TYPED_SERVICE = `
import Koa from 'koa';
import { type Registry, registry, type StorageDriver, startPlugin } from 'koa-registry';
import { storageDriverSuite } from 'koa-registry/conformance';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';

const images: Registry = registry({ prefix: '/portal', storage: filesystem({ rootDirectory: './data' }) });
new Koa().use(images);
export const sizeOf = async (driver: StorageDriver, key: string): Promise<number> => (await driver.stat(key)).size;
export const started = [startPlugin, storageDriverSuite];
// @ts-expect-error  a misspelt option must not compile
filesystem({ rootDirectoy: './data' });
`;

const TYPED_COMMONJS_SERVICE = `
import koaRegistry = require('koa-registry');
import storage = require('koa-registry/plugins/storage/filesystem');
koaRegistry.registry({ storage: storage.filesystem({ rootDirectory: './data' }) });
`;

/** What TypeScript compiles, by the way in which it looks for modules; only Node itself has CommonJS beside ESM. */
const PROJECTS = {
  nodenext: { module: 'nodenext', sources: { 'service.ts': TYPED_SERVICE, 'service.cts': TYPED_COMMONJS_SERVICE } },
  bundler: { module: 'preserve', sources: { 'service.ts': TYPED_SERVICE } },
};

const test = suite('tarball');
const app = tempFolder();
const installed = join(app, 'node_modules', 'koa-registry');
let files: readonly string[] = [];
let manifest: PackageJson;

test.before(async () => {
  manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as PackageJson;
  const target = tempFolder();
  // Its scripts would build again, and so remove what this test runs from.
  const packed = await npm('pack', '--ignore-scripts', '--json', '--pack-destination', target, ROOT);
  const [tarball] = JSON.parse(packed) as { filename: string; files: { path: string }[] }[];
  files = tarball?.files.map(({ path }) => path) ?? [];
  await writeFile(join(app, 'package.json'), JSON.stringify({ private: true }));
  await install(join(target, tarball?.filename ?? ''), ...['koa', '@types/koa', '@types/node'].map(withVersion));
});

function npm(...args: readonly string[]): Promise<string> {
  return runProcess('npm', args, { cwd: app });
}

/** As the package itself was tested with, and npm therefore has at hand. */
function withVersion(name: string): string {
  return `${name}@${manifest.devDependencies[name]}`;
}

/** From npm's cache, or else from wherever this machine gets its packages. */
async function install(...packages: readonly string[]): Promise<void> {
  const args = ['install', '--prefix', app, '--ignore-scripts', '--no-audit', '--no-fund', ...packages];
  await npm(...args, '--offline').catch(() => npm(...args));
}

/** Starts a service in the folder where the package is installed, on a port of its own. */
async function startService(file: string): Promise<{ readonly service: RunningProcess; readonly url: string }> {
  return onFreePort(async (port) => {
    const options = { cwd: app, env: { PORT: String(port) }, ready: { port } };
    return { service: await startProcess(process.execPath, [file], options), url: `http://127.0.0.1:${port}` };
  });
}

async function assertServes(url: string): Promise<void> {
  const client = new RegistryClient(url);
  const image = randomImage({ layers: [100_000, 10] });
  await client.pushImage('team/hello', '1.0', image);
  assert.equal(await client.pullWhole('team/hello', '1.0'), new Map([[image.digest, image.bytes], ...image.blobs]));
}

/** The first block of JavaScript of a section. */
function codeOf(readme: string, heading: string): string {
  const [, section = ''] = readme.split(`\n## ${heading}\n`);
  const [, code] = /^```js\n(.*?)^```$/ms.exec(section.split('\n## ')[0] ?? '') ?? [];
  if (code === undefined) throw new Error(`README.md has no block of js under "${heading}"`);
  return code;
}

test('has what it needs, and nothing else', () => {
  assert.equal(
    files.filter((path) => !BELONGS.test(path)),
    [],
  );
  for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md', 'dist/lib/index.js', 'dist/lib/index.d.ts']) {
    assert.ok(files.includes(name), `${name} is missing`);
  }
});

test('every source map leads to a source that is there too', async () => {
  const maps = files.filter((path) => path.endsWith('.map'));
  assert.ok(maps.length > 0);
  for (const map of maps) {
    const { sources } = JSON.parse(await readFile(join(installed, map), 'utf8')) as { sources: string[] };
    for (const source of sources) {
      assert.ok(files.includes(posix.join(posix.dirname(map), source)), `${map} leads to ${source}`);
    }
  }
});

test('every entry of its exports and every plugin can be imported', async () => {
  const entries = Object.keys(manifest.exports).filter((name) => !name.includes('*') && !name.endsWith('.json'));
  // A plugin is one file, or one file and a folder of its parts, which are its own affair.
  const plugins = files.filter((path) => /^dist\/plugins\/[^/]+\/[^/]+\.js$/.test(path));
  assert.ok(plugins.length > 0);
  const names = [
    ...entries.map((name) => posix.join('koa-registry', name)),
    ...plugins.map((path) => posix.join('koa-registry', path.slice('dist/'.length, -'.js'.length))),
  ];
  const script = `for (const name of ${JSON.stringify(names)}) await import(name);`;
  await runProcess(process.execPath, ['--input-type=module', '--eval', script], { cwd: app });
  await runProcess(process.execPath, ['--eval', "require('koa-registry/package.json')"], { cwd: app });
});

test('what does not belong to its face cannot be imported', async () => {
  const script = "await import('koa-registry/dist/lib/options.js')";
  let failure = '';
  await runProcess(process.execPath, ['--input-type=module', '--eval', script], { cwd: app }).catch((error: Error) => {
    failure = error.message;
  });
  assert.match(failure, /ERR_PACKAGE_PATH_NOT_EXPORTED/);
});

test('the quick start of the README serves', async () => {
  const readme = await readFile(join(installed, 'README.md'), 'utf8');
  await writeFile(join(app, 'server.mjs'), codeOf(readme, 'Embed it'));
  const { service, url } = await startService('server.mjs');
  await assertServes(url);
  await service.stop();
});

test('a CommonJS service requires it', async () => {
  await writeFile(join(app, 'server.cjs'), COMMONJS_SERVICE);
  const { service, url } = await startService('server.cjs');
  await assertServes(`${url}/portal`);
  await service.stop();
});

for (const [moduleResolution, { module, sources }] of Object.entries(PROJECTS)) {
  test(`its types are found with moduleResolution ${moduleResolution}, and hold`, async () => {
    const folder = join(app, moduleResolution);
    await mkdir(folder);
    for (const [name, text] of Object.entries(sources)) await writeFile(join(folder, name), text);
    const compilerOptions = { module, moduleResolution, target: 'es2023', strict: true, noEmit: true, types: ['node'] };
    const files = Object.keys(sources);
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    await compile(folder);
  });
}

/** Runs the compiler of this repository, which reports to stdout. */
async function compile(folder: string): Promise<void> {
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  await runProcess(process.execPath, [compiler, '--project', folder], { cwd: folder }).catch((error: Error) => {
    throw new Error((error.cause as { stdout?: string }).stdout || error.message);
  });
}

test.run();
