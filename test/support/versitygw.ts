// versitygw, an S3 server over a folder: each object is a file of the same path below its bucket's.
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { password } from './credentials.js';
import { onFreePort } from './free-port.js';
import { type RunningProcess, startProcess } from './process.js';
import { findProgram } from './requires.js';
import { tempFolder } from './temp-folder.js';

export interface S3ServerOptions {
  /** Where buckets are folders. Default: a new folder. */
  readonly folder?: string;
  /** The one to listen on, for a server that was there before. Default: one of its own. */
  readonly port?: number;
}

export interface S3Server extends RunningProcess {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  /** Of the bucket that is there from the start. */
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

const BUCKET = 'layers';
const ACCESS_KEY = 'tester';
const SECRET_KEY = password('versitygw-secret');

/** Starts versitygw with one empty bucket and waits until it accepts connections. */
export async function startVersitygw({ folder = tempFolder(), port }: S3ServerOptions = {}): Promise<S3Server> {
  await mkdir(join(folder, BUCKET), { recursive: true });
  return port === undefined ? onFreePort((free) => startAt(free, folder)) : startAt(port, folder);
}

async function startAt(port: number, folder: string): Promise<S3Server> {
  const program = findProgram('versitygw') ?? 'versitygw';
  const health = `/health-${randomUUID()}`;
  const args = ['--port', `127.0.0.1:${port}`, '--keep-alive', '--health', health, 'posix', folder];
  const env = { ROOT_ACCESS_KEY: ACCESS_KEY, ROOT_SECRET_KEY: SECRET_KEY };
  const server = await startProcess(program, args, { ready: { port }, env });
  const url = `http://127.0.0.1:${port}`;
  // Whoever else has the port accepts connections too.
  const answer = await fetch(`${url}${health}`);
  await answer.arrayBuffer();
  if (!answer.ok) {
    await server.stop();
    throw new Error(`address already in use: ${url}`);
  }
  return { ...server, url, port, folder, bucket: BUCKET, accessKey: ACCESS_KEY, secretKey: SECRET_KEY };
}
