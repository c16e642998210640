// Turns that end before the work does: Redis goes while bodies are on their way, or a host stands still for
// longer than others wait for it. Whatever was acknowledged stays, and nobody is told the digest of bytes
// that somebody else has stored.
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Cluster, type ClusterHost, clusterPrograms, type Store, until } from '../support/cluster.js';
import { type Answer, begin, type OpenRequest, send } from '../support/http-client.js';
import { digestLike } from '../support/oci-layout.js';
import { randomImage } from '../support/random-image.js';
import { RegistryClient } from '../support/registry-client.js';
import { suiteNeeding } from '../support/requires.js';
import { Checkpoint } from './cluster-checkpoint.js';
import { assertGone, pathOf, sessionAt, withDigest } from './cluster-requests.js';

const MEBIBYTE = 1 << 20;

/** What is surely stored of what was sent: a part. */
const PART = 8 * MEBIBYTE;

/** In milliseconds: longer than a lease lasts, or anybody waits for one. */
const LONG = 10_500;

/** A body of which a part is stored and the rest is still to be sent. */
class HeldUpload {
  readonly bytes = randomBytes(2 * PART);
  /** Where its session stands. */
  readonly at: string;
  readonly #request: OpenRequest;

  constructor(method: 'PATCH' | 'PUT', port: number, at: string) {
    this.at = at;
    const path = pathOf(method === 'PUT' ? withDigest(at, this.digest) : at);
    this.#request = begin(port, method, path, { headers: { 'Content-Length': `${this.bytes.length}` } });
  }

  get digest(): string {
    return digestLike(this.bytes);
  }

  /** Resolves when a part is stored, as `host` sees it. */
  async begin(host: ClusterHost): Promise<void> {
    await this.#request.write(this.bytes.subarray(0, PART + MEBIBYTE));
    await until(async () => (await sessionAt(host, this.at)).size >= PART, 'a part is stored');
  }

  /** Sends the rest, or something else in its place. */
  end(rest = this.bytes.subarray(PART + MEBIBYTE)): Promise<Answer> {
    this.#request.request.end(rest);
    return this.#request.answer;
  }
}

/** The first host is `slow`: each of its requests to the bucket passes the checkpoint. */
interface Staging {
  readonly cluster: Cluster;
  readonly checkpoint: Checkpoint;
  readonly slow: ClusterHost;
  readonly quick: ClusterHost;
  readonly third: ClusterHost;
}

async function stage(store: Store): Promise<Staging> {
  let checkpoint: Checkpoint | undefined;
  const detour = async (url: string) => {
    checkpoint = await Checkpoint.before(url);
    return checkpoint.url;
  };
  const cluster = await Cluster.start({ store, detour });
  if (checkpoint === undefined) throw new Error('nobody has asked for the way to the bucket');
  const [slow, quick, third] = cluster.hosts;
  return { cluster, checkpoint, slow, quick, third };
}

/** Ends Redis as a power cut does, and waits until every host knows. */
async function loseRedis({ redis, hosts }: Cluster): Promise<void> {
  await redis.stop('SIGKILL');
  for (const host of hosts) {
    await until(async () => (await host.health()).checks.coordination !== 'ok', `${host.name} misses Redis`);
  }
}

/** Stands still while `work` is done, and longer than anybody waits for it. */
async function frozen(host: ClusterHost, work: () => Promise<void>): Promise<void> {
  host.freeze();
  try {
    await Promise.all([work(), delay(LONG)]);
  } finally {
    host.thaw();
  }
}

function patch(host: ClusterHost, at: string, chunk: Buffer): Promise<Response> {
  const headers = { 'Content-Range': `0-${chunk.length - 1}` };
  return fetch(host.here(at), { method: 'PATCH', headers, body: new Uint8Array(chunk) });
}

/**
 * Both hosts receive a chunk for the same place, and the one of `slow` comes to the bucket when that of
 * `quick` is there; answers where the upload goes on.
 */
async function overtake({ checkpoint, slow, quick }: Staging, late: Buffer, first: Buffer): Promise<string> {
  const at = await new RegistryClient(quick.url).startUpload('overtaken');
  let overtaking: Promise<Response> | undefined;
  checkpoint.inspect = async (request) => {
    if (!request.includes('/data!/') || !/^P(?:OS|U)T /.test(request)) return;
    overtaking ??= patch(quick, at, first);
    await overtaking;
  };
  const refused = await patch(slow, at, late);
  assert.equal([(await overtaking)?.status, refused.status], [202, 416]);
  return refused.headers.get('Location') ?? '';
}

/** Goes on at `quick` with what `slow` has in hand; answers where the upload stands then. */
async function takeOver({ quick }: Staging, { at, bytes }: HeldUpload): Promise<string> {
  const left = await sessionAt(quick, at);
  return new RegistryClient(quick.url).patchUpload(quick.here(left.at), bytes.subarray(left.size), left.size);
}

function turnsSuite(store: Store): void {
  const test = suiteNeeding(`cluster turns, ${store}`, clusterPrograms(store));
  let staging: Staging;

  test.before(async () => {
    staging = await stage(store);
  });
  test.after.each(() => {
    staging.checkpoint.inspect = () => undefined;
  });
  test.after(async () => {
    await staging.cluster.stop();
    await staging.checkpoint.close();
  });

  test('who lost a race while Redis was away has left no digest of bytes that are not there', async () => {
    const { cluster } = staging;
    const [good, evil] = [Buffer.from('good content'), Buffer.from('evil content')];
    const digest = digestLike(good);
    await loseRedis(cluster);
    const overtaken: string[] = [];
    for (const _ of cluster.hosts) overtaken.push(await overtake(staging, good, evil));
    await cluster.redis.start();
    await cluster.healthy();
    for (const [index, host] of cluster.hosts.entries()) {
      const answer = await fetch(withDigest(host.here(overtaken[index] ?? ''), digest), { method: 'PUT' });
      assert.is(answer.status, 400, host.name);
      assert.match(await answer.text(), 'DIGEST_INVALID');
      await assertGone(cluster, 'overtaken', digest);
    }
    await new RegistryClient(cluster.balancer.url).pushBlob('overtaken', good);
    await cluster.assertServed('overtaken', good);
  });

  test('bodies that are on their way while Redis is away for ten seconds arrive', async () => {
    const { cluster, third } = staging;
    const client = new RegistryClient(cluster.balancer.url);
    const port = Number(new URL(cluster.balancer.url).port);
    const before = await cluster.bytesReread();
    const held: HeldUpload[] = [];
    for (const method of ['PATCH', 'PUT', 'PATCH', 'PUT'] as const) {
      held.push(new HeldUpload(method, port, await client.startUpload('held')));
    }
    await Promise.all(held.map((upload) => upload.begin(third)));
    await cluster.redis.stop('SIGKILL');
    await delay(LONG);
    const during = await Promise.all(held.slice(0, 2).map((upload) => upload.end()));
    await cluster.redis.start();
    await cluster.healthy();
    const afterwards = await Promise.all(held.slice(2).map((upload) => upload.end()));
    const answers = [...during, ...afterwards];
    assert.equal(
      answers.map(({ status }) => status),
      [202, 201, 202, 201],
    );
    for (const [index, { status, headers }] of answers.entries()) {
      if (status === 202) await client.finishUpload(headers.location ?? '', held[index]?.digest ?? '');
    }
    for (const { bytes } of held) await cluster.assertServed('held', bytes);
    assert.equal(await cluster.bytesReread(), before, 'nothing is read again to be verified');
  });

  test('a host stands still in the middle of a PATCH: another goes on, and it does not disturb what came of it', async () => {
    const { cluster, slow, quick, third } = staging;
    const client = new RegistryClient(quick.url);
    const start = async () => new HeldUpload('PATCH', slow.port, await client.startUpload('still'));
    const [ended, open] = [await start(), await start()];
    for (const upload of [ended, open]) await upload.begin(third);
    let next = '';
    await frozen(slow, async () => {
      const [over, goingOn] = await Promise.all([takeOver(staging, ended), takeOver(staging, open)]);
      await new RegistryClient(third.url).finishUpload(third.here(over), ended.digest);
      next = goingOn;
    });
    const answers = await Promise.allSettled([ended, open].map((upload) => upload.end(randomBytes(PART - MEBIBYTE))));
    for (const [index, answer] of answers.entries()) {
      const status = answer.status === 'fulfilled' ? answer.value.status : 'reset';
      assert.ok([404, 416, 503, 'reset'].includes(status), `${['ended', 'open'][index]}: ${status}`);
    }
    await new RegistryClient(third.url).finishUpload(third.here(next), open.digest);
    for (const { bytes, at } of [ended, open]) {
      await cluster.assertServed('still', bytes);
      for (const host of cluster.hosts) assert.is((await fetch(host.here(at))).status, 404, 'the session is over');
    }
  });

  test('a host stands still in the middle of a deletion: a tag that was moved meanwhile stays', async () => {
    const { cluster, checkpoint, slow, quick, third } = staging;
    const client = new RegistryClient(quick.url);
    const [old, young] = [randomImage({ layers: [100] }), randomImage({ layers: [200] })];
    await client.pushImage('moved', 'latest', old);
    await client.pushImage('moved', 'young', young);
    const hasTurn = () => cluster.redis.with((redis) => redis.keys('*{lease:tags/moved:latest}'));
    let stands = false;
    // As soon as it has its turn it looks where the tag leads, and hears of it when that is long ago.
    checkpoint.inspect = async (request) => {
      if (stands || !request.includes('/latest/current/link') || (await hasTurn()).length === 0) return;
      stands = true;
      slow.freeze();
    };
    const deletion = send(slow.port, 'DELETE', `/v2/moved/manifests/${old.digest}`);
    await until(() => stands, `${slow.name} looks where the tag leads`);
    await frozen(slow, () => client.pushManifest('moved', 'latest', young));
    const { status, headers } = await deletion;
    assert.is(status, 503);
    assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/);
    await new RegistryClient(third.url).delete('moved', 'manifests', old.digest);
    for (const { url } of cluster.hosts) {
      assert.ok((await new RegistryClient(url).pullManifest('moved', 'latest'))?.equals(young.bytes));
    }
  });

  test('a host dies in the middle of a deletion: the balancer asks the next one, and what was to go is gone', async () => {
    const { cluster, checkpoint, slow } = staging;
    const client = new RegistryClient(cluster.balancer.url);
    const digests: string[] = [];
    for (const _ of cluster.hosts) digests.push(await client.pushBlob('dies', randomBytes(1000)));
    let died = false;
    checkpoint.inspect = async (request) => {
      if (died || !/^DELETE .*\/dies\/_layers\//.test(request)) return;
      died = true;
      await slow.stop('SIGKILL');
    };
    for (const digest of digests) {
      const answer = await fetch(`${cluster.balancer.url}/v2/dies/blobs/${digest}`, { method: 'DELETE' });
      assert.ok([202, 404].includes(answer.status), `${answer.status}`);
    }
    assert.ok(died, 'each host is asked in its turn');
    await slow.start();
    await cluster.healthy();
    for (const digest of digests) await assertGone(cluster, 'dies', digest);
  });

  test.run();
}

turnsSuite('s3');
turnsSuite('gcs');
