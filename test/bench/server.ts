// The registries that are compared: each a process of its own, pinned, on a free loopback port, with
// its data, its log and its configuration in a folder of the bench.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Placement, pinned } from './pinning.js';

const START_ATTEMPTS = 150;
const START_INTERVAL_MS = 100;
const STOP_GRACE_MS = 5000;

/** A registry that can be started. */
export interface Contender {
  readonly name: string;
  /** What it stands in front of: a registry with the same data, which is started before it. */
  readonly upstream?: Contender;
  /** Writes what it needs into `folder`, which it shares with its upstream, and answers how to run it. */
  prepare(folder: string, root: string, port: number): Promise<Launch>;
}

interface Launch {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What every request has to say, such as who sends it. */
  readonly headers?: Readonly<Record<string, string>>;
}

const STANDALONE = fileURLToPath(new URL('../../examples/standalone/server.js', import.meta.url));

export const koaRegistry: Contender = {
  name: 'koa-registry',
  prepare: async (_folder, root, port) => ({
    command: [process.execPath, STANDALONE],
    env: { REGISTRY_ROOT: root, HOST: '127.0.0.1', PORT: String(port), NODE_ENV: 'production', LOG_LEVEL: 'error' },
  }),
};

/** CNCF distribution 2.8, as Debian names it. */
export const dockerRegistry: Contender = {
  name: 'docker-registry',
  prepare: async (folder, root, port) => {
    const file = join(folder, 'config.yml');
    await writeFile(file, JSON.stringify(distributionConfig(root, port)));
    return { command: ['docker-registry', 'serve', file] };
  },
};

/** JSON is YAML. */
function distributionConfig(root: string, port: number) {
  return {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: root },
      delete: { enabled: true },
      cache: { blobdescriptor: 'inmemory' },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: `127.0.0.1:${port}`, secret: 'bench' },
  };
}

/** A registry that runs. */
export interface Server {
  readonly name: string;
  readonly origin: URL;
  /** Its root directory: what is in there may be removed behind its back. */
  readonly root: string;
  readonly pid: number;
  readonly upstream?: Server | undefined;
  readonly headers: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Where a server runs and when it has to end. */
export interface Site {
  /** Its own, made if need be; the data is in `data`, the log in `log`. */
  readonly folder: string;
  readonly placement: Placement | undefined;
  readonly signal: AbortSignal;
}

/** Starts `contender`, after what it stands in front of, and resolves once it answers `GET /v2/`. */
export async function startServer(contender: Contender, site: Site): Promise<Server> {
  const upstream = contender.upstream && (await startServer(contender.upstream, site));
  try {
    const server = await startAlone(contender, site);
    const stop = () => server.stop().finally(() => upstream?.stop());
    return { ...server, upstream, stop };
  } catch (error) {
    await upstream?.stop();
    throw error;
  }
}

async function startAlone(contender: Contender, site: Site): Promise<Server> {
  const root = join(site.folder, 'data');
  const log = join(site.folder, 'log');
  await mkdir(root, { recursive: true });
  const port = await freePort();
  const launch = await contender.prepare(site.folder, root, port);
  const child = spawnLogged(pinned(launch.command, site.placement), launch.env ?? {}, log);
  const origin = new URL(`http://127.0.0.1:${port}`);
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  const stop = async () => {
    await stopProcess(child);
    process.off('exit', end);
  };
  try {
    await once(child, 'spawn');
    await untilReady(child, origin, launch.headers ?? {}, site.signal);
  } catch (cause) {
    await stop();
    site.signal.throwIfAborted();
    throw new Error(`${contender.name} does not start\n${await readFile(log, 'utf8')}`, { cause });
  }
  return { name: contender.name, origin, root, pid: child.pid ?? 0, headers: launch.headers ?? {}, stop };
}

function spawnLogged(command: readonly string[], env: Readonly<Record<string, string>>, log: string): ChildProcess {
  const [file = '', ...args] = command;
  const { PATH = '' } = process.env;
  const output = openSync(log, 'a');
  try {
    return spawn(file, args, { env: { PATH, ...env }, stdio: ['ignore', output, output] });
  } finally {
    closeSync(output);
  }
}

async function freePort(): Promise<number> {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as AddressInfo;
  holder.close();
  await once(holder, 'close');
  return port;
}

async function untilReady(
  child: ChildProcess,
  origin: URL,
  headers: Server['headers'],
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    if (hasEnded(child)) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`);
    const answer = await fetch(new URL('/v2/', origin), { headers, signal }).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
    await sleep(START_INTERVAL_MS, undefined, { signal });
  }
  throw new Error('it does not answer GET /v2/');
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const grace = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  await exit;
  clearTimeout(grace);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
