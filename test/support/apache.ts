// Apache in front of a registry: as a reverse proxy, and as the server of blobs that were offloaded to it by
// mod_xsendfile. Debian's packages apache2 and libapache2-mod-xsendfile.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onFreePort } from './free-port.js';
import { type RunningProcess, startProcess } from './process.js';
import { tempFolder } from './temp-folder.js';

export interface Apache extends RunningProcess {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
}

const PROGRAM = '/usr/sbin/apache2';
const MODULES = '/usr/lib/apache2/modules';

/** How to get what is missing here; `undefined` where nothing is. */
export function apacheLacks(): string | undefined {
  const isThere = existsSync(PROGRAM) && existsSync(join(MODULES, 'mod_xsendfile.so'));
  return isThere ? undefined : 'needs apache2 (apt-get install apache2 libapache2-mod-xsendfile)';
}

/**
 * Starts Apache in the foreground, as one process and with all its files in a temporary folder.
 *
 * @param site what follows the modules and the port that it listens on: `<VirtualHost *> … </VirtualHost>`.
 */
export async function startApache(site: string): Promise<Apache> {
  const folder = tempFolder();
  const config = join(folder, 'apache.conf');
  return onFreePort(async (port) => {
    await writeFile(config, `${server(folder, port)}${site}\n`);
    const process = await startProcess(PROGRAM, ['-f', config, '-X'], { ready: /AH02471/ });
    return { ...process, host: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` };
  });
}

/**
 * There is no `User`: Apache refuses to serve as root, and another user could not read what the tests' folders
 * hold. Without it, Apache complains to root and stays what it is. AH02471 says that it accepts connections.
 */
function server(folder: string, port: number): string {
  const modules = ['mpm_event', 'authz_core', 'headers', 'proxy', 'proxy_http', 'xsendfile'];
  return `ServerRoot ${folder}
ServerName localhost
DefaultRuntimeDir ${folder}
DocumentRoot ${folder}
PidFile ${folder}/apache.pid
ErrorLog "|/bin/cat"
Listen 127.0.0.1:${port}
${modules.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
LogLevel mpm_event:debug
`;
}
