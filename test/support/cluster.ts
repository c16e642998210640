// A registry on three hosts, each a process of `examples/cluster/server.ts`, behind nginx as the example
// has it, on one Redis and one bucket. Each part can be stopped, killed, and started again where it was.
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Health } from 'koa-registry';
import * as assert from 'uvu/assert';
import { balancerConfig } from '../../examples/cluster/balancer.js';
import { password } from './credentials.js';
import { type GcsServer, startFakeGcs } from './fake-gcs.js';
import { onFreePort } from './free-port.js';
import { type Nginx, startNginx } from './nginx.js';
import { digestLike } from './oci-layout.js';
import { type RunningProcess, startProcess } from './process.js';
import { RedisServer } from './redis.js';
import { RegistryClient } from './registry-client.js';
import type { Program } from './requires.js';
import { type S3Server, startVersitygw } from './versitygw.js';

const SERVER = fileURLToPath(new URL('../../examples/cluster/server.js', import.meta.url));
const NAMES = ['registry-1', 'registry-2', 'registry-3'];

/** What the bucket is kept by. */
export type Store = 'gcs' | 's3';

/** The programs that a cluster on a store is made of, for `suiteNeeding`. */
export function clusterPrograms(store: Store): readonly Program[] {
  return ['nginx', 'redis-server', store === 'gcs' ? 'fake-gcs-server' : 'versitygw'];
}

/** The bucket's server, which keeps its port and its folder. */
export class BucketServer {
  readonly store: Store;
  #server: GcsServer | S3Server;

  private constructor(store: Store, server: GcsServer | S3Server) {
    this.store = store;
    this.#server = server;
  }

  static async start(store: Store): Promise<BucketServer> {
    return new BucketServer(store, await (store === 'gcs' ? startFakeGcs() : startVersitygw()));
  }

  /** How the example is told of it. */
  get settings(): Readonly<Record<string, string>> & { readonly ENDPOINT: string } {
    const { url, bucket } = this.#server;
    const place = { STORE: this.store, BUCKET: bucket, ENDPOINT: url };
    if (!('accessKey' in this.#server)) return place;
    const { accessKey, secretKey } = this.#server;
    return { ...place, AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey };
  }

  stop(signal?: NodeJS.Signals): Promise<void> {
    return this.#server.stop(signal);
  }

  async start(): Promise<void> {
    const { folder, port } = this.#server;
    this.#server = await (this.store === 'gcs' ? startFakeGcs({ folder, port }) : startVersitygw({ folder, port }));
  }
}

/** One of the registry's processes, which keeps its port. */
export class ClusterHost {
  /** As `X-Served-By` says it. */
  readonly name: string;
  readonly port: number;
  readonly #settings: Readonly<Record<string, string>>;
  #process: RunningProcess;

  private constructor(name: string, port: number, settings: Readonly<Record<string, string>>, running: RunningProcess) {
    this.name = name;
    this.port = port;
    this.#settings = settings;
    this.#process = running;
  }

  static start(name: string, settings: Readonly<Record<string, string>>): Promise<ClusterHost> {
    return onFreePort(
      async (port) => new ClusterHost(name, port, settings, await serve({ ...settings, NAME: name, PORT: `${port}` })),
    );
  }

  /** `127.0.0.1:<port>`. */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Ends it in order, or as a crash would: `SIGKILL`. */
  stop(signal?: NodeJS.Signals): Promise<void> {
    return this.#process.stop(signal);
  }

  async start(): Promise<void> {
    this.#process = await serve({ ...this.#settings, NAME: this.name, PORT: `${this.port}` });
  }

  /** Takes all time from it: connections stay, and nothing answers. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** The same upload, or whatever else, at this host rather than at that which named it. */
  here(url: string): string {
    const moved = new URL(url);
    moved.host = this.host;
    return moved.href;
  }

  async health(): Promise<Health> {
    const answer = await fetch(`${this.url}/healthz`);
    const health = (await answer.json()) as Health;
    if (answer.ok !== health.ready) throw new Error(`${answer.status} for ${JSON.stringify(health)}`);
    return health;
  }

  async bytesReread(): Promise<number> {
    const answer = await fetch(`${this.url}/counters`);
    return ((await answer.json()) as { uploadBytesReread: number }).uploadBytesReread;
  }

  /** The memory that it has at present, and the most that it had since {@link forgetPeak}, in bytes. */
  memory(): { readonly resident: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
    return { resident: bytes('VmRSS'), peak: bytes('VmHWM') };
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
  }
}

function serve(env: Readonly<Record<string, string>>): Promise<RunningProcess> {
  return startProcess(process.execPath, [SERVER], { ready: /listens on http/, env });
}

export interface ClusterOptions {
  readonly store: Store;
  /** Whether what Redis holds outlives it. Default: false. */
  readonly persistentRedis?: boolean;
  /** Where the first host finds the bucket's server, given where that is. Default: there. */
  readonly detour?: (url: string) => Promise<string>;
}

export class Cluster {
  readonly bucket: BucketServer;
  readonly redis: RedisServer;
  readonly hosts: readonly [ClusterHost, ClusterHost, ClusterHost];
  readonly balancer: Nginx;

  private constructor(parts: Pick<Cluster, 'bucket' | 'redis' | 'hosts' | 'balancer'>) {
    this.bucket = parts.bucket;
    this.redis = parts.redis;
    this.hosts = parts.hosts;
    this.balancer = parts.balancer;
  }

  /** Starts all parts on free ports, and waits until every host is well. */
  static async start({ store, persistentRedis = false, detour }: ClusterOptions): Promise<Cluster> {
    const [bucket, redis] = await Promise.all([
      BucketServer.start(store),
      RedisServer.start({ persistent: persistentRedis }),
    ]);
    const settings = {
      ...bucket.settings,
      REDIS_URL: `redis://${redis.addr}`,
      SECRET: password('cluster'),
      HOST: '127.0.0.1',
      LOG_LEVEL: 'info',
    };
    const ENDPOINT = (await detour?.(settings.ENDPOINT)) ?? settings.ENDPOINT;
    const [first, second, third] = await Promise.all(
      NAMES.map((name, index) => ClusterHost.start(name, index === 0 ? { ...settings, ENDPOINT } : settings)),
    );
    if (!first || !second || !third) throw new Error('a cluster has three hosts');
    const hosts = [first, second, third] as const;
    const balancer = await startNginx((port) =>
      balancerConfig(
        `127.0.0.1:${port}`,
        hosts.map(({ host }) => host),
      ),
    );
    const cluster = new Cluster({ bucket, redis, hosts, balancer });
    await cluster.healthy();
    return cluster;
  }

  /** Waits until every host says that it is well. */
  async healthy(): Promise<void> {
    for (const host of this.hosts) await until(async () => (await host.health()).ok, `${host.name} is well`);
  }

  /** @throws Error where a host does not serve a blob, or serves other bytes. */
  async assertServed(repository: string, bytes: Buffer): Promise<void> {
    for (const { name, url } of this.hosts) {
      const pulled = await new RegistryClient(url).pullBlob(repository, digestLike(bytes));
      assert.ok(pulled?.equals(bytes), `${name} has it as it was sent`);
    }
  }

  async bytesReread(): Promise<readonly number[]> {
    return Promise.all(this.hosts.map((host) => host.bytesReread()));
  }

  async stop(): Promise<void> {
    await this.balancer.stop();
    await Promise.all(this.hosts.map((host) => host.stop()));
    await Promise.all([this.bucket.stop(), this.redis.stop()]);
  }
}

/** In milliseconds: longer than a host pauses before it tries to start again, or than a lease outlives its holder. */
const PATIENCE = 60_000;
const POLL = 50;

/** @throws Error when it does not come about within a minute. */
export async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const last = performance.now() + PATIENCE;
  while (!(await holds())) {
    if (performance.now() > last) throw new Error(`it does not come about that ${what}`);
    await delay(POLL);
  }
}
