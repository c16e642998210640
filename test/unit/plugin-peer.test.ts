// Optional peers against the real module loader: packages that are there, missing, or broken inside.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import { z } from 'zod';
import { definePlugin, MissingPeerError, optionalPeer, startPlugin } from '../../lib/plugin/index.js';

const test = suite<{ folder: string }>('optionalPeer', { folder: '' });

test.before(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'koa-registry-peer-'));
  const modules = {
    'node_modules/needy/index.mjs': "import 'needed-but-missing';",
    'node_modules/thrower/index.mjs': "throw new Error('boom');",
    'load.mjs': 'export const load = (name) => import(name);',
  };
  for (const [name, source] of Object.entries(modules)) {
    await mkdir(join(context.folder, name, '..'), { recursive: true });
    await writeFile(join(context.folder, name), source);
  }
  for (const name of ['needy', 'thrower']) {
    const manifest = JSON.stringify({ name, exports: './index.mjs' });
    await writeFile(join(context.folder, 'node_modules', name, 'package.json'), manifest);
  }
});

test.after(({ folder }) => rm(folder, { recursive: true }));

async function loaderIn(folder: string): Promise<(name: string) => Promise<unknown>> {
  const { load } = await import(pathToFileURL(join(folder, 'load.mjs')).href);
  return load;
}

test('a package that is installed is what comes back', async () => {
  assert.equal((await optionalPeer('zod', () => import('zod'))).z, z);
});

test('a missing package is asked for by name, also with a scope or a subpath, and from CommonJS', async ({
  folder,
}) => {
  const load = await loaderIn(folder);
  for (const [name, specifier] of [
    ['not-there', 'not-there'],
    ['@scope/not-there', '@scope/not-there'],
    ['not-there', 'not-there/deep'],
  ] as const) {
    await assert.rejects(
      optionalPeer(name, () => load(specifier)),
      { name: 'MissingPeerError', packageName: name, message: `needs the package ${name}: npm install ${name}` },
    );
  }
  const require = createRequire(import.meta.url);
  await assert.rejects(
    optionalPeer('not-there', async () => require('not-there')),
    MissingPeerError,
  );
});

test('what goes wrong inside the package is passed on as it is', async ({ folder }) => {
  const load = await loaderIn(folder);
  await assert.rejects(
    optionalPeer('needy', () => load('needy')),
    { code: 'ERR_MODULE_NOT_FOUND', message: /needed-but-missing/ },
  );
  await assert.rejects(
    optionalPeer('thrower', () => load('thrower')),
    { name: 'Error', message: 'boom' },
  );
});

test('the plugin that needs it is named when it is started', async ({ folder }) => {
  const load = await loaderIn(folder);
  const create = () =>
    optionalPeer('ioredis-not-there', () => load('ioredis-not-there')).then(() => ({ resolve: () => undefined }));
  const plugin = definePlugin({ kind: 'layer', name: 'cdn', options: z.strictObject({}), create });
  await assert.rejects(startPlugin(plugin()), {
    message: 'layer/cdn needs the package ioredis-not-there: npm install ioredis-not-there',
  });
});

test.run();
