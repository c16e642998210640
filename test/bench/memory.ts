// The one row that is about a server alone: how much memory it takes while many clients push at once.
import { Connection } from './connection.js';
import { MIB } from './dataset.js';
import { limited } from './load.js';
import { residentMb } from './process-cost.js';
import { pushBlob, RandomBlobs } from './push.js';
import { type Contender, type Site, startServer } from './server.js';

const CLIENTS = 32;
const BLOB_BYTES = 64 * MIB;
const LIMIT_MB = 300;

/** A server that takes longer hangs. */
const MEASUREMENT_LIMIT_MS = 300_000;

export const MEMORY_ROW = 'peak RSS, 32 clients push 64 MiB each';

/** What the memory row found; MB are millions of bytes. */
export interface MemoryUse {
  readonly name: typeof MEMORY_ROW;
  readonly server: string;
  readonly beforeMb: number;
  readonly peakMb: number;
  readonly seconds: number;
  readonly target: number;
  readonly met: boolean;
}

/** Measures a process of `contender` that has done nothing else. */
export async function measureMemory(contender: Contender, site: Site): Promise<MemoryUse> {
  const server = await startServer(contender, site);
  const signal = limited(site.signal, MEASUREMENT_LIMIT_MS);
  const connections: Connection[] = [];
  try {
    while (connections.length < CLIENTS) connections.push(await Connection.open(server.origin, signal));
    const blobs = new RandomBlobs(BLOB_BYTES);
    const pushes = connections.map((connection, client) => ({ connection, client, blob: blobs.next() }));
    const beforeMb = await residentMb(server.pid, 'VmRSS');
    const start = performance.now();
    await Promise.all(
      pushes.map(({ connection, client, blob }) => pushBlob(connection, `bench/client-${client}`, blob)),
    );
    const seconds = (performance.now() - start) / 1000;
    const peakMb = await residentMb(server.pid, 'VmHWM');
    const met = peakMb <= LIMIT_MB;
    return { name: MEMORY_ROW, server: server.name, beforeMb, peakMb, seconds, target: LIMIT_MB, met };
  } finally {
    for (const connection of connections) connection.close();
    await server.stop();
  }
}
