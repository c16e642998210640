// fake-gcs-server, an emulator of Google Cloud Storage over a folder: each object is a file of the same
// path below its bucket's.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onFreePort } from './free-port.js';
import { type RunningProcess, startProcess } from './process.js';
import { findProgram } from './requires.js';
import { tempFolder } from './temp-folder.js';

export interface GcsServerOptions {
  /** Where buckets are folders. Default: a new folder. */
  readonly folder?: string;
  /** The one to listen on, for a server that was there before. Default: one of its own. */
  readonly port?: number;
  /** Whether there is a bucket from the start. Default: true. */
  readonly withBucket?: boolean;
  /** Where objects are kept. Default: `filesystem`. */
  readonly backend?: 'filesystem' | 'memory';
}

export interface GcsServer extends RunningProcess {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  readonly bucket: string;
}

const BUCKET = 'layers';

/** Starts fake-gcs-server with one empty bucket and waits until it accepts connections. */
export async function startFakeGcs(options: GcsServerOptions = {}): Promise<GcsServer> {
  const { folder = tempFolder(), port, withBucket = true, backend = 'filesystem' } = options;
  if (withBucket) await mkdir(join(folder, BUCKET), { recursive: true });
  const server = await (port === undefined
    ? onFreePort((free) => startAt(free, folder, backend))
    : startAt(port, folder, backend));
  if (withBucket && backend === 'memory') await makeBucket(server.url);
  return server;
}

async function makeBucket(url: string): Promise<void> {
  const body = JSON.stringify({ name: BUCKET });
  const { ok, status } = await fetch(`${url}/storage/v1/b?project=tests`, { method: 'POST', body });
  if (!ok) throw new Error(`no bucket could be made: ${status}`);
}

async function startAt(port: number, folder: string, backend: string): Promise<GcsServer> {
  const program = findProgram('fake-gcs-server') ?? 'fake-gcs-server';
  const options = {
    scheme: 'http',
    host: '127.0.0.1',
    port,
    'public-host': `127.0.0.1:${port}`,
    backend,
    'filesystem-root': folder,
    'log-level': 'warn',
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`-${name}`, String(value)]);
  const server = await startProcess(program, args, { ready: { port } });
  return { ...server, url: `http://127.0.0.1:${port}`, port, folder, bucket: BUCKET };
}
