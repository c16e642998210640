// The standalone example as a process of its own: the registry that a test may kill, restart on the
// same data, and compare with others.
import { fileURLToPath } from 'node:url';
import { type RunningProcess, startProcess } from './process.js';
import { tempFolder } from './temp-folder.js';

const SERVER = fileURLToPath(new URL('../../examples/standalone/server.js', import.meta.url));

export interface StandaloneOptions {
  /** Where it keeps its data: `docker/registry/v2` stands below. Default: a new folder. */
  readonly folder?: string;
}

export interface Standalone extends RunningProcess {
  /** `127.0.0.1:<port>`, as it stands in an image reference. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly folder: string;
}

/** Starts the standalone example on a port of its own and waits until it listens. */
export async function startStandalone({ folder = tempFolder() }: StandaloneOptions = {}): Promise<Standalone> {
  const server = await startProcess(process.execPath, [SERVER], {
    ready: /listens on http:\/\/(127\.0\.0\.1:\d+)\//,
    env: { REGISTRY_ROOT: folder, HOST: '127.0.0.1', PORT: '0', PREFIX: '' },
  });
  const host = server.match?.[1] ?? '';
  return { ...server, host, url: `http://${host}`, folder };
}
