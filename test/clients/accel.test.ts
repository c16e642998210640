// Registries behind nginx, Apache and Lighttpd that send the files of blobs themselves: each with the very
// configuration that plugins/README.md shows, whose ports and paths alone are replaced.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import bcrypt from 'bcrypt';
import type { StorageDriver } from 'koa-registry';
import { htpasswd } from 'koa-registry/plugins/auth/htpasswd';
import { accel } from 'koa-registry/plugins/layer/accel';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { suite, type Test } from 'uvu';
import { ObservedStorage } from '../faults/observed-storage.js';
import { apacheLacks, startApache } from '../support/apache.js';
import { content, digestOf } from '../support/content.js';
import { basic, password } from '../support/credentials.js';
import { type Answer, type RequestOptions, send } from '../support/http-client.js';
import { makeImage } from '../support/images.js';
import { lighttpdLacks, startLighttpd } from '../support/lighttpd.js';
import { startNginx } from '../support/nginx.js';
import { readLayout } from '../support/oci-layout.js';
import { BARE, type OpenOptions, type OpenRegistry, openRegistry, startStorage } from '../support/registry.js';
import { RegistryClient } from '../support/registry-client.js';
import { findProgram, isCi, skip } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

const README = fileURLToPath(new URL('../../../plugins/README.md', import.meta.url));
const MEBIBYTE = 1 << 20;
const SIZE = 3 * MEBIBYTE;
const YEAR = 'max-age=31536000';

/** A server that runs. */
interface FrontServer {
  readonly host: string;
  readonly url: string;
  stop(): Promise<void>;
}

/** A server as the catalogue shows it. */
interface Front {
  /** As the language of its block. */
  readonly name: 'nginx' | 'apache' | 'lighttpd';
  readonly header: 'X-Accel-Redirect' | 'X-Sendfile';
  /** How to get it where it is missing. */
  readonly lacks: string | undefined;
  /** What of its block is not the same for all, and what to put there. */
  readonly replaced: (upstreamPort: number, socket?: string) => readonly (readonly [text: string, by: string])[];
  start(block: string): Promise<FrontServer>;
}

const FRONTS: readonly Front[] = [
  {
    name: 'nginx',
    header: 'X-Accel-Redirect',
    lacks: findProgram('nginx') === undefined ? 'needs nginx (apt-get install nginx-light)' : undefined,
    replaced: (port, socket) => [['127.0.0.1:5000', socket === undefined ? `127.0.0.1:${port}` : `unix:${socket}`]],
    start: (block) => startNginx((port) => replaceEach(block, [['listen 80;', `listen 127.0.0.1:${port};`]])),
  },
  {
    name: 'apache',
    header: 'X-Sendfile',
    lacks: apacheLacks(),
    replaced: (port) => [
      ['127.0.0.1:5000', `127.0.0.1:${port}`],
      ['<VirtualHost *:80>', '<VirtualHost *>'],
    ],
    start: startApache,
  },
  {
    name: 'lighttpd',
    header: 'X-Sendfile',
    lacks: lighttpdLacks(),
    replaced: (port) => [['"port" => 5000', `"port" => ${port}`]],
    start: startLighttpd,
  },
];

/** @throws Error where a text is not there: then the block is another than the one that this file knows. */
function replaceEach(block: string, replaced: readonly (readonly [text: string, by: string])[]): string {
  return replaced.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `${from} is not in\n${text}`);
    return text.replaceAll(from, to);
  }, block);
}

/** The block of a language in the section of the plugin. */
async function blockOf(name: Front['name']): Promise<string> {
  const [, section = ''] = (await readFile(README, 'utf8')).split('### layer/accel\n');
  return new RegExp(`^\`\`\`${name}\\n([^]*?)^\`\`\``, 'm').exec(section)?.[1] ?? assert.fail(`no block for ${name}`);
}

/** Files whose every use is noted, and which say where they are. */
class ObservedFiles extends ObservedStorage {
  readonly #files: StorageDriver;

  constructor(files: StorageDriver) {
    super(files);
    this.#files = files;
  }

  path(key: string): string {
    return this.#files.path?.(key) ?? '';
  }

  /** How often content was read, be it whole or in part. */
  reads(digest: string): number {
    const hex = digest.slice(digest.indexOf(':') + 1);
    const isRead = (method: string) => method === 'get' || method === 'open';
    return this.calls.filter(({ method, key }) => isRead(method) && key.endsWith(`${hex}/data`)).length;
  }
}

/** A registry, and what stands before it. */
interface Site {
  readonly front: FrontServer;
  readonly at: OpenRegistry;
  readonly files: ObservedFiles;
  readonly folder: string;
  readonly client: RegistryClient;
  /** Asks the front server, which passes on what is below the registry's prefix. */
  ask(method: 'GET' | 'HEAD', path: string, headers?: RequestOptions['headers']): Promise<Answer>;
}

interface SiteOptions extends OpenOptions {
  /** What precedes `/v2`. */
  readonly base?: string;
  /** The folder in the front server's configuration. Default: the storage's. */
  readonly served?: string;
  /** Where `X-Sendfile` says that the files are. Default: where they are. */
  readonly root?: string;
  /** Whether the registry is reached over a Unix socket. */
  readonly overSocket?: boolean;
}

async function withSite(
  front: Front,
  { base = '', served, root, overSocket = false, ...options }: SiteOptions,
  use: (site: Site) => Promise<void>,
): Promise<void> {
  const folder = join(tempFolder(), 'blöbs');
  await mkdir(folder);
  const files = new ObservedFiles(await startStorage(filesystem({ rootDirectory: folder })));
  const layer = accel({ header: front.header, root });
  const at = await openRegistry({ ...BARE, base }, { prefix: base, driver: files, layer, ...options });
  let server: FrontServer | undefined;
  const listener = createServer(at.app.callback());
  const socket = join(tempFolder(), 'registry.sock');
  try {
    await once(listener.listen(socket), 'listening');
    const block = replaceEach(await blockOf(front.name), [
      ...front.replaced(at.port, overSocket ? socket : undefined),
      ['/srv/registry', served ?? folder],
      ['/v2/', `${base}/v2/`],
    ]);
    server = await front.start(block);
    const { host, url } = server;
    const port = Number(host.split(':')[1]);
    const ask: Site['ask'] = (method, path, headers = {}) => send(port, method, path, { headers });
    await use({ front: server, at, files, folder, client: new RegistryClient(url + base), ask });
  } finally {
    await server?.stop();
    listener.close().closeAllConnections();
    await at.close();
  }
}

/** Adds tests that need what is missing only where it is not: else each is skipped by name, or fails in CI. */
function adder(test: Test, suiteName: string, lacks: string | undefined) {
  return (name: string, body: () => Promise<void>) => {
    if (lacks === undefined) test(name, body);
    else if (isCi()) test(name, () => Promise.reject(new Error(lacks)));
    else skip(test, suiteName, name, lacks);
  };
}

/** What a client is told of a blob that is not about the one request, or the server that answers it. */
function described({ status, headers }: Answer): object {
  const names = ['docker-content-digest', 'docker-distribution-api-version', 'etag', 'cache-control', 'accept-ranges'];
  const shown = [...names, 'content-type', 'content-length', 'content-range'].map((name) => [name, headers[name]]);
  return { status, ...Object.fromEntries(shown) };
}

/** What Apache makes of it, for HEAD, whatever stands behind it. */
function withoutZero(answer: object): object {
  return 'content-length' in answer && answer['content-length'] === '0'
    ? { ...answer, 'content-length': undefined }
    : answer;
}

for (const front of FRONTS) {
  const suiteName = `layer/accel behind ${front.name}`;
  const suiteOfFront = suite(suiteName);
  const test = adder(suiteOfFront, suiteName, front.lacks);

  test('a blob comes with all that the registry says of it, and the registry reads no byte', () =>
    withSite(front, {}, async ({ at, client, files, ask }) => {
      for (const bytes of [content(SIZE), Buffer.alloc(0), content(1)]) {
        const digest = await client.pushBlob('team/app', bytes);
        const path = `/v2/team/app/blobs/${digest}`;
        files.calls = [];
        const got = await ask('GET', path);
        const head = await ask('HEAD', path);
        assert.equal(files.reads(digest), 0);
        assert.ok(got.body.equals(bytes));
        const own = described(await at.send('GET', path));
        assert.deepEqual(described(got), own);
        assert.deepEqual(described(head), front.name === 'apache' ? withoutZero(own) : own);
        assert.equal(files.reads(digest), 1, 'a read is noted');
        for (const { headers } of [got, head]) {
          assert.match(headers['x-request-id']?.toString() ?? '', /^[\w-]{8,}$/);
          assert.equal(headers[front.header.toLowerCase()], undefined);
        }
      }
    }));

  if (front.name === 'nginx') {
    test('the registry is reached over a Unix socket', () =>
      withSite(front, { overSocket: true }, async ({ client, files, ask }) => {
        const bytes = content(SIZE);
        const digest = await client.pushBlob('team/app', bytes);
        files.calls = [];
        const { status, body } = await ask('GET', `/v2/team/app/blobs/${digest}`);
        assert.equal(status, 200);
        assert.ok(body.equals(bytes));
        assert.equal(files.reads(digest), 0);
      }));
  }

  test('parts of a blob', () =>
    withSite(front, {}, async ({ client, files, ask }) => {
      const bytes = content(SIZE);
      const digest = await client.pushBlob('team/app', bytes);
      const path = `/v2/team/app/blobs/${digest}`;
      const ranges: readonly [Range: string, start: number, end: number][] = [
        ['bytes=0-0', 0, 1],
        ['bytes=1000-1999', 1000, 2000],
        [`bytes=${SIZE - 10}-`, SIZE - 10, SIZE],
        [`bytes=${SIZE - 10}-${SIZE + 10}`, SIZE - 10, SIZE],
        ['bytes=-7', SIZE - 7, SIZE],
      ];
      files.calls = [];
      for (const [Range, start, end] of ranges) {
        const part = await ask('GET', path, { Range });
        assert.equal(part.status, 206, Range);
        assert.equal(part.headers['content-range'], `bytes ${start}-${end - 1}/${SIZE}`);
        assert.equal(part.headers['docker-content-digest'], digest);
        assert.ok(part.body.equals(bytes.subarray(start, end)), Range);
      }
      const Range = 'bytes=5-9';
      const same = await ask('GET', path, { Range, 'If-Range': `"${digest}"` });
      assert.deepEqual([same.status, same.body.length], [206, 5]);
      const another = await ask('GET', path, { Range, 'If-Range': `"${digestOf('another')}"` });
      assert.deepEqual([another.status, another.body.length], [200, SIZE]);
      assert.equal(files.reads(digest), 0);
    }));

  test('a range beyond the end is refused in the words of the registry, and not to be kept', () =>
    withSite(front, {}, async ({ at, client, ask }) => {
      const path = `/v2/team/app/blobs/${await client.pushBlob('team/app', content(SIZE))}`;
      const headers = { Range: `bytes=${SIZE}-` };
      const refused = await ask('GET', path, headers);
      const own = await at.send('GET', path, { headers });
      assert.equal(refused.status, 416);
      assert.equal(refused.headers['content-range'], `bytes */${SIZE}`);
      assert.equal(refused.headers['cache-control'], undefined);
      assert.ok(refused.body.equals(own.body));
    }));

  test('what the client has already is not sent', () =>
    withSite(front, {}, async ({ client, files, ask }) => {
      const digest = await client.pushBlob('team/app', content(SIZE));
      files.calls = [];
      for (const method of ['GET', 'HEAD'] as const) {
        const answer = await ask(method, `/v2/team/app/blobs/${digest}`, { 'If-None-Match': `"${digest}"` });
        assert.equal(answer.status, 304);
        assert.equal(answer.headers.etag, `"${digest}"`);
        assert.equal(answer.body.length, 0);
      }
      const other = await ask('GET', `/v2/team/app/blobs/${digest}`, { 'If-None-Match': `"${digestOf('another')}"` });
      assert.deepEqual([other.status, other.body.length], [200, SIZE]);
      assert.equal(files.reads(digest), 0);
    }));

  test('a blob may be kept for a year, and that is said once', () =>
    withSite(front, {}, async ({ client, ask }) => {
      const digest = await client.pushBlob('team/app', content(SIZE));
      const path = `/v2/team/app/blobs/${digest}`;
      const { 'last-modified': modified = '' } = (await ask('GET', path)).headers;
      for (const [method, headers, status] of [
        ['GET', {}, 200],
        ['HEAD', {}, 200],
        ['GET', { Range: 'bytes=5-9' }, 206],
        ['GET', { 'If-None-Match': `"${digest}"` }, 304],
        ['GET', { 'If-Modified-Since': modified }, 304],
      ] as const) {
        const answer = await ask(method, path, headers);
        assert.equal(answer.status, status, `${method} ${JSON.stringify(headers)}`);
        assert.equal(answer.headers['cache-control'], YEAR, `${method} ${JSON.stringify(headers)}`);
      }
    }));

  test('a file that the front server does not find, or may not send, is an error that nobody is to keep', async () => {
    const empty = tempFolder();
    const isNginx = front.name === 'nginx';
    for (const site of isNginx ? [{ served: empty }] : [{ served: empty, root: empty }, { served: empty }]) {
      await withSite(front, site, async ({ client, ask }) => {
        const path = `/v2/team/app/blobs/${await client.pushBlob('team/app', content(SIZE))}`;
        for (const method of ['GET', 'HEAD'] as const) {
          const { status, headers } = await ask(method, path);
          assert.ok(status === 404 || status === 403, `${method} is answered ${status}`);
          assert.equal(headers['cache-control'], undefined);
        }
      });
    }
  });

  test('100 MiB', () =>
    withSite(front, {}, async ({ client, files }) => {
      const bytes = randomBytes(100 * MEBIBYTE);
      const digest = await client.pushBlob('team/app', bytes);
      files.calls = [];
      assert.ok((await client.pullBlob('team/app', digest))?.equals(bytes));
      assert.equal(files.reads(digest), 0);
    }));

  test('what clients say of front servers does not count', () =>
    withSite(front, {}, async ({ client, files, ask }) => {
      const bytes = content(SIZE);
      const digest = await client.pushBlob('team/app', bytes);
      files.calls = [];
      for (const forged of ['nothing', 'X-Accel-Redirect', 'X-Sendfile', '']) {
        const { body } = await ask('GET', `/v2/team/app/blobs/${digest}`, { 'X-Sendfile-Type': forged });
        assert.ok(body.equals(bytes), forged);
      }
      assert.equal(files.reads(digest), 0);
    }));

  test('below a path and behind a login: no file for whoever may not have it, and none by another way', async () => {
    const users = join(tempFolder(), 'users');
    await writeFile(users, `ann:${bcrypt.hashSync(password('ann'), 4)}\n`);
    const auth = htpasswd({ path: users });
    await withSite(front, { base: '/portal', auth }, async ({ at, files, folder, ask }) => {
      const ann = basic('ann', password('ann'));
      const bytes = content(SIZE);
      const digest = digestOf(bytes);
      const start = `/v2/team/app/blobs/uploads/?digest=${digest}`;
      assert.equal((await at.send('POST', start, { body: bytes, headers: ann })).status, 201);
      const path = `/portal/v2/team/app/blobs/${digest}`;
      files.calls = [];
      assert.ok((await ask('GET', path, ann)).body.equals(bytes));
      assert.equal(files.reads(digest), 0);
      for (const headers of [{}, basic('ann', password('wrong')), { 'X-Sendfile-Type': front.header }]) {
        const refused = await ask('GET', path, headers);
        assert.equal(refused.status, 401);
        assert.match(refused.body.toString(), /UNAUTHORIZED/);
      }
      const [key = ''] = (await at.keys()).filter((each) => each.endsWith('/data'));
      assert.ok(key.includes(digest.slice('sha256:'.length)));
      for (const outside of [`/registry-blobs/${key}`, `/${key}`, encodeURI(`${folder}/${key}`)]) {
        assert.equal((await ask('GET', outside, ann)).status, 404, outside);
      }
    });
  });

  const missing = (['skopeo', 'umoci'] as const).filter((program) => findProgram(program) === undefined);
  const withSkopeo = adder(
    suiteOfFront,
    suiteName,
    front.lacks ?? (missing.length > 0 ? `needs ${missing} (apt-get install ${missing.join(' ')})` : undefined),
  );

  withSkopeo('skopeo: an image comes back as it was', () =>
    withSite(front, {}, async ({ front: { host }, files }) => {
      const [source, target] = [tempFolder(), tempFolder()];
      await makeImage(source);
      const image = `docker://${host}/team/image:1`;
      await skopeo('copy', '--quiet', '--dest-tls-verify=false', `oci:${source}:latest`, image);
      files.calls = [];
      await skopeo('copy', '--quiet', '--src-tls-verify=false', image, `oci:${target}:latest`);
      const contents = await readLayout(target);
      assert.deepEqual(contents, await readLayout(source));
      const manifest = /"digest":"(sha256:\w+)"/.exec(await readFile(join(target, 'index.json'), 'utf8'))?.[1];
      const read = [...contents.keys()].filter((digest) => files.reads(digest) > 0);
      assert.deepEqual(
        read.filter((digest) => digest !== manifest),
        [],
      );
    }),
  );

  suiteOfFront.run();
}
