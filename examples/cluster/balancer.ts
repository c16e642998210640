// nginx.conf with its variables filled in, as nginx's image does it at its start, and what has to be around
// it where there is no image.
import { readFileSync } from 'node:fs';

/** It stays where it is written: beside the sources. */
const TEMPLATE = new URL('../../../examples/cluster/nginx.conf', import.meta.url);

/**
 * What stands in nginx's `http` block.
 *
 * @param listen the address to listen on, `127.0.0.1:5000`.
 * @param hosts the addresses of the three registries.
 */
export function balancerConfig(listen: string, hosts: readonly string[]): string {
  const [REGISTRY_1, REGISTRY_2, REGISTRY_3] = hosts;
  const values: Readonly<Record<string, string | undefined>> = { LISTEN: listen, REGISTRY_1, REGISTRY_2, REGISTRY_3 };
  const template = readFileSync(TEMPLATE, 'utf8');
  return template.replace(/\$\{([A-Z0-9_]+)\}/g, (variable, name: string) => values[name] ?? variable);
}

/** A whole configuration around `http`, for anybody's nginx: all that it writes is in one folder. */
export function nginxConfig(http: string, folder: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
pid ${folder}/nginx.pid;
error_log stderr;
events {}
http {
access_log off;
${kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n')}
${http}}
`;
}
