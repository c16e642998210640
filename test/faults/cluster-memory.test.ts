// A large blob goes through the balancer and two hosts into a bucket, and out again: no process on the way
// holds more of it than its buffers.
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { get } from 'node:http';
import * as assert from 'uvu/assert';
import { Cluster, type ClusterHost, clusterPrograms, type Store } from '../support/cluster.js';
import { type Answer, send } from '../support/http-client.js';
import { RegistryClient } from '../support/registry-client.js';
import { skip, suiteNeeding } from '../support/requires.js';
import { pathOf } from './cluster-requests.js';

const MEBIBYTE = 1 << 20;

/** In mebibytes. */
const SIZE = 1024;

/** What a host may grow at most; it is about half of that. */
const ALLOWANCE = 100 * MEBIBYTE;

/** As many mebibytes, hashed as they are read. They are random but for their first bytes, in which they differ. */
function* pieces(count: number, hash: Hash): Generator<Buffer> {
  const random = randomBytes(MEBIBYTE);
  for (let number = 0; number < count; number++) {
    const piece = Buffer.from(random);
    piece.writeUInt32LE(number);
    hash.update(piece);
    yield piece;
  }
}

/** Pulls a blob; answers the digest of what came. */
function pullDigest(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (answer) => {
      const hash = createHash('sha256');
      answer.on('data', (chunk: Buffer) => hash.update(chunk));
      answer.on('end', () => resolve(`sha256:${hash.digest('hex')}`)).on('error', reject);
    }).on('error', reject);
  });
}

function location({ status, headers }: Answer, expected: number): string {
  assert.is(status, expected);
  return headers.location ?? '';
}

function memorySuite(store: Store): void {
  const test = suiteNeeding(`cluster memory, ${store}`, clusterPrograms(store));
  const title = `a blob of ${SIZE} MiB through the balancer, and back`;

  test(title, async () => {
    const cluster = await Cluster.start({ store });
    try {
      const { balancer, hosts } = cluster;
      for (const { url } of hosts) await new RegistryClient(url).pushBlob('warm', randomBytes(20 * MEBIBYTE));
      const before = hosts.map(measured);
      const hash = createHash('sha256');
      const client = new RegistryClient(balancer.url);
      const port = Number(new URL(balancer.url).port);
      const at = await client.startUpload('large');
      const patched = await send(port, 'PATCH', pathOf(at), { body: pieces(SIZE, hash) });
      const digest = `sha256:${hash.digest('hex')}`;
      await client.finishUpload(location(patched, 202), digest);
      assert.is(await pullDigest(`${balancer.url}/v2/large/blobs/${digest}`), digest);
      for (const [index, host] of hosts.entries()) {
        const growth = host.memory().peak - (before[index] ?? 0);
        assert.ok(growth < ALLOWANCE, `${host.name} has grown by ${Math.round(growth / MEBIBYTE)} MiB`);
      }
      assert.equal(await cluster.bytesReread(), [0, 0, 0]);
    } finally {
      await cluster.stop();
    }
  });
  if (!existsSync('/proc/self/clear_refs')) skip(test, `cluster memory, ${store}`, title, 'needs /proc');

  test.run();
}

/** What it has now; from here on its peak is another one. */
function measured(host: ClusterHost): number {
  host.forgetPeak();
  return host.memory().resident;
}

memorySuite('s3');
memorySuite('gcs');
