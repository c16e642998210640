// Pulls of a whole image by many clients at once: the manifest by tag, then what it refers to.
import { Connection, request } from './connection.js';
import { type Image, tagAt } from './dataset.js';
import { expectAnswer, type Sample, timed } from './load.js';
import type { Server } from './server.js';

const CONNECTIONS = 16;

interface PullStage {
  readonly image: Image;
  readonly milliseconds: number;
  readonly signal: AbortSignal;
}

/** Each client pulls the manifest, the layer of 1 KiB and that of 1 MiB, one after the other, until the time is over. */
export async function pullImages(
  { origin }: Server,
  { image: { repository, manifest, small, middle }, milliseconds, signal }: PullStage,
): Promise<Sample> {
  const get = (path: string) => request('GET', `/v2/${repository}/${path}`, { Accept: '*/*' });
  const steps = [
    { request: get(`manifests/${tagAt(5000)}`), size: manifest.size },
    { request: get(`blobs/${small.digest}`), size: small.size },
    { request: get(`blobs/${middle.digest}`), size: middle.size },
  ];
  const bytes = manifest.size + small.size + middle.size;
  const connections: Connection[] = [];
  try {
    while (connections.length < CONNECTIONS) connections.push(await Connection.open(origin, signal));
    return await timed(async (operation) => {
      const deadline = performance.now() + milliseconds;
      const drive = async (connection: Connection) => {
        for (let begun = performance.now(); begun < deadline; ) {
          for (const { request, size } of steps) expectAnswer(await connection.exchange(request), 200, size);
          const ended = performance.now();
          operation(ended - begun, bytes);
          begun = ended;
        }
      };
      await Promise.all(connections.map(drive));
    });
  } finally {
    for (const connection of connections) connection.close();
  }
}
