// nginx in front of a registry: as a reverse proxy, or as the server of blobs that were offloaded to it.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onFreePort } from './free-port.js';
import { type RunningProcess, runProcess, startProcess } from './process.js';
import { findProgram } from './requires.js';
import { tempFolder } from './temp-folder.js';

export interface Nginx extends RunningProcess {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
}

/** The modules that write temporary files, each of which would otherwise do so in a folder of the system. */
const TEMP_PATHS = {
  client_body: 'http',
  proxy: 'http_proxy',
  fastcgi: 'http_fastcgi',
  uwsgi: 'http_uwsgi',
  scgi: 'http_scgi',
};

/**
 * Starts nginx in the foreground, as the present user and with all its files in a temporary folder.
 *
 * @param http what stands in the `http` block, given a port to listen on:
 *   ``(port) => `server { listen 127.0.0.1:${port}; … }` ``.
 */
export async function startNginx(http: (port: number) => string): Promise<Nginx> {
  const program = findProgram('nginx') ?? 'nginx';
  const folder = tempFolder();
  const config = join(folder, 'nginx.conf');
  const tempPaths = await tempPathDirectives(program, folder);
  return onFreePort(async (port) => {
    await writeFile(config, configuration(folder, tempPaths, http(port)));
    const args = ['-p', folder, '-e', 'stderr', '-c', config];
    // It says so once it listens. A connection would prove less: that somebody does.
    const server = await startProcess(program, args, { ready: /using the "\w+" event method/ });
    return { ...server, host: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` };
  });
}

/** nginx refuses a directive of a module that it was built without. */
async function tempPathDirectives(program: string, folder: string): Promise<string> {
  const build = await runProcess('/bin/sh', ['-c', '"$0" -V 2>&1', program]);
  return Object.entries(TEMP_PATHS)
    .filter(([, module]) => !build.includes(`--without-${module}_module`))
    .map(([name]) => `${name}_temp_path ${folder}/${name};`)
    .join('\n  ');
}

/** One process, which is the one that is stopped; it keeps its user, so `user` is not needed even for root. */
function configuration(folder: string, tempPaths: string, http: string): string {
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr notice;
events {}
http {
  access_log off;
  ${tempPaths}
  ${http}
}
`;
}
