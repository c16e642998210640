// Lighttpd in front of a registry: as a reverse proxy, and as the server of blobs that were offloaded to it.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onFreePort } from './free-port.js';
import { type RunningProcess, startProcess } from './process.js';
import { tempFolder } from './temp-folder.js';

export interface Lighttpd extends RunningProcess {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
}

const PROGRAM = '/usr/sbin/lighttpd';

/** How to get it where it is missing; `undefined` where it is not. */
export function lighttpdLacks(): string | undefined {
  return existsSync(PROGRAM) ? undefined : 'needs lighttpd (apt-get install lighttpd)';
}

/**
 * Starts Lighttpd in the foreground, with all its files in a temporary folder.
 *
 * @param site what follows the modules, mod_proxy and mod_setenv among them, and the port that it listens on.
 */
export async function startLighttpd(site: string): Promise<Lighttpd> {
  const folder = tempFolder();
  const config = join(folder, 'lighttpd.conf');
  const documents = join(folder, 'documents');
  await mkdir(documents);
  return onFreePort(async (port) => {
    await writeFile(config, `${server(folder, documents, port)}${site}\n`);
    const process = await startProcess(PROGRAM, ['-D', '-f', config], { ready: /server started/ });
    return { ...process, host: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` };
  });
}

function server(folder: string, documents: string, port: number): string {
  return `server.modules = ( "mod_proxy", "mod_setenv" )
server.bind = "127.0.0.1"
server.port = ${port}
server.document-root = "${documents}"
server.upload-dirs = ( "${folder}" )
`;
}
