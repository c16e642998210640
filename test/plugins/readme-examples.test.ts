// Every example of the catalogue in plugins/README.md, run as it is written there.
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import bcrypt from 'bcrypt';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import Koa from 'koa';
import type { Registry } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { suite } from 'uvu';
import { basic, password } from '../support/credentials.js';
import { listen } from '../support/koa-service.js';
import { tempFolder } from '../support/temp-folder.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const folder = tempFolder();

interface Example {
  /** `auth/htpasswd`. */
  readonly plugin: string;
  readonly source: string;
}

async function examples(): Promise<Example[]> {
  const text = await readFile(join(ROOT, 'plugins/README.md'), 'utf8');
  const [catalogue = ''] = text.split('## Writing a plugin');
  return catalogue.split(/^### /m).flatMap((section) => {
    const plugin = section.slice(0, section.indexOf('\n')).trim();
    return [...section.matchAll(/```js\n([\s\S]*?)```/g)].map(([, source = '']) => ({ plugin, source }));
  });
}

/** `auth/htpasswd` for each file directly below a folder of a kind. */
async function builtIns(): Promise<string[]> {
  const kinds = (await readdir(join(ROOT, 'plugins'), { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const names = await Promise.all(
    kinds.map(async ({ name }) =>
      (await readdir(join(ROOT, 'plugins', name)))
        .filter((file) => file.endsWith('.ts'))
        .map((file) => `${name}/${file.slice(0, -3)}`),
    ),
  );
  return names.flat().sort();
}

/** The registries that an example makes; what it makes is not assigned to anything there. */
async function run({ source }: Example, index: number): Promise<Registry[]> {
  const made: Registry[] = [];
  const keep = (images: Registry) => void made.push(images);
  Object.assign(globalThis, { storage: memory(), keep });
  const file = join(folder, `example-${index}.mjs`);
  const calls = /^registry\((.*)\);( .*)?$|^registry\(([\s\S]*?^\})\);$/gm;
  await writeFile(file, source.replaceAll(calls, 'keep(registry($1$3));$2'));
  await import(pathToFileURL(file).href);
  return made;
}

/** What a caller is answered by a registry at work. */
async function ask(images: Registry, path: string, headers: Record<string, string> = {}): Promise<number> {
  const app = new Koa().use(images);
  const service = await listen();
  service.serve(app);
  try {
    return (await fetch(service.url + path, { headers })).status;
  } finally {
    await service.close();
  }
}

/** A token of the issuer in the example of `auth/chain`, whose key set is made here. */
let rightToken = '';

const PULL = '/v2/team/app/tags/list';
const KNOWN = 404;

/** Who is answered what, by the plugin of the example. */
const EXPECTED: Readonly<
  Record<string, readonly (readonly [headers: Record<string, string>, path: string, status: number])[]>
> = {
  'auth/host': [
    [{}, '/v2/', 401],
    [basic('alice', 'a-token-of-alice'), PULL, KNOWN],
    [basic('alice', password('wrong')), PULL, 401],
  ],
  'auth/htpasswd': [
    [{}, PULL, 401],
    [basic('alice', password('alice')), PULL, KNOWN],
    [basic('alice', password('wrong')), PULL, 401],
  ],
  'auth/token': [
    [{}, PULL, 401],
    [basic('alice', password('alice')), PULL, 401],
  ],
  'auth/rules': [
    [{}, '/v2/', 401],
    [{}, PULL, KNOWN],
    [{}, '/v2/_catalog', 401],
    [basic('alice', password('alice')), '/v2/_catalog', 403],
    [basic('bob', password('bob')), '/v2/_catalog', 200],
  ],
  'auth/chain': [
    [{}, PULL, 401],
    [basic('alice', password('alice')), PULL, KNOWN],
    [{ Authorization: 'Bearer <right>' }, PULL, KNOWN],
    [{ Authorization: 'Bearer <right>' }, '/v2/team/other/tags/list', 401],
  ],
  'auth/silly': [
    [{}, PULL, 401],
    [{ Authorization: 'anything' }, PULL, KNOWN],
  ],
};

function withToken(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value.replace('<right>', rightToken)]),
  );
}

/** Nobody has a bucket here: that the options are right is what can be seen. */
const NEEDS_BACKEND = new Set([
  'storage/gcs',
  'storage/s3',
  'cache/redis',
  'coordination/redis',
  'notification/redis',
  'queue/redis',
]);

const test = suite('plugins/README.md');
const home = process.cwd();

test.before(async () => {
  const modules = join(folder, 'node_modules');
  await mkdir(modules);
  const installed = await readdir(join(ROOT, 'node_modules'));
  for (const name of installed.filter((each) => !each.startsWith('.'))) {
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
  await symlink(ROOT, join(modules, 'koa-registry'));
  const users = ['alice', 'bob'].map((name) => `${name}:${bcrypt.hashSync(password(name), 4)}\n`).join('');
  for (const file of ['users', 'users.htpasswd']) await writeFile(join(folder, file), users);
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  rightToken = await new SignJWT({ access: [{ type: 'repository', name: 'team/app', actions: ['pull'] }] })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer('login.example.com')
    .setAudience('registry.example.com')
    .setExpirationTime('1h')
    .sign(privateKey);
  await writeFile(join(folder, 'jwks.json'), JSON.stringify({ keys: [await exportJWK(publicKey)] }));
  process.chdir(folder);
});

test.after(() => process.chdir(home));

test('every built-in plugin has an example', async () => {
  const shown = new Set((await examples()).map(({ plugin }) => plugin));
  assert.deepEqual(
    (await builtIns()).filter((name) => !shown.has(name) && !name.startsWith('redis/')),
    [],
  );
});

for (const [index, example] of (await examples()).entries()) {
  test(`the example of ${example.plugin} works as it is written`, async () => {
    const made = await run(example, index);
    assert.ok(made.length > 0, 'it makes no registry');
    try {
      for (const images of NEEDS_BACKEND.has(example.plugin) ? [] : made) {
        await images.ready();
        for (const [headers, path, status] of EXPECTED[example.plugin] ?? [[{}, '/v2/', 200]]) {
          assert.equal(await ask(images, path, withToken(headers)), status, `${path} ${Object.keys(headers)}`);
        }
      }
    } finally {
      for (const images of made) await images.close();
    }
  });
}

test.run();
