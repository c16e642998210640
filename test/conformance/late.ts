// The published suite for stores that show writes late: a whole registry over a driver whose writes are
// seen after a delay. What a client was told is there must not turn out to be missing.
import { strict as assert } from 'node:assert';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import Koa from 'koa';
import {
  definePlugin,
  type Logger,
  type Plugin,
  type Registry,
  type RegistryOptions,
  registry,
  type StorageDriver,
  startPlugin,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { LateStorage } from './late-storage.js';
import { register } from './register.js';
import type { RegisterTest } from './storage.js';

export interface LateSuiteOptions {
  /** After how many milliseconds a write is seen. */
  readonly delay: number;
  /**
   * What two hosts share: the requests then go to them in turn. Default: one registry, which knows by
   * itself what it has written.
   */
  readonly shared?: () => Pick<RegistryOptions, 'coordination' | 'cache'>;
}

/** A request may be answered 503 so often before the store shows what was written; more is a defect. */
const PATIENCE = 60;
const PAUSE = 100;

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };

interface Host {
  readonly registry: Registry;
  readonly server: Server;
}

/** One or two registries over one late store. */
class LateRegistry {
  /** How often a request had to be repeated. */
  repeated = 0;
  readonly #hosts: readonly Host[];
  readonly #close: () => Promise<void>;
  #turn = 0;

  private constructor(storage: StorageDriver, { shared }: LateSuiteOptions, close: () => Promise<void>) {
    const secret = randomUUID();
    this.#close = close;
    this.#hosts = (shared === undefined ? [{}] : [shared(), shared()]).map((plugins) => {
      const own = registry({
        storage: given(storage),
        http: { secret },
        delete: { enabled: true },
        logger: quiet,
        ...plugins,
      });
      const app = new Koa().use(own);
      return { registry: own, server: createServer(app.callback()).listen(0, '127.0.0.1') };
    });
  }

  static async open(plugin: Plugin<'storage'>, options: LateSuiteOptions): Promise<LateRegistry> {
    const { instance, close } = await startPlugin(plugin);
    const at = new LateRegistry(new LateStorage(instance, options.delay), options, close);
    await Promise.all(at.#hosts.map(({ server }) => server.listening || once(server, 'listening')));
    await Promise.all(at.#hosts.map(({ registry }) => registry.ready()));
    return at;
  }

  /** Sends a request until it is answered otherwise than 503, which has to say when to come back. */
  async send(status: number, method: string, path: string, headers = {}, body?: Buffer): Promise<Response> {
    for (let attempt = 0; ; attempt++) {
      const init = { method, headers, redirect: 'manual', ...(body && { body }) } as const;
      const answer = await fetch(new URL(path, this.#next()), init);
      if (answer.status !== 503 || attempt === PATIENCE) {
        assert.equal(answer.status, status, `${method} ${path}: ${await answer.clone().text()}`);
        return answer;
      }
      assert.ok(Number(answer.headers.get('retry-after')) > 0, 'a 503 without Retry-After');
      await answer.arrayBuffer();
      this.repeated += 1;
      await sleep(PAUSE);
    }
  }

  #next(): string {
    const { server } = this.#hosts[this.#turn++ % this.#hosts.length] as Host;
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const { server, registry } of this.#hosts) {
      server.close();
      server.closeAllConnections();
      await registry.close();
    }
    await this.#close();
  }
}

/** A storage plugin for a driver that is there already. */
function given(driver: StorageDriver): Plugin<'storage'> {
  return definePlugin({ ...memory.definition, name: 'late', create: () => driver })();
}

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Where the next request of an upload goes. */
function locationOf(answer: Response): string {
  const { pathname, search } = new URL(answer.headers.get('location') ?? '', 'http://registry');
  return pathname + search;
}

const withDigest = (location: string, digest: string) =>
  `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`;

const STREAM = { 'Content-Type': 'application/octet-stream' };

async function pushWhole(at: LateRegistry, repository: string, bytes: Buffer): Promise<string> {
  const digest = digestOf(bytes);
  await at.send(201, 'POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, STREAM, bytes);
  return digest;
}

async function pushChunked(at: LateRegistry, repository: string, chunks: readonly Buffer[]): Promise<string> {
  const digest = digestOf(Buffer.concat(chunks));
  let location = locationOf(await at.send(202, 'POST', `/v2/${repository}/blobs/uploads/`));
  let offset = 0;
  for (const chunk of chunks) {
    const range = `${offset}-${offset + chunk.length - 1}`;
    location = locationOf(await at.send(202, 'PATCH', location, { ...STREAM, 'Content-Range': range }, chunk));
    offset += chunk.length;
  }
  await at.send(201, 'PUT', withDigest(location, digest));
  return digest;
}

async function pulls(at: LateRegistry, repository: string, digest: string): Promise<void> {
  const path = `/v2/${repository}/blobs/${digest}`;
  await at.send(200, 'HEAD', path);
  const answer = await at.send(200, 'GET', path);
  assert.equal(digestOf(Buffer.from(await answer.arrayBuffer())), digest);
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

async function pushImage(at: LateRegistry, repository: string, tag: string): Promise<string> {
  const [config, layer] = [Buffer.from('{}'), randomBytes(1000)];
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  for (const bytes of [config, layer]) await pushWhole(at, repository, bytes);
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: [describe('application/vnd.oci.image.layer.v1.tar', layer)],
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  await at.send(201, 'PUT', `/v2/${repository}/manifests/${tag}`, { 'Content-Type': MANIFEST }, bytes);
  return digestOf(bytes);
}

type LateBody = (at: LateRegistry, repository: string) => Promise<void>;

const CASES: readonly (readonly [promise: string, body: LateBody])[] = [
  [
    'late: a blob that was pushed at once is there',
    async (at, repository) => {
      for (const size of [0, 1000, 300_000])
        await pulls(at, repository, await pushWhole(at, repository, randomBytes(size)));
    },
  ],
  [
    'late: a blob that was pushed in chunks, one after the other without a pause, is there and whole',
    async (at, repository) => {
      const chunks = [10, 70_000, 1].map((size) => randomBytes(size));
      await pulls(at, repository, await pushChunked(at, repository, chunks));
    },
  ],
  [
    'late: an image whose blobs were just pushed is taken, and can be pulled by tag and digest',
    async (at, repository) => {
      const digest = await pushImage(at, repository, 'latest');
      for (const reference of ['latest', digest]) {
        const answer = await at.send(200, 'GET', `/v2/${repository}/manifests/${reference}`, { Accept: MANIFEST });
        assert.equal(answer.headers.get('docker-content-digest'), digest);
        await answer.arrayBuffer();
      }
    },
  ],
  [
    'late: a blob that was just pushed can be mounted',
    async (at, repository) => {
      const digest = await pushWhole(at, repository, randomBytes(100));
      const other = `${repository}-other`;
      await at.send(201, 'POST', `/v2/${other}/blobs/uploads/?mount=${digest}&from=${repository}`);
      await pulls(at, other, digest);
    },
  ],
  [
    'late: what was just pushed can be deleted, and is then unknown at once',
    async (at, repository) => {
      const digest = await pushImage(at, repository, 'latest');
      const blob = await pushWhole(at, repository, randomBytes(100));
      for (const path of ['manifests/latest', `manifests/${digest}`, `blobs/${blob}`]) {
        await at.send(202, 'DELETE', `/v2/${repository}/${path}`);
        const before = at.repeated;
        for (const method of ['GET', 'HEAD']) await at.send(404, method, `/v2/${repository}/${path}`);
        assert.equal(at.repeated, before, 'what is known to be gone is not waited for');
      }
    },
  ],
  [
    'late: an upload that was given up is unknown at once',
    async (at, repository) => {
      const begun = locationOf(await at.send(202, 'POST', `/v2/${repository}/blobs/uploads/`));
      const location = locationOf(await at.send(202, 'PATCH', begun, STREAM, randomBytes(10)));
      await at.send(204, 'DELETE', location);
      const before = at.repeated;
      for (const method of ['GET', 'DELETE']) await at.send(404, method, location);
      assert.equal(at.repeated, before, 'what is known to be gone is not waited for');
    },
  ],
  [
    'late: what nobody has written is unknown at once',
    async (at, repository) => {
      const digest = digestOf(randomBytes(10));
      for (const path of [
        `blobs/${digest}`,
        `manifests/${digest}`,
        'manifests/latest',
        `blobs/uploads/${randomUUID()}`,
      ]) {
        await at.send(404, 'GET', `/v2/${repository}/${path}`);
      }
      assert.equal(at.repeated, 0);
    },
  ],
];

/**
 * Checks that a registry over a store that shows writes late loses nothing that it has acknowledged: a
 * request that meets something not yet shown waits for it for a while, and is then answered 503 with
 * `Retry-After`, never 404 and never 500; sent again, it succeeds.
 *
 * ```ts
 * lateStorageSuite(test, () => mine({ bucket: 'ci' }), {}, { delay: 300 });
 * ```
 *
 * With a `delay` below a second no request has to be repeated, and the tests see to it.
 *
 * @param open makes the plugin whose writes are delayed; what the tests leave stands below `docker/registry/v2`.
 * @param skips the names of tests that cannot pass, each with the reason.
 * @throws Error when `skips` names a test that does not exist.
 */
export function lateStorageSuite(
  test: RegisterTest,
  open: () => Plugin<'storage'> | Promise<Plugin<'storage'>>,
  skips: Readonly<Record<string, string>>,
  options: LateSuiteOptions,
): void {
  register(test, CASES, skips, async (body) => {
    const at = await LateRegistry.open(await open(), options);
    try {
      await body(at, `late-${randomUUID()}`);
      if (options.delay < 1000) assert.equal(at.repeated, 0, 'a short delay is waited for');
    } finally {
      await at.close();
    }
  });
}
