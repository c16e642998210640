// Registries that send clients elsewhere for the bytes of blobs, and nginx, which is where: in front of a registry,
// or alone with the same files.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../support/requires.js';
import type { Contender } from './server.js';

const SERVER = fileURLToPath(new URL('layered-server.js', import.meta.url));

function layered(name: string, LAYER: string, isBehind = false): Contender {
  return {
    name,
    prepare: async (folder, root, port) => {
      const place = { REGISTRY_ROOT: root, HOST: '127.0.0.1', PORT: String(port) };
      const socket = isBehind ? { SOCKET: socketIn(folder) } : {};
      return { command: [process.execPath, SERVER], env: { ...place, ...socket, NODE_ENV: 'production', LAYER } };
    },
  };
}

/** Where a front server on the same machine best finds a registry, as `plugins/README.md` says. */
function socketIn(folder: string): string {
  return join(folder, 'registry.sock');
}

export const withTrivialHandler = layered('by a trivial handler', 'trivial');
export const withRedirect = layered('by layer/redirect', 'redirect');

export const behindNginx: Contender = {
  name: 'nginx and layer/accel',
  upstream: layered('with layer/accel', 'accel', true),
  prepare: (folder, root, port) =>
    nginx(
      join(folder, 'nginx-in-front'),
      `upstream registry { server unix:${socketIn(folder)}; keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location /v2/ {
      proxy_pass http://registry;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Sendfile-Type X-Accel-Redirect;
    }
    location /registry-blobs/ { internal; alias ${root}/; etag off; }
  }`,
    ),
};

/** What a registry answers to `GET /v2/` and to those of blobs, without asking anybody. */
export const nginxAlone: Contender = {
  name: 'nginx alone',
  prepare: (folder, root, port) =>
    nginx(
      join(folder, 'nginx-alone'),
      `server {
    listen 127.0.0.1:${port};
    location = /v2/ { return 200; }
    location ~ ^/v2/.+/blobs/sha256:(\\w\\w)(\\w+)$ { alias ${root}/docker/registry/v2/blobs/sha256/$1/$1$2/data; }
  }`,
    ),
};

/** As Debian configures it, but for the log and the number of processes: it has one CPU. */
async function nginx(folder: string, http: string) {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy'].map((name) => `${name}_temp_path ${folder}/${name};`);
  const config = `daemon off;
master_process off;
pid ${folder}/nginx.pid;
events {}
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  ${temporary.join('\n  ')}
  ${http}
}
`;
  await writeFile(file, config);
  return { command: [findProgram('nginx') ?? 'nginx', '-p', folder, '-e', 'stderr', '-c', file] };
}
