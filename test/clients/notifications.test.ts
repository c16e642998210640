// What a sink is told of skopeo, a client that nobody here wrote, which has logged in: the whole list of events, at the
// root of a service and below a prefix; and of requests that are easily mistaken for a pull.
//
// A client of the Docker API always begins at `<host>/v2/`: the service leads the root's `/v2` below the prefix.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { get, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import bcrypt from 'bcrypt';
import Koa from 'koa';
import { type Plugin, type Registry, type RegistryEvent, registry } from 'koa-registry';
import { htpasswd } from 'koa-registry/plugins/auth/htpasswd';
import { redirect } from 'koa-registry/plugins/layer/redirect';
import { callback } from 'koa-registry/plugins/notification/function';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pino } from 'pino';
import { suite, type Test } from 'uvu';
import * as assert from 'uvu/assert';
import { basic, password } from '../support/credentials.js';
import { makeImage } from '../support/images.js';
import { type KoaService, listen } from '../support/koa-service.js';
import { digestLike, layoutEntry, readLayout } from '../support/oci-layout.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const BLOB = 'application/octet-stream';
const ALICE = basic('alice', password('alice'));
const CREDENTIALS = `alice:${password('alice')}`;

/** What of an event is the same at each run, on one line. */
function lineOf({ action, target, request: { method } }: RegistryEvent): string {
  const { repository, tag, digest = '-', mediaType = '-', fromRepository } = target;
  const what = { [IMAGE]: 'manifest', [BLOB]: 'blob' }[mediaType] ?? mediaType;
  const place = `${repository}${tag === undefined ? '' : `:${tag}`}`;
  return `${action} ${method} ${what} ${place} ${digest}${fromRepository === undefined ? '' : ` < ${fromRepository}`}`;
}

/** skopeo takes several blobs at once: in any order. */
function assertLines(events: readonly RegistryEvent[], expected: readonly string[]): void {
  assert.equal(events.map(lineOf).sort(), [...expected].sort());
}

interface Traits {
  readonly prefix?: string;
  readonly layer?: Plugin<'layer'>;
  readonly includeHead?: boolean;
}

/** A registry that alice may use, in a service, with all that its sink was told. */
class Told {
  readonly service: KoaService;
  readonly #images: Registry;
  readonly #events: RegistryEvent[];
  /** What the registry answers, or has answered, to the last request. */
  lastAnswer: ServerResponse | undefined;

  private constructor(service: KoaService, images: Registry, events: RegistryEvent[]) {
    this.service = service;
    this.#images = images;
    this.#events = events;
  }

  static async open({ prefix = '', layer, includeHead = false }: Traits = {}): Promise<Told> {
    const path = join(tempFolder(), 'users.htpasswd');
    await writeFile(path, `alice:${bcrypt.hashSync(password('alice'), 4)}\n`);
    const events: RegistryEvent[] = [];
    const sink = callback({ batch: 10, function: (some) => void events.push(...some) });
    const images = registry({
      prefix,
      storage: memory(),
      auth: htpasswd({ path }),
      ...(layer && { layer, offload: { minSize: 0 } }),
      notifications: { sinks: [sink], includeHead },
      delete: { enabled: true },
      logger: pino({ level: 'silent' }),
    });
    const service = await listen();
    const told = new Told(service, images, events);
    const app = new Koa();
    // To Koa a client that breaks off is an error.
    app.silent = true;
    app.use((ctx, next) => {
      told.lastAnswer = ctx.res;
      if (ctx.path.startsWith('/v2/')) ctx.path = prefix + ctx.path;
      return next();
    });
    service.serve(app.use(images));
    return told;
  }

  /** All that was told since the last time; what is pending comes first. */
  async events(): Promise<readonly RegistryEvent[]> {
    // Nothing is pending behind an event that was caused after all others.
    const marker = `marker-${Math.random()}`;
    const body = Buffer.from(marker);
    await this.ask('POST', `/v2/marker/blobs/uploads/?digest=${digestLike(body)}`, { body });
    const at = () => this.#events.findIndex(({ target }) => target.digest === digestLike(body));
    while (at() < 0) await sleep(1);
    return this.#events.splice(0, at() + 1).slice(0, -1);
  }

  /** Asks as alice; the answer's body is read to its end. */
  async ask(method: string, path: string, { body, headers }: { body?: Buffer; headers?: Record<string, string> } = {}) {
    const init = { method, headers: { ...ALICE, ...headers }, redirect: 'manual', ...(body && { body }) } as const;
    const answer = await fetch(this.service.url + path, init);
    return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) };
  }

  async pushBlob(repository: string, body: Buffer): Promise<string> {
    const digest = digestLike(body);
    const { status } = await this.ask('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body });
    assert.is(status, 201);
    return digest;
  }

  image(name: string): string {
    return `docker://${this.service.host}/${name}`;
  }

  async close(): Promise<void> {
    await this.service.close();
    await this.#images.close();
  }
}

/** Copies as alice. */
function copy(from: string, to: string): Promise<string> {
  const login = [
    ...(from.startsWith('docker:') ? ['--src-creds', CREDENTIALS] : []),
    ...(to.startsWith('docker:') ? ['--dest-creds', CREDENTIALS] : []),
  ];
  return skopeo('copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', ...login, from, to);
}

/** An image of two layers that is at `team/app:1`, with the digests of what it is made of. */
async function pushedImage(at: Told) {
  const folder = tempFolder();
  const { digest } = await makeImage(folder, { layers: 2 });
  const contents = await readLayout(folder);
  const manifest = JSON.parse(contents.get(digest)?.toString() ?? '') as {
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string }[];
  };
  await copy(`oci:${folder}:latest`, at.image('team/app:1'));
  const layers = manifest.layers.map((layer) => layer.digest);
  return { digest, contents, manifest, config: manifest.config.digest, layers };
}

/** Everything that skopeo does, with a registry below `prefix`. */
function clientSuite(name: string, prefix: string): void {
  const test = suiteNeeding(`events of skopeo, ${name}`, ['skopeo', 'umoci']);
  withTold(test, { prefix }, (told) => {
    test('a push: the blobs, and then the manifest by its tag with what it refers to', async () => {
      const { digest, config, layers, manifest, contents } = await pushedImage(told());
      const events = await told().events();
      assertLines(events, [
        ...[config, ...layers].map((blob) => `push PUT blob team/app ${blob}`),
        `push PUT manifest team/app:1 ${digest}`,
      ]);
      const last = events.at(-1);
      assert.is(last?.target.digest, digest, 'what the manifest refers to was there before');
      assert.equal(last?.target.references, [manifest.config, ...manifest.layers]);
      for (const { target } of events) {
        assert.is(target.size, contents.get(target.digest ?? '')?.length);
        assert.is(target.length, target.size);
      }
    });

    test('each event says who did what, when, from where, and where the content is', async () => {
      const { contents } = await pushedImage(told());
      const events = await told().events();
      assert.is(new Set(events.map(({ id }) => id)).size, 4);
      assert.is(new Set(events.map(({ source }) => source.instanceID)).size, 1);
      for (const { id, actor, request, source, target, timestamp } of events) {
        assert.match(id, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
        assert.is(new Date(timestamp).toISOString(), timestamp);
        assert.equal(actor, { name: 'alice' });
        assert.match(request.useragent, /^skopeo\//);
        assert.match(request.addr, /^127\.0\.0\.1:\d+$/);
        assert.is(request.host, told().service.host);
        assert.match(request.id, /^[\w-]+$/);
        assert.ok(source.addr.endsWith(`:${told().service.host.split(':')[1]}`), source.addr);
        const url = target.url ?? '';
        assert.ok(url.startsWith(`${told().service.url}${prefix}/v2/team/app/`), url);
        const answer = await fetch(url, { headers: { ...ALICE, Accept: target.mediaType ?? '' } });
        const content = Buffer.from(await answer.arrayBuffer());
        assert.ok(contents.get(target.digest ?? '')?.equals(content), `${url} has other bytes`);
        assert.is((await fetch(url)).status, 401, 'the URL is no ticket');
      }
    });

    test('a pull: the manifest by its tag, and every blob', async () => {
      const { digest, config, layers } = await pushedImage(told());
      await told().events();
      const folder = tempFolder();
      await copy(told().image('team/app:1'), `oci:${folder}:latest`);
      assert.is((await layoutEntry(folder)).digest, digest);
      assertLines(await told().events(), [
        `pull GET manifest team/app:1 ${digest}`,
        ...[config, ...layers].map((blob) => `pull GET blob team/app ${blob}`),
      ]);
      await copy(told().image(`team/app@${digest}`), `oci:${tempFolder()}:latest`);
      const [first] = await told().events();
      assert.is(first && lineOf(first), `pull GET manifest team/app ${digest}`);
    });

    test('a copy to another repository: layers are mounted from where they were', async () => {
      const { digest, config, layers } = await pushedImage(told());
      await told().events();
      await copy(told().image('team/app:1'), told().image('other/copy:2'));
      assertLines(await told().events(), [
        `pull GET manifest team/app:1 ${digest}`,
        `pull GET blob team/app ${config}`,
        ...layers.map((layer) => `mount POST blob other/copy ${layer} < team/app`),
        `push PUT blob other/copy ${config}`,
        `push PUT manifest other/copy:2 ${digest}`,
      ]);
    });

    test('what is there already is not pushed again, but for its manifest', async () => {
      const { digest, config } = await pushedImage(told());
      await told().events();
      await copy(told().image('team/app:1'), told().image('team/app:2'));
      assertLines(await told().events(), [
        `pull GET manifest team/app:1 ${digest}`,
        `pull GET blob team/app ${config}`,
        `push PUT manifest team/app:2 ${digest}`,
      ]);
    });

    test('a delete: of a tag it is the tag’s, of a manifest its own and that of each tag', async () => {
      const { digest } = await pushedImage(told());
      for (const tag of ['2', '3']) await copy(told().image('team/app:1'), told().image(`team/app:${tag}`));
      await told().events();
      assert.is((await told().ask('DELETE', '/v2/team/app/manifests/2')).status, 202);
      assertLines(await told().events(), ['delete DELETE - team/app:2 -']);
      await skopeo('delete', '--tls-verify=false', '--creds', CREDENTIALS, told().image('team/app:1'));
      assertLines(
        (await told().events()).filter(({ action }) => action !== 'pull'),
        [`delete DELETE - team/app ${digest}`, 'delete DELETE - team/app:1 -', 'delete DELETE - team/app:3 -'],
      );
    });

    test('whoever is refused causes nothing', async () => {
      const { digest } = await pushedImage(told());
      await told().events();
      for (const headers of [{ Authorization: '' }, basic('alice', password('wrong'))]) {
        for (const method of ['GET', 'DELETE']) {
          const { status } = await told().ask(method, `/v2/team/app/manifests/${digest}`, { headers });
          assert.is(status, 401);
        }
      }
      assertLines(await told().events(), []);
    });
  });
  test.run();
}

/** Each test has a registry of its own. */
function withTold(test: Test, traits: Traits, define: (told: () => Told) => void): void {
  let told: Told;
  test.before.each(async () => {
    told = await Told.open(traits);
  });
  test.after.each(() => told.close());
  define(() => told);
}

clientSuite('at the root', '');
clientSuite('below a prefix', '/portal');

const pulls = suite('what is a pull, and what is none');

/** More than what the kernel takes off a server's hands for a client that does not read. */
const LARGE = 48 << 20;

/** Asks for a blob, reads a little of it, and is gone; resolves when the registry has noticed. */
async function breakOff(told: Told, path: string): Promise<void> {
  const request = get(told.service.url + path, { headers: ALICE });
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  await once(answer, 'readable');
  const closed = told.lastAnswer && once(told.lastAnswer, 'close');
  answer.destroy();
  await closed;
}

/** Runs `work` with a registry that has a blob and a manifest, of which has been told. */
async function withContent(traits: Traits, work: (told: Told, blob: string, manifest: string) => Promise<void>) {
  const told = await Told.open(traits);
  try {
    const blob = await told.pushBlob('team/app', Buffer.from('a layer'));
    const json = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [] }));
    await told.ask('PUT', '/v2/team/app/manifests/1', { body: json, headers: { 'Content-Type': INDEX } });
    assert.is((await told.events()).length, 2);
    await work(told, `/v2/team/app/blobs/${blob}`, '/v2/team/app/manifests/1');
  } finally {
    await told.close();
  }
}

const actions = (events: readonly RegistryEvent[]) =>
  events.map(({ action, request }) => `${action} ${request.method}`);

pulls('HEAD is none', () =>
  withContent({}, async (told, ...paths) => {
    for (const path of paths) assert.is((await told.ask('HEAD', path)).status, 200);
    assert.equal(actions(await told.events()), []);
  }),
);

pulls('HEAD is one with includeHead', () =>
  withContent({ includeHead: true }, async (told, ...paths) => {
    for (const path of paths) assert.is((await told.ask('HEAD', path)).status, 200);
    assert.equal(actions(await told.events()), ['pull HEAD', 'pull HEAD']);
  }),
);

pulls('304 is none: the client has it already', () =>
  withContent({ includeHead: true }, async (told, ...paths) => {
    for (const path of paths) {
      const { headers } = await told.ask('GET', path);
      const condition = { headers: { 'If-None-Match': headers.get('ETag') ?? '' } };
      for (const method of ['GET', 'HEAD']) assert.is((await told.ask(method, path, condition)).status, 304);
    }
    assert.equal(actions(await told.events()), ['pull GET', 'pull GET']);
  }),
);

pulls('what is not there is none', () =>
  withContent({}, async (told, _blob, manifest) => {
    const missing = `/v2/team/app/blobs/${digestLike(Buffer.from('nobody has this'))}`;
    for (const path of [missing, `${manifest}-missing`]) assert.is((await told.ask('GET', path)).status, 404);
    assert.equal(actions(await told.events()), []);
  }),
);

pulls('a download that breaks off is none, and the one that follows is', () =>
  withContent({}, async (told) => {
    const path = `/v2/team/app/blobs/${await told.pushBlob('team/app', Buffer.alloc(LARGE, 'large'))}`;
    await breakOff(told, path);
    assert.equal(actions(await told.events()), ['push POST']);
    assert.is((await told.ask('GET', path)).body.length, LARGE);
    assert.equal(actions(await told.events()), ['pull GET']);
  }),
);

pulls('of a blob that is taken in parts the last one is', () =>
  withContent({}, async (told, blob) => {
    for (const Range of ['bytes=0-2', 'bytes=3-']) {
      assert.is((await told.ask('GET', blob, { headers: { Range } })).status, 206);
    }
    assert.equal(actions(await told.events()), ['pull GET']);
  }),
);

pulls('a client that is sent elsewhere for a blob has pulled it', () =>
  withContent({ layer: redirect({ baseUrl: 'https://cdn.example/' }) }, async (told, blob) => {
    assert.is((await told.ask('GET', blob)).status, 307);
    assert.is((await told.ask('HEAD', blob)).status, 307);
    assert.equal(actions(await told.events()), ['pull GET']);
  }),
);

pulls.run();
