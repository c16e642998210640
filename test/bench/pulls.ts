// Pulls of a whole image by many clients at once: the manifest by tag, then what it refers to.
import { request } from './connection.js';
import { tagAt } from './dataset.js';
import { closedLoop, expectAnswer, type Sample } from './load.js';
import type { ImageStage } from './rows.js';
import type { Server } from './server.js';

const CONNECTIONS = 16;

/** Each client pulls the manifest, the layer of 1 KiB and that of 1 MiB, one after the other, until the time is over. */
export function pullImages({ origin }: Server, { image, milliseconds, signal }: ImageStage): Promise<Sample> {
  const { repository, manifest, small, middle } = image;
  const get = (path: string) => request('GET', `/v2/${repository}/${path}`, { Accept: '*/*' });
  const steps = [
    { request: get(`manifests/${tagAt(5000)}`), size: manifest.size },
    { request: get(`blobs/${small.digest}`), size: small.size },
    { request: get(`blobs/${middle.digest}`), size: middle.size },
  ];
  return closedLoop(origin, { connections: CONNECTIONS, milliseconds, signal }, () => async (connection) => {
    for (const { request, size } of steps) expectAnswer(await connection.exchange(request), 200, size);
    return manifest.size + small.size + middle.size;
  });
}
