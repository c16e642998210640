// skopeo, which logs in as a person at a terminal would, against registries that want to know who it
// is: by a file of passwords, by a token server of its own process, and by rules over either.
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import bcrypt from 'bcrypt';
import Koa from 'koa';
import { type Plugin, type Registry, registry } from 'koa-registry';
import { htpasswd } from 'koa-registry/plugins/auth/htpasswd';
import { rules } from 'koa-registry/plugins/auth/rules';
import { token } from 'koa-registry/plugins/auth/token';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pino } from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SigningKeys } from '../../examples/token-server/keys.js';
import { Users } from '../../examples/token-server/users.js';
import { basic, password } from '../support/credentials.js';
import { startDockerRegistry } from '../support/docker-registry.js';
import { makeImage, makeIndex } from '../support/images.js';
import { type KoaService, listen } from '../support/koa-service.js';
import { type Contents, digestLike, layoutEntry, readLayout } from '../support/oci-layout.js';
import { type RunningProcess, startProcess } from '../support/process.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

/** The examples as they run: `dist/examples/token-server`. */
const EXAMPLE = new URL('../../examples/token-server/', import.meta.url);

/** A person with a login file of its own, at one registry. */
class Person {
  readonly #host: string;
  readonly #name: string;
  readonly #authFile = join(tempFolder(), 'auth.json');

  private constructor(host: string, name: string) {
    this.#host = host;
    this.#name = name;
  }

  /** Somebody who has not logged in yet. */
  static async at(host: string, name = 'nobody'): Promise<Person> {
    const person = new Person(host, name);
    await writeFile(person.#authFile, '{}');
    return person;
  }

  static async loggedIn(host: string, name: string): Promise<Person> {
    const person = await Person.at(host, name);
    await person.login();
    return person;
  }

  login(pass = password(this.#name)): Promise<string> {
    return this.#skopeo('login', '--tls-verify=false', '--username', this.#name, '--password', pass, this.#host);
  }

  /** From a layout into the registry. */
  push(folder: string, image: string, ...options: readonly string[]): Promise<string> {
    return this.#copy(...options, `oci:${folder}:latest`, this.#image(image));
  }

  /** From the registry into a new layout. */
  async pull(image: string, ...options: readonly string[]): Promise<string> {
    const folder = tempFolder();
    await this.#copy(...options, this.#image(image), `oci:${folder}:latest`);
    return folder;
  }

  /** Within the registry. */
  copy(from: string, to: string, ...options: readonly string[]): Promise<string> {
    return this.#copy(...options, this.#image(from), this.#image(to));
  }

  inspect(image: string): Promise<string> {
    return this.#skopeo('inspect', '--raw', '--tls-verify=false', this.#image(image));
  }

  async tags(repository: string): Promise<readonly string[]> {
    const answer = await this.#skopeo('list-tags', '--tls-verify=false', this.#image(repository));
    return (JSON.parse(answer) as { Tags: string[] }).Tags;
  }

  delete(image: string): Promise<string> {
    return this.#skopeo('delete', '--tls-verify=false', this.#image(image));
  }

  #image(image: string): string {
    return `docker://${this.#host}/${image}`;
  }

  #copy(...args: readonly string[]): Promise<string> {
    return this.#skopeo('copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', ...args);
  }

  #skopeo(command: string, ...args: readonly string[]): Promise<string> {
    return skopeo(command, '--authfile', this.#authFile, ...args);
  }
}

/** In whose words skopeo says it depends on what it was about to do. */
const REFUSED = /unauthorized|authentication required|denied/i;
const WRONG_PASSWORD = /invalid username\/password/;

async function fails(work: Promise<unknown>, why: RegExp): Promise<void> {
  const failure = await work.then(
    () => 'did not fail',
    (error: Error) => error.message,
  );
  assert.match(failure, why);
}

/** Compared by digest and bytes, in any order. */
function assertSameContents(actual: Contents, expected: Contents): void {
  assert.equal([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [digest, bytes] of expected) assert.ok(actual.get(digest)?.equals(bytes), `${digest} has other bytes`);
}

/** All that a person does with an image who may do everything. */
async function wholeRound(host: string, name: string): Promise<void> {
  const source = tempFolder();
  const { digest } = await makeImage(source, { layers: 2 });
  const person = await Person.at(host, name);
  await fails(person.push(source, 'team/round:1'), REFUSED);
  await fails(person.login(password('wrong')), WRONG_PASSWORD);
  await person.login();

  await person.push(source, 'team/round:1');
  assert.is(digestLike(Buffer.from(await person.inspect('team/round:1'))), digest);
  assertSameContents(await readLayout(await person.pull('team/round:1')), await readLayout(source));
  assert.equal(await person.tags('team/round'), ['1']);
  await person.delete('team/round:1');
  await fails(person.inspect('team/round:1'), /manifest unknown/);
}

/** A file as Apache's `htpasswd -B` writes it. */
async function passwordFile(...names: readonly string[]): Promise<string> {
  const path = join(tempFolder(), 'users');
  const hashOf = (name: string) => bcrypt.hashSync(password(name), 5).replace('$2b$', '$2y$');
  await writeFile(path, names.map((name) => `${name}:${hashOf(name)}\n`).join(''));
  return path;
}

interface Guarded {
  readonly service: KoaService;
  readonly images: Registry;
  close(): Promise<void>;
}

/** A registry in this process, whose requests are written down. */
async function guardedBy(auth: Plugin<'auth'>): Promise<Guarded> {
  const service = await listen();
  const images = registry({
    storage: memory(),
    auth,
    delete: { enabled: true },
    failedLogins: { delay: 0 },
    logger: pino({ level: 'silent' }),
  });
  service.serve(new Koa().use(images));
  const close = async () => {
    await service.close();
    await images.close();
  };
  return { service, images, close };
}

async function withGuarded(auth: Plugin<'auth'>, work: (guarded: Guarded) => Promise<void>): Promise<void> {
  const guarded = await guardedBy(auth);
  try {
    await work(guarded);
  } finally {
    await guarded.close();
  }
}

const passwords = suiteNeeding('skopeo with passwords', ['skopeo', 'umoci']);

passwords('htpasswd: login, push, inspect, pull, list and delete', async () => {
  const auth = htpasswd({ realm: 'Images', path: await passwordFile('alice') });
  await withGuarded(auth, ({ service }) => wholeRound(service.host, 'alice'));
});

passwords('rules: anybody pulls, and who has logged in pushes', async () => {
  const auth = rules({
    handler: htpasswd({ path: await passwordFile('alice', 'bob') }),
    rules: [
      { anonymous: true, actions: ['pull'] },
      { users: ['alice'], actions: ['pull', 'push'] },
    ],
  });
  await withGuarded(auth, async ({ service: { host } }) => {
    const source = tempFolder();
    await makeImage(source, { layers: 1 });
    const sent = await readLayout(source);
    const [nobody, alice, bob] = [
      await Person.at(host),
      await Person.loggedIn(host, 'alice'),
      await Person.loggedIn(host, 'bob'),
    ];
    await fails(nobody.push(source, 'shared:1'), REFUSED);
    await fails(bob.push(source, 'shared:1'), /denied/i);
    await alice.push(source, 'shared:1');
    for (const person of [nobody, bob, alice]) {
      assertSameContents(await readLayout(await person.pull('shared:1')), sent);
      assert.equal(await person.tags('shared'), ['1']);
    }
    await fails(alice.delete('shared:1'), /denied/i);
    await fails((await Person.at(host, 'alice')).login(password('wrong')), WRONG_PASSWORD);
  });
});

passwords.run();

const neighbour = suiteNeeding('skopeo with passwords, at both registries', ['skopeo', 'docker-registry']);

neighbour('the file that distribution reads is read here, and says the same', async () => {
  const path = await passwordFile('alice', 'bob');
  const theirs = await startDockerRegistry({ settings: { auth: { htpasswd: { realm: 'Images', path } } } });
  try {
    await withGuarded(htpasswd({ realm: 'Images', path }), async ({ service }) => {
      for (const host of [theirs.host, service.host]) {
        for (const name of ['alice', 'bob']) await Person.loggedIn(host, name);
        const eve = await Person.at(host, 'eve');
        await fails(eve.login(), WRONG_PASSWORD);
      }
    });
  } finally {
    await theirs.stop();
  }
});

neighbour.run();

const tokens = suiteNeeding('skopeo with a token server', ['skopeo', 'umoci']);

let tokenServer: RunningProcess;
let images: RunningProcess;
const urlOf = ({ match }: RunningProcess) => `http://${match?.[1]}`;
const hostOf = ({ match }: RunningProcess) => match?.[1] ?? '';

function startExample(file: string, env: Readonly<Record<string, string>>): Promise<RunningProcess> {
  const path = fileURLToPath(new URL(file, EXAMPLE));
  const ready = /listens on http:\/\/(127\.0\.0\.1:\d+)\//;
  return startProcess(process.execPath, [path], { ready, env: { HOST: '127.0.0.1', PORT: '0', ...env } });
}

/** alice may do everything, bob may pull, and whoever says nothing may pull below `public/`. */
async function usersFile(): Promise<string> {
  const path = join(tempFolder(), 'users.json');
  const everything = { 'repository:**': ['pull', 'push', 'delete'], 'registry:catalog': ['*'] };
  const users = [
    { name: 'alice', password: bcrypt.hashSync(password('alice'), 5), may: everything },
    { name: 'bob', password: bcrypt.hashSync(password('bob'), 5), may: { 'repository:**': ['pull'] } },
  ];
  await writeFile(path, JSON.stringify({ anonymous: { 'repository:public/**': ['pull'] }, users }));
  return path;
}

interface TokenAnswer {
  readonly token?: string;
  readonly access_token: string;
  readonly expires_in: number;
  readonly issued_at: string;
  readonly refresh_token?: string;
  readonly scope?: string;
}

async function ask(query: string, init: RequestInit = {}): Promise<{ status: number; body: TokenAnswer }> {
  const answer = await fetch(`${urlOf(tokenServer)}/token?${query}`, init);
  return { status: answer.status, body: (await answer.json()) as TokenAnswer };
}

function post(form: Readonly<Record<string, string>>): Promise<{ status: number; body: TokenAnswer }> {
  const body = new URLSearchParams({ service: 'registry', client_id: 'test', ...form });
  return ask('', { method: 'POST', body });
}

interface Claims {
  readonly sub: string;
  readonly access: readonly unknown[];
}

function claimsOf(jwt: string): Claims {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8')) as Claims;
}

async function statusAt(path: string, jwt: string): Promise<number> {
  const answer = await fetch(`${urlOf(images)}${path}`, { headers: { Authorization: `Bearer ${jwt}` } });
  await answer.arrayBuffer();
  return answer.status;
}

async function publishedKeys(): Promise<readonly string[]> {
  const answer = await fetch(`${urlOf(tokenServer)}/jwks.json`);
  return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

/** Has the token server sign with another key; resolves when it does. */
async function rotate(): Promise<void> {
  const [before] = await publishedKeys();
  process.kill(tokenServer.pid, 'SIGHUP');
  while ((await publishedKeys())[0] === before) await delay(20);
}

/** The registry asks for keys that it does not know at most once a second. */
async function untilTaken(jwt: string): Promise<void> {
  while ((await statusAt('/v2/', jwt)) === 401) await delay(100);
}

tokens.before(async () => {
  tokenServer = await startExample('server.js', { USERS: await usersFile(), SERVICE: 'registry', ISSUER: 'of-a-test' });
  images = await startExample('registry.js', {
    REGISTRY_ROOT: tempFolder(),
    TOKEN_SERVER: urlOf(tokenServer),
    ISSUER: 'of-a-test',
    SERVICE: 'registry',
    LOG_LEVEL: 'debug',
  });
});

tokens.after(async () => {
  const running = [images, tokenServer].filter((example) => example !== undefined);
  for (const example of running) await example.stop();
  const written = running.map((example) => example.output()).join('');
  assert.not.match(written, /canary/, 'a password is in the log');
  assert.not.match(written, /eyJ/, 'a token is in the log');
});

tokens('login, push, inspect, pull, list and delete', () => wholeRound(hostOf(images), 'alice'));

tokens('who may only pull can neither push nor delete', async () => {
  const source = tempFolder();
  await makeImage(source, { layers: 1 });
  const alice = await Person.loggedIn(hostOf(images), 'alice');
  const bob = await Person.loggedIn(hostOf(images), 'bob');
  await alice.push(source, 'team/kept:1');
  assertSameContents(await readLayout(await bob.pull('team/kept:1')), await readLayout(source));
  await fails(bob.push(source, 'team/kept:2'), REFUSED);
  await fails(bob.delete('team/kept:1'), REFUSED);
  assert.equal(await bob.tags('team/kept'), ['1']);
});

tokens('whoever has not logged in pulls what is public, and nothing else', async () => {
  const source = tempFolder();
  await makeImage(source, { layers: 1 });
  const alice = await Person.loggedIn(hostOf(images), 'alice');
  const nobody = await Person.at(hostOf(images));
  for (const image of ['public/image:1', 'team/hidden:1']) await alice.push(source, image);
  assertSameContents(await readLayout(await nobody.pull('public/image:1')), await readLayout(source));
  await fails(nobody.inspect('team/hidden:1'), REFUSED);
  await fails(nobody.push(source, 'public/image:2'), REFUSED);
});

tokens('the keys change while both run: new tokens are taken, and old ones until they end', async () => {
  const source = tempFolder();
  await makeImage(source, { layers: 1 });
  const alice = await Person.loggedIn(hostOf(images), 'alice');
  await alice.push(source, 'team/rotated:1');
  const query = 'service=registry&scope=repository:team/rotated:pull';
  const { body: old } = await ask(query, { headers: basic('alice', password('alice')) });
  assert.is(await statusAt('/v2/team/rotated/tags/list', old.access_token), 200);

  for (const tag of ['2', '3']) {
    await rotate();
    const { body: fresh } = await ask(query, { headers: basic('alice', password('alice')) });
    await untilTaken(fresh.access_token);
    await alice.push(source, `team/rotated:${tag}`);
    assert.is.not(fresh.access_token.split('.')[0], old.access_token.split('.')[0], 'another key, another kid');
    for (const { access_token } of [fresh, old]) {
      assert.is(await statusAt('/v2/team/rotated/tags/list', access_token), 200);
    }
  }
  assert.is((await publishedKeys()).length, 3);
});

tokens('a multi-arch image is copied to another repository by mounts', async () => {
  const source = tempFolder();
  const { digest } = await makeIndex(source, { layers: 2 });
  const server = urlOf(tokenServer);
  const auth = token({
    realm: `${server}/token`,
    service: 'registry',
    issuer: 'of-a-test',
    jwksUrl: `${server}/jwks.json`,
  });
  await withGuarded(auth, async ({ service }) => {
    const alice = await Person.loggedIn(service.host, 'alice');
    await alice.push(source, 'team/from:1', '--all');
    const before = service.journal.length;
    await alice.copy('team/from:1', 'team/to:1', '--all');
    const mountsOf = () => service.journal.slice(before).filter((line) => /^POST \S*mount=/.test(line));
    // A client may have its answer before this process knows that it was sent.
    for (let turn = 0; turn < 500 && mountsOf().length < 4; turn++) await delay(10);
    const asked = service.journal.slice(before);
    const mounts = mountsOf();
    assert.equal(
      mounts.map((line) => line.slice(-4)),
      Array(4).fill(' 201'),
    );
    const sent = asked.filter((line) => line.startsWith('PATCH '));
    assert.is(sent.length, 2, 'only the two configs, which no client mounts');
    const target = await alice.pull('team/to:1', '--all');
    assert.is((await layoutEntry(target)).digest, digest);
    assertSameContents(await readLayout(target), await readLayout(source));
  });
});

tokens('GET /token grants what the user may do of what is asked, and less is no error', async () => {
  const alice = { headers: basic('alice', password('alice')) };
  const bob = { headers: basic('bob', password('bob')) };
  const query = 'service=registry&scope=repository:a:pull,push&scope=repository:public/b:pull%20registry:catalog:*';
  const granted = async (init?: RequestInit) => claimsOf((await ask(query, init)).body.access_token).access;
  const [a, b] = [
    (actions: string[]) => ({ type: 'repository', name: 'a', actions }),
    { type: 'repository', name: 'public/b', actions: ['pull'] },
  ];
  assert.equal(await granted(alice), [a(['pull', 'push']), b, { type: 'registry', name: 'catalog', actions: ['*'] }]);
  assert.equal(await granted(bob), [a(['pull']), b]);
  assert.equal(await granted(), [b]);

  const { body } = await ask(`${query}&offline_token=true&account=alice&client_id=test`, alice);
  assert.is(body.token, body.access_token);
  assert.is(body.expires_in, 300);
  assert.is(new Date(body.issued_at).toISOString(), body.issued_at);
  assert.is(claimsOf(body.access_token).sub, 'alice');
  assert.type(body.refresh_token, 'string');
  assert.is((await ask(query)).body.refresh_token, undefined);
  assert.is((await ask(`${query}&offline_token=true`)).body.refresh_token, undefined, 'of nobody');
});

tokens('GET /token refuses what is wrong, malformed, or for another service', async () => {
  const query = 'service=registry&scope=repository:public/b:pull';
  const refused = [basic('alice', password('wrong')), basic('eve', password('alice')), basic('alice', '')];
  for (const headers of [...refused, { Authorization: 'Basic !' }, { Authorization: 'Bearer x' }]) {
    const answer = await fetch(`${urlOf(tokenServer)}/token?${query}`, { headers });
    assert.is(answer.status, 401);
    assert.match(answer.headers.get('WWW-Authenticate') ?? '', /^Basic realm=/);
    await answer.arrayBuffer();
  }
  assert.is((await ask('service=another')).status, 400);
});

tokens('POST /token takes a password, and then the refresh token in its place', async () => {
  const login = { grant_type: 'password', username: 'bob', password: password('bob'), access_type: 'offline' };
  const first = await post(login);
  assert.is(first.status, 200);
  assert.is(first.body.scope, '');
  const { refresh_token = '' } = first.body;

  const scope = 'repository:team/a:pull,push';
  const second = await post({ grant_type: 'refresh_token', refresh_token, scope });
  assert.is(second.body.scope, 'repository:team/a:pull');
  assert.is(second.body.refresh_token, refresh_token, 'a client keeps the one that it has');
  assert.is(claimsOf(second.body.access_token).sub, 'bob');
  assert.is(await statusAt('/v2/', second.body.access_token), 200);

  assert.is((await post({ ...login, access_type: 'online' })).body.refresh_token, undefined);
  assert.is((await post({ ...login, password: password('wrong') })).status, 401);
  assert.is((await post({ grant_type: 'refresh_token', refresh_token: 'canary-guessed' })).status, 401);
  assert.is((await post({ grant_type: 'authorization_code' })).status, 400);
  assert.is((await post({ ...login, service: 'another' })).status, 400);
});

tokens.run();

const parts = suite('the token server');

parts('a retired key stays published until the last token that it signed has ended, and no longer', async () => {
  let now = 1_000_000;
  const keys = await SigningKeys.open(undefined, 300_000, () => now);
  const kids = () => keys.published.keys.map(({ kid }) => kid);
  const first = keys.current.kid;
  await keys.rotate();
  assert.equal(kids(), [keys.current.kid, first]);
  now += 359_999;
  assert.equal(kids(), [keys.current.kid, first], 'a registry may allow for a clock that is a minute late');
  now += 1;
  assert.equal(kids(), [keys.current.kid]);
  for (const jwk of keys.published.keys) assert.is(jwk.d, undefined, 'the private part');
});

parts('a key from a file: read again at a rotation, kept where that fails, the same one is no change', async () => {
  const file = join(tempFolder(), 'key.pem');
  const write = (namedCurve: string) =>
    writeFile(file, generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await write('P-256');
  const keys = await SigningKeys.open(file, 300_000);
  const first = keys.current.kid;
  await keys.rotate();
  assert.is(keys.published.keys.length, 1);
  await write('P-384');
  await fails(keys.rotate(), /no private P-256 key/);
  assert.is(keys.current.kid, first);
  await write('P-256');
  await keys.rotate();
  assert.is.not(keys.current.kid, first);
  assert.is(keys.published.keys.length, 2);
});

parts('the users that come with the example have the passwords that its header says', async () => {
  const users = await Users.read(fileURLToPath(new URL('../../../examples/token-server/users.json', import.meta.url)));
  for (const [name, pass] of [
    ['alice', 'rabbit-hole'],
    ['bob', 'teapot-dome'],
  ] as const) {
    assert.is((await users.login(name, pass))?.name, name);
    assert.is(await users.login(name, `${pass}x`), undefined);
  }
  const mayPush = (name: string, repository: string) =>
    users.named(name)?.may({ type: 'repository', name: repository, action: 'push' });
  assert.equal([mayPush('alice', 'a/b/c'), mayPush('bob', 'bob/b/c'), mayPush('bob', 'a/b')], [true, true, false]);
  assert.ok(users.anonymous.may({ type: 'repository', name: 'public/x', action: 'pull' }));
});

parts.run();
