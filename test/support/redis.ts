// Redis servers of a test: one alone, which may be frozen, stopped, and started again where it was; a
// cluster of three masters; a master with the sentinel that watches it. The two may have a server to spare.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort, onFreePort } from './free-port.js';
import { type RunningProcess, startProcess } from './process.js';
import { findProgram } from './requires.js';
import { tempFolder } from './temp-folder.js';

export interface RedisServerOptions {
  /** The one to listen on. Default: a free one. */
  readonly port?: number;
  /** Whether what it holds outlives it. Default: false. */
  readonly persistent?: boolean;
  /** What it asks of those who connect. */
  readonly password?: string;
  /** Further options, as on its command line. */
  readonly more?: readonly string[];
}

/** A server that keeps its port, and its data where it is persistent, from one start to the next. */
export class RedisServer {
  readonly port: number;
  readonly #options: RedisServerOptions;
  readonly #folder: string;
  #process: RunningProcess;

  private constructor(port: number, options: RedisServerOptions, folder: string, running: RunningProcess) {
    this.port = port;
    this.#options = options;
    this.#folder = folder;
    this.#process = running;
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const folder = tempFolder();
    const at = async (port: number) => new RedisServer(port, options, folder, await serve(port, options, folder));
    return options.port === undefined ? onFreePort(at) : at(options.port);
  }

  /** `127.0.0.1:<port>`. */
  get addr(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Ends it in order, or as a crash would: `SIGKILL`. */
  stop(signal?: NodeJS.Signals): Promise<void> {
    return this.#process.stop(signal);
  }

  async start(): Promise<void> {
    this.#process = await serve(this.port, this.#options, this.#folder);
  }

  /** Takes all time from it: connections stay, and nothing answers. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** Runs `work` with a client of its own. */
  async with<T>(work: (client: Redis) => Promise<T>): Promise<T> {
    const { password } = this.#options;
    const client = new Redis({ port: this.port, host: '127.0.0.1', ...(password !== undefined && { password }) });
    try {
      return await work(client);
    } finally {
      client.disconnect();
    }
  }
}

function serve(port: number, { persistent = false, password, more = [] }: RedisServerOptions, folder: string) {
  const options = [
    ['--port', String(port)],
    ['--bind', '127.0.0.1'],
    ['--dir', folder],
    ['--appendonly', persistent ? 'yes' : 'no'],
    ['--appendfsync', 'always'],
    ['--save', ''],
    password === undefined ? [] : ['--requirepass', password],
  ];
  return startProcess(findProgram('redis-server') ?? 'redis-server', [...options.flat(), ...more], {
    ready: /Ready to accept connections/,
  });
}

export interface RedisGroup {
  readonly addresses: readonly string[];
  readonly servers: readonly RedisServer[];
  stop(): Promise<void>;
}

function groupOf(servers: readonly RedisServer[], addresses = servers.map(({ addr }) => addr)): RedisGroup {
  return { addresses, servers, stop: async () => void (await Promise.all(servers.map((server) => server.stop()))) };
}

const SLOTS = 16_384;
const MASTERS = 3;

export interface RedisClusterOptions {
  /** Whether there is a fourth node, which has no slots. Default: false. */
  readonly spare?: boolean;
  /** Where clients shall look for each node: a port of 127.0.0.1. Default: where it listens. */
  readonly announced?: readonly number[];
}

/** Three masters that share the slots. */
export async function startRedisCluster({ spare = false, announced }: RedisClusterOptions = {}): Promise<RedisGroup> {
  const nodes: RedisServer[] = [];
  // Nodes speak to each other on a second port, which may be anywhere too.
  const buses: number[] = [];
  for (let index = 0; index < (spare ? MASTERS + 1 : MASTERS); index++) {
    const bus = await freePort();
    const announce = announced === undefined ? [] : ['--cluster-announce-port', String(announced[index])];
    const more = ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', '2000'];
    nodes.push(await RedisServer.start({ more: [...more, ...announce] }));
    buses.push(bus);
  }
  const share = Math.ceil(SLOTS / MASTERS);
  for (const [index, node] of nodes.entries()) {
    const slots = [index * share, Math.min((index + 1) * share, SLOTS) - 1];
    await node.with(async (client) => {
      if (index < MASTERS) await client.call('CLUSTER', 'ADDSLOTSRANGE', ...slots);
      for (const [other, { port }] of nodes.entries()) {
        await client.call('CLUSTER', 'MEET', '127.0.0.1', port, buses[other] ?? 0);
      }
    });
  }
  const isWhole = (state: unknown) =>
    ['cluster_state:ok', `cluster_size:${MASTERS}`, `cluster_known_nodes:${nodes.length}`].every((line) =>
      String(state).includes(line),
    );
  for (const node of nodes) await node.with((client) => until(async () => isWhole(await client.cluster('INFO'))));
  return groupOf(nodes);
}

/** Makes one node of a cluster the replica of another; resolves when it has all that the other has. */
export async function replicate(replica: RedisServer, master: RedisServer): Promise<void> {
  const id = await nodeId(master);
  await replica.with(async (client) => {
    await client.call('CLUSTER', 'REPLICATE', id);
    await until(async () => isReplica(await client.info('replication')));
  });
}

/** Moves an empty slot of a cluster from one node to another. */
export async function moveSlot(slot: number, from: RedisServer, to: RedisServer, all: readonly RedisServer[]) {
  const [source, target] = [await nodeId(from), await nodeId(to)];
  await to.with((client) => client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source));
  await from.with((client) => client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target));
  for (const node of [to, from, ...all.filter((other) => other !== to && other !== from)]) {
    await node.with((client) => client.call('CLUSTER', 'SETSLOT', slot, 'NODE', target));
  }
}

async function nodeId(node: RedisServer): Promise<string> {
  return String(await node.with((client) => client.call('CLUSTER', 'MYID')));
}

function isReplica(info: string): boolean {
  return info.includes('role:slave') && info.includes('master_link_status:up');
}

export interface RedisSentinelOptions {
  /** Whether the master has a replica, the second of the servers, which takes over from it. Default: false. */
  readonly replica?: boolean;
}

/** A master, and a sentinel that knows it as `main`, and takes it for gone after a second without an answer. */
export async function startRedisSentinel({ replica = false }: RedisSentinelOptions = {}): Promise<RedisGroup> {
  const master = await RedisServer.start();
  const servers = [master];
  if (replica) {
    const more = ['--replicaof', '127.0.0.1', String(master.port)];
    const second = await RedisServer.start({ more });
    await second.with((client) => until(async () => isReplica(await client.info('replication'))));
    servers.push(second);
  }
  const file = join(tempFolder(), 'sentinel.conf');
  const sentinel = await onFreePort(async (port) => {
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `sentinel monitor main 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds main 1000',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const running = await startProcess(findProgram('redis-server') ?? 'redis-server', [file, '--sentinel'], {
      ready: { port },
    });
    return { port, running };
  });
  if (replica) await knowsReplica(sentinel.port);
  const { stop } = groupOf(servers);
  return {
    addresses: [`127.0.0.1:${sentinel.port}`],
    servers,
    stop: async () => {
      await sentinel.running.stop();
      await stop();
    },
  };
}

async function knowsReplica(port: number): Promise<void> {
  const client = new Redis({ port, host: '127.0.0.1' });
  try {
    await until(async () => JSON.stringify(await client.call('SENTINEL', 'REPLICAS', 'main')).includes('"ok"'));
  } finally {
    client.disconnect();
  }
}

/** Waits for something that is sure to come, for half a minute at most. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const end = performance.now() + 30_000; !(await condition()); await delay(20)) {
    if (performance.now() > end) throw new Error('waited in vain');
  }
}
