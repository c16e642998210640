// What may happen to a cluster while it is at work: a host is killed, Redis hangs or is away, the bucket is
// away. Whatever was acknowledged is there afterwards, whole; nothing wrong is served meanwhile; and nobody
// has to start anything again.
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { Cluster, type ClusterHost, clusterPrograms, type Store, until } from '../support/cluster.js';
import { begin } from '../support/http-client.js';
import { digestLike } from '../support/oci-layout.js';
import { RegistryClient } from '../support/registry-client.js';
import { suiteNeeding } from '../support/requires.js';
import { assertGone, pathOf, sessionAt, statusAt, statuses } from './cluster-requests.js';
import { Traffic } from './cluster-traffic.js';

const MEBIBYTE = 1 << 20;

/**
 * A blob that nobody ever pushed, but of which Redis says that it is there: whoever answers 200 believes
 * what Redis says.
 */
async function rememberGhost({ redis }: Cluster, repository: string, like: string): Promise<string> {
  const ghost = digestLike(randomBytes(100));
  await redis.with(async (client) => {
    for (const key of await client.keys(`*blobs:${repository}@${like}`)) {
      const text = await client.get(key);
      if (text) await client.set(key.replace(like, ghost), text.replace(like, ghost));
    }
  });
  return ghost;
}

/** Waits until every host believes what Redis says, which it does not for some seconds after a start or an outage. */
async function haveAllBelieve(cluster: Cluster, repository: string, digest: string): Promise<string> {
  const remembered = () => cluster.redis.with((client) => client.keys(`*blobs:${repository}@${digest}`));
  await until(async () => {
    await statuses(cluster, 'HEAD', `${repository}/blobs/${digest}`);
    return (await remembered()).length > 0;
  }, 'Redis is told of a blob');
  const ghost = await rememberGhost(cluster, repository, digest);
  await allBelieve(cluster, repository, ghost);
  return ghost;
}

async function allBelieve(cluster: Cluster, repository: string, ghost: string): Promise<void> {
  const path = `${repository}/blobs/${ghost}`;
  await until(
    async () => (await statuses(cluster, 'HEAD', path)).every((status) => status === 200),
    'all believe in Redis',
  );
}

/** Whatever needs the bucket is refused for now, of `bucket`'s blob as of what never was; and the host says why. */
async function assertUnavailable(host: ClusterHost, digest: string): Promise<void> {
  const requests = [
    ['GET', `bucket/blobs/${digest}`],
    ['HEAD', 'bucket/manifests/latest'],
    ['GET', 'bucket/tags/list'],
    ['POST', 'bucket/blobs/uploads/'],
  ] as const;
  const refuse = async ([method, path]: (typeof requests)[number]) => {
    const answer = await fetch(`${host.url}/v2/${path}`, { method });
    await answer.arrayBuffer();
    assert.is(answer.status, 503, `${host.name}: ${method} ${path}`);
    assert.match(answer.headers.get('Retry-After') ?? '', /^[1-9]\d*$/);
  };
  await Promise.all(requests.map(refuse));
  // One that has just been started tries for a moment before it knows what is wrong.
  await until(async () => {
    const { ok, ready, checks } = await host.health();
    assert.equal([ok, ready], [false, false]);
    return Object.entries(checks).some(([name, said]) => name.startsWith('storage') && said !== 'ok');
  }, `${host.name} says that the bucket is away`);
}

export function clusterFaults(store: Store): void {
  const test = suiteNeeding(`cluster faults, ${store}`, clusterPrograms(store));
  let cluster: Cluster;

  test.before(async () => {
    cluster = await Cluster.start({ store, persistentRedis: true });
  });
  test.after(() => cluster.stop());

  test('a host killed in the middle of a PATCH: the client goes on at another, and nothing acknowledged is lost', async () => {
    const [a, b, c] = cluster.hosts;
    const bytes = randomBytes(24 * MEBIBYTE);
    await Promise.all([b.stop(), c.stop()]);
    const traffic = await Traffic.during(cluster, 'killed/traffic', 2, async (traffic) => {
      await traffic.goOn();
      assert.equal(traffic.refusals, [], 'whom the balancer cannot connect to, nobody misses');

      const at = await new RegistryClient(cluster.balancer.url).startUpload('killed/patch');
      const headers = { 'Content-Length': `${bytes.length}` };
      const patch = begin(Number(new URL(cluster.balancer.url).port), 'PATCH', pathOf(at), { headers });
      await patch.write(bytes.subarray(0, 18 * MEBIBYTE));
      await Promise.all([b.start(), c.start()]);
      await until(async () => (await sessionAt(b, at)).size >= 8 * MEBIBYTE, 'a part is stored');
      await a.stop('SIGKILL');
      const { status, headers: told } = await patch.answer;
      assert.equal(
        [status, told['retry-after']],
        [503, '5'],
        'it is not sent again, and the client is told to come again',
      );

      const left = await sessionAt(b, at);
      assert.ok(left.size < bytes.length, `${left.size} bytes are left`);
      const next = await new RegistryClient(b.url).patchUpload(b.here(left.at), bytes.subarray(left.size), left.size);
      await new RegistryClient(c.url).finishUpload(c.here(next), digestLike(bytes));

      await a.start();
      await cluster.healthy();
      await traffic.goOn();
    });
    // A PUT is the same however often it is sent, so the balancer sends it to the next host, which may find the
    // work done. What was cut in its middle was cut.
    for (const refusal of traffic.refusals) assert.match(refusal, /503, Retry-After: \d+$|cut$/);
    await traffic.verify(cluster);
    await cluster.assertServed('killed/patch', bytes);
  });

  test('Redis hangs: what is deleted then is not readable anywhere, then or later', async () => {
    const [a] = cluster.hosts;
    const client = new RegistryClient(a.url);
    const digest = await client.pushBlob('hangs', randomBytes(5000));
    const ghost = await haveAllBelieve(cluster, 'hangs', digest);
    cluster.redis.freeze();
    try {
      // Takes until every host has noticed: 2 × (breaker.pause + commandTimeout), 2.5 s.
      await client.delete('hangs', 'blobs', digest);
      await assertGone(cluster, 'hangs', digest);
    } finally {
      cluster.redis.thaw();
    }
    await allBelieve(cluster, 'hangs', ghost);
    await assertGone(cluster, 'hangs', digest);
  });

  test('Redis is away for ten seconds: pushes, pulls and deletes go on', async () => {
    const [a, b, c] = cluster.hosts;
    const client = new RegistryClient(a.url);
    const digest = await client.pushBlob('away', randomBytes(5000));
    await haveAllBelieve(cluster, 'away', digest);
    const people = 3;
    const traffic = await Traffic.during(cluster, 'away/traffic', people, async (traffic) => {
      await traffic.goOn();

      await cluster.redis.stop('SIGKILL');
      const back = delay(10_000);
      await client.delete('away', 'blobs', digest);
      await assertGone(cluster, 'away', digest);
      await contend(b, c);
      await traffic.goOn();
      for (const host of cluster.hosts) {
        const { ok, ready, checks } = await host.health();
        assert.equal([ok, ready, checks.storage], [false, true, 'ok']);
        for (const name of ['cache', 'coordination']) assert.is.not(checks[name], 'ok', `${host.name}: ${name}`);
      }
      await back;
      await cluster.redis.start();
      await cluster.healthy();
      await traffic.goOn();
    });
    // Who has a lease when Redis goes cannot be sure of it before publishing. Nothing else is refused.
    assert.ok(traffic.refusals.length <= people, traffic.refusals.join('\n'));
    for (const refusal of traffic.refusals) assert.match(refusal, /^(?:PUT|POST) \S+\/uploads 503, Retry-After: \d+$/);

    await traffic.verify(cluster);
    await assertGone(cluster, 'away', digest);
    const another = await client.pushBlob('away', randomBytes(5000));
    assert.equal(await statuses(cluster, 'HEAD', `away/blobs/${another}`), [200, 200, 200]);
    await new RegistryClient(b.url).delete('away', 'blobs', another);
    await assertGone(cluster, 'away', another);
  });

  test('the bucket is away: 503 and nothing else until it is back, and nothing acknowledged is lost', async () => {
    const [a] = cluster.hosts;
    const digest = await new RegistryClient(a.url).pushBlob('bucket', randomBytes(2 * MEBIBYTE));
    const traffic = await Traffic.during(cluster, 'bucket/traffic', 3, async (traffic) => {
      await traffic.goOn();

      await cluster.bucket.stop();
      await Promise.all(cluster.hosts.map((host) => assertUnavailable(host, digest)));
      await cluster.bucket.start();
      await cluster.healthy();
      await traffic.goOn();
    });
    assert.ok(traffic.refusals.length > 0, 'nobody noticed');
    for (const refusal of traffic.refusals) assert.match(refusal, /503, Retry-After: \d+$|^GET body cut$/);
    await traffic.verify(cluster);
    assert.equal(await statuses(cluster, 'GET', `bucket/blobs/${digest}`), [200, 200, 200]);
  });

  test('a host that starts while the bucket and Redis are away comes up when they do', async () => {
    const [a, , c] = cluster.hosts;
    const digest = await new RegistryClient(a.url).pushBlob('started', randomBytes(2 * MEBIBYTE));
    await Promise.all([cluster.bucket.stop(), cluster.redis.stop(), c.stop()]);
    await c.start();
    await assertUnavailable(c, digest);
    await cluster.bucket.start();
    await until(async () => (await statusAt(c, 'GET', `started/blobs/${digest}`)) === 200, 'it serves without Redis');
    await new RegistryClient(c.url).pushBlob('started', randomBytes(1000));
    assert.equal((await c.health()).ok, false);
    await cluster.redis.start();
    await cluster.healthy();
  });

  test.run();
}

/** Two hosts append to one session, of which no lease keeps them: the store does. */
async function contend(one: ClusterHost, other: ClusterHost): Promise<void> {
  const client = new RegistryClient(one.url);
  const at = await client.startUpload('contended');
  const contents = [randomBytes(9 * MEBIBYTE), randomBytes(9 * MEBIBYTE)];
  const headers = { 'Content-Range': `0-${9 * MEBIBYTE - 1}` };
  const answers = await Promise.all(
    [one, other].map((host, index) =>
      fetch(host.here(at), { method: 'PATCH', headers, body: contents[index] ?? null }),
    ),
  );
  for (const answer of answers) await answer.arrayBuffer();
  assert.equal(answers.map(({ status }) => status).sort(), [202, 416]);
  const won = answers.findIndex(({ status }) => status === 202);
  const winner = contents[won] ?? Buffer.of();
  await client.finishUpload(one.here(answers[won]?.headers.get('Location') ?? ''), digestLike(winner));
  assert.ok((await client.pullBlob('contended', digestLike(winner)))?.equals(winner));
}
