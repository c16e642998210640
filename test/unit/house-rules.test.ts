// The rules of the house, read from the sources: who may import whom, what things are called, how
// long they may be. Every violation is reported at once, with its file and line.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';

/** The repository: this runs as `dist/test/unit/house-rules.test.js`. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

const PACKAGE = 'koa-registry';

interface Rule {
  /** Parts of the core that it may import; types of `contracts`, `model` and `errors` are free to all. */
  readonly core: readonly string[];
  /** Packages; `node:*` stands for every builtin. */
  readonly packages: readonly string[];
  /** Packages of which it may import types. */
  readonly types?: readonly string[];
}

const CORE = [
  'backend',
  'contracts',
  'errors',
  'federation',
  'health',
  'http',
  'model',
  'notifications',
  'object-storage',
  'options',
  'plugin',
  'registry',
  'services',
  'several-hosts',
];
const DOMAIN = ['contracts', 'errors', 'model'];

/** Who may import whom, by the first name below `lib`. */
const RULES: Readonly<Record<string, Rule>> = {
  errors: { core: [], packages: [] },
  model: { core: ['errors'], packages: ['node:crypto'] },
  contracts: { core: [], packages: [], types: ['koa', 'node:*', '@standard-schema/spec'] },
  plugin: {
    core: DOMAIN,
    packages: ['zod', 'fastest-levenshtein', 'picomatch', 'node:*'],
    types: ['@standard-schema/spec'],
  },
  'object-storage': { core: DOMAIN, packages: ['node:*'] },
  services: { core: DOMAIN, packages: ['hash-wasm', 'lru-cache', 'node:*'] },
  notifications: { core: DOMAIN, packages: ['node:*'] },
  http: {
    core: ['notifications', 'services', ...DOMAIN],
    packages: ['@koa/router', 'koa-compose', 'raw-body', 'node:*'],
    types: ['koa'],
  },
  client: { core: ['services', ...DOMAIN], packages: ['node:*'] },
  admin: { core: ['federation', 'options', 'plugin', 'services', ...DOMAIN], packages: ['node:*'] },
  cli: { core: [...CORE, 'admin', 'client'], packages: ['node:*', 'pino'] },
  federation: { core: ['options', 'plugin', 'services', ...DOMAIN], packages: [] },
  health: { core: ['plugin', 'services', ...DOMAIN], packages: ['node:*'] },
  options: { core: ['plugin', ...DOMAIN], packages: ['re2js', 'zod', 'node:http'] },
  'several-hosts': { core: ['options', 'plugin', ...DOMAIN], packages: [] },
  backend: { core: CORE, packages: [] },
  registry: { core: CORE, packages: ['node:*', 'pino', 'koa-compose'], types: ['koa'] },
  index: { core: CORE, packages: [] },
};

/** What a part of the core may always import the types of. */
const FREE_TYPES = new Set(DOMAIN);

/** The most lines of a file, by folder: the design's budget and a tenth more. */
const LONGEST: Readonly<Record<string, number>> = { lib: 220, plugins: 270 };

const DRAWERS = /^(?:utils?|helpers?|common|managers?|data|info)$/i;
const NAME_OF_DRAWER = /(?:^|-)(?:utils?|helpers?|common|managers?|data|info)(?:-|$)/i;

interface Import {
  readonly specifier: string;
  readonly line: number;
  readonly typeOnly: boolean;
}

interface Source {
  /** From the repository's root, with `/`. */
  readonly path: string;
  readonly text: string;
  /** The text with its comments blanked, line for line. */
  readonly code: string;
  readonly imports: readonly Import[];
}

function withoutComments(text: string): string {
  const blank = (comment: string) => comment.replace(/[^\n]/g, ' ');
  return text.replace(/\/\*[\s\S]*?\*\//g, blank).replace(/(^|\s)\/\/.*$/gm, blank);
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

const STATIC_IMPORT = /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
const DYNAMIC_IMPORT = /\b(?:import|require)\(\s*['"]([^'"]+)['"]/g;

function importsOf(code: string): Import[] {
  const fixed = [...code.matchAll(STATIC_IMPORT)].map(({ 0: match, 1: type, 2: specifier = '', index }) => ({
    specifier,
    line: lineOf(code, index + match.length),
    typeOnly: type !== undefined,
  }));
  const late = [...code.matchAll(DYNAMIC_IMPORT)].map(({ 1: specifier = '', index }) => ({
    specifier,
    line: lineOf(code, index),
    typeOnly: false,
  }));
  return [...fixed, ...late];
}

function parse(path: string, text: string): Source {
  const code = withoutComments(text);
  return { path, text, code, imports: importsOf(code) };
}

function read(...folders: string[]): Source[] {
  return folders.flatMap((folder) => {
    const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && /\.[cm]?[jt]s$/.test(entry.name));
    return files.map((file) => {
      const full = join(file.parentPath, file.name);
      return parse(relative(ROOT, full).replaceAll('\\', '/'), readFileSync(full, 'utf8'));
    });
  });
}

/** The folders that exist: the house is not finished in every commit. */
function present(...folders: string[]): string[] {
  const names = new Set(
    folders.filter((folder) => readdirSync(dirname(join(ROOT, folder))).includes(basename(folder))),
  );
  return [...names];
}

/** `lru-cache` of `lru-cache/deep`, `@koa/router` of `@koa/router/x`, `node:*` of a builtin. */
function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}

function allows(packages: readonly string[], specifier: string): boolean {
  if (isBuiltin(specifier)) return packages.includes('node:*') || packages.includes(specifier);
  return packages.includes(packageOf(specifier));
}

/** Where a relative import of a source leads, from the repository's root. */
function target(path: string, specifier: string): string {
  return posix.normalize(posix.join(posix.dirname(path), specifier)).replace(/\.[cm]?js$/, '');
}

/** The part of the core at a path: `services` of `lib/services/keys`, `errors` of `lib/errors`. */
function partOf(path: string): string {
  return (path.split('/')[1] ?? '').replace(/\.[cm]?[jt]s$/, '');
}

/** What is wrong with one import of a file of the core. */
function wrongInCore(path: string, { specifier, typeOnly }: Import): string | undefined {
  const part = partOf(path);
  const rule = RULES[part];
  if (rule === undefined) return `no rule says what lib/${part} may import`;
  if (!specifier.startsWith('.')) {
    const allowed = allows(rule.packages, specifier) || (typeOnly && allows(rule.types ?? [], specifier));
    return allowed ? undefined : `${part} may not import ${typeOnly ? 'types of ' : ''}${specifier}`;
  }
  const to = target(path, specifier);
  const other = partOf(to);
  if (!to.startsWith('lib/')) return `the core may not import ${to}`;
  if (other === part || rule.core.includes(other) || (typeOnly && FREE_TYPES.has(other))) return undefined;
  return `${part} may not import ${other}`;
}

/** What is wrong with one import of a plugin, an example or the published suites: they see what everybody sees. */
function wrongOutside(path: string, { specifier }: Import): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const home = path.startsWith('test/conformance/') ? 'test/conformance/' : `${path.split('/').slice(0, 2).join('/')}/`;
  const to = target(path, specifier);
  return to.startsWith(home) ? undefined : `imports ${to} by its path, not ${PACKAGE} by its name`;
}

/** Koa is there wherever the package is. */
function wrongInSuite({ specifier }: Import): string | undefined {
  const allowed = specifier.startsWith('.') || isBuiltin(specifier) || [PACKAGE, 'koa'].includes(packageOf(specifier));
  return allowed ? undefined : `a published suite may not import ${specifier}`;
}

type Check<T> = (source: Source, item: T) => string | undefined;

/** A violation as an editor can jump to: `lib/http/urls.ts:12 …`. */
function forImports(sources: readonly Source[], check: Check<Import>): string[] {
  return sources.flatMap((source) =>
    source.imports.flatMap((item) => {
      const wrong = check(source, item);
      return wrong === undefined ? [] : [`${source.path}:${item.line} ${wrong}`];
    }),
  );
}

function forLines(sources: readonly Source[], check: Check<string>): string[] {
  return sources.flatMap((source) =>
    source.code.split('\n').flatMap((line, index) => {
      const wrong = check(source, line);
      return wrong === undefined ? [] : [`${source.path}:${index + 1} ${wrong}`];
    }),
  );
}

function report(violations: readonly string[]): void {
  assert.equal(violations.length, 0, `\n${violations.join('\n')}\n`);
}

const core = read('lib');
const plugins = read(...present('plugins'));
const suites = read(...present('test/conformance'));
const examples = read(...present('examples'));
const shipped = [...core, ...plugins, ...suites, ...examples];
const everything = read('lib', ...present('plugins', 'test', 'examples'));

test('each part of the core imports only what it may', () => {
  assert.ok(core.length > 10);
  report(forImports(core, ({ path }, item) => wrongInCore(path, item)));
});

test('plugins, examples and published suites import the package by its own name', () => {
  const outside = [...plugins, ...suites, ...examples];
  report(forImports(outside, ({ path }, item) => wrongOutside(path, item)));
});

test('published suites need nothing but the package, Koa and Node', () => {
  report(forImports(suites, (_source, item) => wrongInSuite(item)));
});

test('every package that ships is among the dependencies, and no import reaches for one that is not', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const ships = new Set([PACKAGE, ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })]);
  report(
    forImports([...core, ...plugins, ...suites], (_source, { specifier }) => {
      if (specifier.startsWith('.') || isBuiltin(specifier) || ships.has(packageOf(specifier))) return undefined;
      return `${packageOf(specifier)} is in neither dependencies nor peerDependencies`;
    }),
  );
});

test('builtins are imported with their scheme', () => {
  const bare = (specifier: string) => isBuiltin(specifier) && !specifier.startsWith('node:');
  report(forImports(shipped, (_source, { specifier }) => (bare(specifier) ? `write node:${specifier}` : undefined)));
});

test('nothing is called utils, helpers, common, manager, data or info', () => {
  const named = everything.flatMap(({ path }) => {
    const folders = path.split('/').slice(0, -1);
    const file = basename(path).replace(/(?:\.test|\.d)?\.[cm]?[jt]s$/, '');
    return folders.some((name) => DRAWERS.test(name)) || NAME_OF_DRAWER.test(file) ? [`${path}:1 is a drawer`] : [];
  });
  report(named);
});

test('files are kebab-case', () => {
  const kebab = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test|\.d)?\.[cm]?[jt]s$/;
  report(everything.filter(({ path }) => !kebab.test(basename(path))).map(({ path }) => `${path}:1 is not kebab-case`));
});

test('each file begins by saying what it is responsible for', () => {
  // A program that is run as such has its interpreter first.
  const begins = /^(?:#!.*\n)?\/\/ \S/;
  report(everything.filter(({ text }) => !begins.test(text)).map(({ path }) => `${path}:1 begins without a comment`));
});

test('no file is too long', () => {
  const long = [...core, ...plugins].flatMap(({ path, text }) => {
    const lines = text.split('\n').length - 1;
    const most = LONGEST[path.split('/')[0] ?? ''] ?? Number.POSITIVE_INFINITY;
    return lines > most ? [`${path}:${most} has ${lines} lines, ${most} at most`] : [];
  });
  report(long);
});

test('no type is talked away, no error silenced, nothing left for later', () => {
  const untyped = /\bas any\b|:\s*any\b|<any\b|\bany(?:\[\]|>)/;
  const silencers = /@ts-(?:ignore|nocheck)/;
  const postponed = new RegExp(['TO', 'DO|FIX', 'ME|XX', 'X'].join(''));
  const tested = everything.filter(({ path }) => !path.endsWith('house-rules.test.ts'));
  report([
    ...forLines(tested, (_source, line) => (untyped.test(withoutTexts(line)) ? 'any' : undefined)),
    ...tested.flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, index) => {
        const at = `${path}:${index + 1}`;
        return [
          ...(silencers.test(line) ? [`${at} silences the compiler`] : []),
          ...(postponed.test(line) ? [`${at} is not done`] : []),
        ];
      }),
    ),
  ]);
});

test('expected type errors belong into tests', () => {
  const found = shipped.filter(({ text }) => text.includes('@ts-expect-error'));
  report(found.map(({ path }) => `${path}:1 expects a type error`));
});

test('no module of the package waits at its top level, so that require() works', () => {
  report(
    forLines([...core, ...plugins], (_source, line) =>
      /^(?:(?:export )?const [^=]+= )?await\b|^for await\b/.test(line) ? 'awaits at the top level' : undefined,
    ),
  );
});

function withoutTexts(line: string): string {
  return line.replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`/g, "''");
}

test('the rules themselves catch what they are for', () => {
  const source = (path: string, text: string) => [parse(path, text)];
  const inCore = (path: string, text: string) =>
    forImports(source(path, text), ({ path: at }, item) => wrongInCore(at, item));
  const outside = (path: string, text: string) =>
    forImports(source(path, text), ({ path: at }, item) => wrongOutside(at, item));
  assert.deepEqual(inCore('lib/services/x.ts', "// x\nimport { a } from '../http/a.js';"), [
    'lib/services/x.ts:2 services may not import http',
  ]);
  assert.deepEqual(inCore('lib/errors.ts', "import 'node:fs';"), ['lib/errors.ts:1 errors may not import node:fs']);
  assert.deepEqual(inCore('lib/model/x.ts', "export {\n  a,\n} from '../plugin/a.js';"), [
    'lib/model/x.ts:3 model may not import plugin',
  ]);
  assert.deepEqual(inCore('lib/services/x.ts', "const p = await import('pino');"), [
    'lib/services/x.ts:1 services may not import pino',
  ]);
  assert.deepEqual(inCore('lib/contracts/x.ts', "import { Context } from 'koa';"), [
    'lib/contracts/x.ts:1 contracts may not import koa',
  ]);
  assert.deepEqual(inCore('lib/contracts/x.ts', "import type { Context } from 'koa';"), []);
  assert.deepEqual(inCore('lib/model/x.ts', "// import { a } from '../http/a.js';\n/* import 'koa'; */"), []);
  assert.deepEqual(inCore('lib/plugin/x.ts', "import { a } from '../../plugins/a.js';"), [
    'lib/plugin/x.ts:1 the core may not import plugins/a',
  ]);
  assert.deepEqual(inCore('lib/stray.ts', "import 'node:fs';"), [
    'lib/stray.ts:1 no rule says what lib/stray may import',
  ]);
  assert.equal(outside('plugins/storage/x.ts', "import { a } from '../../lib/index.js';").length, 1);
  assert.equal(
    outside('plugins/storage/x.ts', "import { a } from './y.js';\nimport { b } from 'koa-registry';").length,
    0,
  );
  assert.equal(outside('test/conformance/storage.ts', "import { a } from '../support/run.js';").length, 1);
});

test.run();
