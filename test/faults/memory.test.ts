// However much is pushed and pulled at once: no content is ever held in memory.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { startProcess } from '../support/process.js';
import { RegistryClient, UPLOAD_WAYS } from '../support/registry-client.js';
import { skip } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';

const SERVER = fileURLToPath(new URL('memory-server.js', import.meta.url));
const CLIENTS = 8;
const BLOB_BYTES = 32 << 20;

/** What the process may grow beyond its start: buffers of sockets and streams, and what is not collected yet. */
const ALLOWANCE = 128 << 20;

/** The most memory that a process ever held, in bytes. */
function peakMemory(pid: number): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

const TITLE = `${CLIENTS} clients push and pull ${BLOB_BYTES >> 20} MiB each`;

test(TITLE, async () => {
  const server = await startProcess(process.execPath, [SERVER, tempFolder()], { ready: /listening on (\d+)/ });
  try {
    const client = new RegistryClient(`http://127.0.0.1:${server.match?.[1]}`);
    for (const way of UPLOAD_WAYS) await client.pushBlob('warm', randomBytes(1000), way);
    const before = peakMemory(server.pid);
    const blobs = Array.from({ length: CLIENTS }, () => randomBytes(BLOB_BYTES));
    const push = (blob: Buffer, index: number) => client.pushBlob('a', blob, UPLOAD_WAYS[index % UPLOAD_WAYS.length]);
    const digests = await Promise.all(blobs.map(push));
    await Promise.all(digests.map((digest) => client.pullBlob('a', digest)));
    const growth = peakMemory(server.pid) - before;
    assert.ok(growth < ALLOWANCE, `${Math.round(growth / 2 ** 20)} MiB more for ${(CLIENTS * BLOB_BYTES) >> 20} MiB`);
  } finally {
    await server.stop();
  }
});
if (!existsSync('/proc/self/status')) skip(test, 'memory', TITLE, 'needs /proc');

test.run();
