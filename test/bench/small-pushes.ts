// Small pushes by many clients at once: blobs in one request each, and manifests by tag.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { type Connection, type Request, request } from './connection.js';
import { closedLoop, expectAnswer, type Sample } from './load.js';
import { type Blob, blobOf, RandomBlobs, removePushed } from './push.js';
import type { Stage } from './rows.js';
import type { Server } from './server.js';

const CONNECTIONS = 16;
const SIZE = 1024;
const IMAGE_TYPE = 'application/vnd.oci.image.manifest.v1+json';

const run = promisify(execFile);

/** A repository of its own that clients push into, and what they have pushed. */
interface Place {
  readonly repository: string;
  readonly pushed: Blob[];
}

/** What a client sends next, by its number. */
type NextPush = (client: number) => Request;

function blobPush({ repository, pushed }: Place, blob: Blob): Request {
  pushed.push(blob);
  const headers = { 'Content-Length': blob.size, 'Content-Type': 'application/octet-stream' };
  return request('POST', `/v2/${repository}/blobs/uploads/?digest=${blob.digest}`, headers, blob.parts);
}

/** Has clients push until the time is over; whatever leads up to that and cleans up after it is off the clock. */
async function measurePushes(
  { origin, root }: Server,
  { milliseconds, signal }: Stage,
  begin: (place: Place, connection: Connection) => Promise<NextPush>,
): Promise<Sample> {
  const place: Place = { repository: `bench/push-${randomUUID()}`, pushed: [] };
  // What the other server has left to the kernel to write must not be written at this one's expense.
  await run('sync', ['--file-system', root], { signal });
  try {
    return await closedLoop(origin, { connections: CONNECTIONS, milliseconds, signal }, async (first) => {
      const next = await begin(place, first);
      return async (connection, client) => {
        expectAnswer(await connection.exchange(next(client)), 201);
        return SIZE;
      };
    });
  } finally {
    await removePushed(root, place.repository, place.pushed);
  }
}

/** Blobs of 1 KiB, each of them new. */
export function pushBlobs(server: Server, stage: Stage): Promise<Sample> {
  const blobs = new RandomBlobs(SIZE);
  return measurePushes(server, stage, async (place) => () => blobPush(place, blobs.next()));
}

/** The manifest of a small image again and again, by a tag of each client's own. */
export function pushManifests(server: Server, stage: Stage): Promise<Sample> {
  return measurePushes(server, stage, async (place, connection) => {
    const blobs = new RandomBlobs(SIZE);
    const [config, layer] = [blobs.next(), blobs.next()];
    for (const blob of [config, layer]) expectAnswer(await connection.exchange(blobPush(place, blob)), 201);
    const describe = ({ digest, size }: Blob, mediaType: string) => ({ mediaType, digest, size });
    const manifest = blobOf(
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: IMAGE_TYPE,
          config: describe(config, 'application/vnd.oci.image.config.v1+json'),
          layers: [describe(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')],
        }),
      ),
    );
    place.pushed.push(manifest);
    const headers = { 'Content-Length': manifest.size, 'Content-Type': IMAGE_TYPE };
    return (client) => request('PUT', `/v2/${place.repository}/manifests/of-${client}`, headers, manifest.parts);
  });
}
