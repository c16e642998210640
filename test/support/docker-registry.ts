// CNCF distribution's registry, as Debian packages it: what ours is measured by, and what shares its
// data with ours.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningProcess, startProcess } from './process.js';
import { findProgram } from './requires.js';
import { tempFolder } from './temp-folder.js';

export interface DockerRegistryOptions {
  /** Where it keeps its data: `docker/registry/v2` stands below. Default: a new folder. */
  readonly folder?: string;
  /** Further sections of its configuration, such as `auth` or `proxy`. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface DockerRegistry extends RunningProcess {
  /** `127.0.0.1:<port>`, as it stands in an image reference. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly folder: string;
  /** The path of its config.yml, for `docker-registry garbage-collect`. */
  readonly config: string;
}

/** Starts `docker-registry serve` on a port of its own and waits until `/v2/` answers. */
export async function startDockerRegistry(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  const { folder = tempFolder(), settings } = options;
  const config = join(tempFolder(), 'config.yml');
  await writeFile(config, configuration(folder, settings));
  const program = findProgram('docker-registry') ?? 'docker-registry';
  const server = await startProcess(program, ['serve', config], { ready: /listening on (127\.0\.0\.1:\d+)/ });
  const host = server.match?.[1] ?? '';
  const url = `http://${host}`;
  const answer = await fetch(`${url}/v2/`);
  await answer.arrayBuffer();
  if (!answer.ok && answer.status !== 401) {
    await server.stop();
    throw new Error(`docker-registry answers ${answer.status}\n${server.output()}`);
  }
  return { ...server, host, url, folder, config };
}

/** JSON is YAML too, and needs no care with quotes. */
function configuration(folder: string, settings: DockerRegistryOptions['settings']): string {
  return JSON.stringify({
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: folder }, delete: { enabled: true } },
    http: { addr: '127.0.0.1:0', secret: 'of a test' },
    ...settings,
  });
}
