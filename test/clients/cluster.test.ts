// Three hosts and no sticky sessions: whichever host a request meets, it is the right one. Each part of an
// upload is sent to another process, by its own port; skopeo goes through the balancer. And the example as
// it is started by hand, with or without containers.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { balancerConfig } from '../../examples/cluster/balancer.js';
import { Cluster, type ClusterHost, clusterPrograms, type Store } from '../support/cluster.js';
import { begin } from '../support/http-client.js';
import { makeImage } from '../support/images.js';
import { digestLike, readLayout } from '../support/oci-layout.js';
import { runProcess, startProcess } from '../support/process.js';
import { hasEnded } from '../support/process-state.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

const MEBIBYTE = 1 << 20;
const NOTHING_REREAD = [0, 0, 0];

/** Copies within loopback, where there is no TLS. */
function copy(from: string, to: string): Promise<string> {
  return skopeo('copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', from, to);
}

/** An upload whose requests each meet the host that they are sent to, wherever `Location` leads. */
class WanderingUpload {
  /** Who has answered, in this order. */
  readonly served: string[] = [];
  #at: string;

  constructor(repository: string) {
    this.#at = `http://anybody/v2/${repository}/blobs/uploads/`;
  }

  async send(
    host: ClusterHost,
    method: string,
    { status, ...init }: Omit<RequestInit, 'method'> & { readonly status: number },
  ): Promise<Response> {
    const answer = await fetch(host.here(this.#at), { method, ...init, ...(init.body != null && { duplex: 'half' }) });
    assert.is(answer.status, status, `${method} at ${host.name}: ${await answer.text()}`);
    this.served.push(answer.headers.get('X-Served-By') ?? '');
    this.#at = answer.headers.get('Location') ?? this.#at;
    return answer;
  }

  start(host: ClusterHost): Promise<Response> {
    return this.send(host, 'POST', { status: 202 });
  }

  patch(host: ClusterHost, chunk: Buffer, start: number): Promise<Response> {
    const headers = { 'Content-Range': `${start}-${start + chunk.length - 1}` };
    return this.send(host, 'PATCH', { status: 202, headers, body: chunk });
  }

  finish(host: ClusterHost, digest: string): Promise<Response> {
    const url = new URL(this.#at);
    url.searchParams.set('digest', digest);
    this.#at = url.href;
    return this.send(host, 'PUT', { status: 201 });
  }

  goOnAt(location: string | undefined): void {
    assert.ok(location, 'it was not said where to go on');
    this.#at = location ?? '';
  }

  get path(): string {
    const { pathname, search } = new URL(this.#at);
    return pathname + search;
  }
}

let image: Promise<string> | undefined;

/** A layout with an image of two layers, each of 20 MiB and more though compressed. */
function largeImage(): Promise<string> {
  const make = async () => {
    const folder = tempFolder();
    await makeImage(folder, { layers: 2, bytesPerLayer: 20 * MEBIBYTE });
    return folder;
  };
  image ??= make();
  return image;
}

function clusterSuite(store: Store): void {
  const test = suiteNeeding(`cluster, ${store}`, [...clusterPrograms(store), 'skopeo', 'umoci']);
  let cluster: Cluster;

  test.before(async () => {
    cluster = await Cluster.start({ store });
  });
  test.after(() => cluster.stop());

  test('the balancer sends each request to the next host', async () => {
    const served = new Set<string | null>();
    for (let request = 0; request < cluster.hosts.length; request++) {
      const answer = await fetch(`${cluster.balancer.url}/v2/`);
      await answer.arrayBuffer();
      served.add(answer.headers.get('X-Served-By'));
    }
    assert.equal([...served].sort(), ['registry-1', 'registry-2', 'registry-3']);
    for (const path of ['healthz', 'counters']) {
      const answer = await fetch(`${cluster.balancer.url}/${path}`);
      await answer.arrayBuffer();
      assert.is(answer.status, 404, `${path} is not for everybody`);
    }
  });

  test('skopeo pushes an image and pulls it, bit for bit, and nothing is read again to be verified', async () => {
    const [source, target] = [await largeImage(), tempFolder()];
    await copy(`oci:${source}:latest`, `docker://${cluster.balancer.host}/team/large:1`);
    await copy(`docker://${cluster.balancer.host}/team/large:1`, `oci:${target}:latest`);
    const [sent, pulled] = [await readLayout(source), await readLayout(target)];
    assert.equal([...pulled.keys()].sort(), [...sent.keys()].sort());
    for (const [digest, bytes] of sent) assert.ok(pulled.get(digest)?.equals(bytes), digest);
    assert.ok([...sent.values()].some(({ length }) => length >= 20 * MEBIBYTE));
    assert.equal(await cluster.bytesReread(), NOTHING_REREAD);
  });

  for (const [kind, size] of [
    ['large', 6 * MEBIBYTE + 7],
    ['small', 100_003],
  ] as const) {
    test(`${kind} chunks, each to another host`, async () => {
      const [a, b, c] = cluster.hosts;
      const bytes = randomBytes(5 * size);
      const upload = new WanderingUpload('team/wandering');
      await upload.start(a);
      for (const [index, host] of [b, c, a, b, c].entries()) {
        const answer = await upload.patch(host, bytes.subarray(index * size, (index + 1) * size), index * size);
        assert.is(answer.headers.get('Range'), `0-${(index + 1) * size - 1}`);
      }
      const created = await upload.finish(a, digestLike(bytes));
      assert.is(created.headers.get('Docker-Content-Digest'), digestLike(bytes));
      assert.equal(
        upload.served,
        [a, b, c, a, b, c, a].map(({ name }) => name),
      );
      await cluster.assertServed('team/wandering', bytes);
      assert.equal(await cluster.bytesReread(), NOTHING_REREAD);
    });
  }

  test('a stream to one host, ended at another', async () => {
    const [a, b, c] = cluster.hosts;
    const bytes = randomBytes(20 * MEBIBYTE);
    const upload = new WanderingUpload('team/stream');
    await upload.start(c);
    // Of unknown length, as docker and skopeo send it.
    await upload.send(a, 'PATCH', { status: 202, body: new Blob([new Uint8Array(bytes)]).stream() });
    await upload.finish(b, digestLike(bytes));
    assert.equal(upload.served, [c.name, a.name, b.name]);
    await cluster.assertServed('team/stream', bytes);
    assert.equal(await cluster.bytesReread(), NOTHING_REREAD);
  });

  test('two hosts append to one session at once: one wins, and the other says where it stands', async () => {
    const [a, b, c] = cluster.hosts;
    const upload = new WanderingUpload('team/contended');
    await upload.start(c);
    const contents = [randomBytes(9 * MEBIBYTE), randomBytes(9 * MEBIBYTE)];
    const headers = { 'Content-Range': `0-${9 * MEBIBYTE - 1}`, 'Content-Length': `${9 * MEBIBYTE}` };
    const requests = [a, b].map(({ port }) => begin(port, 'PATCH', upload.path, { headers }));
    // Both are under way before either can end.
    for (const [index, { write }] of requests.entries()) await write(contents[index]?.subarray(0, 1000) ?? Buffer.of());
    for (const [index, { request }] of requests.entries()) request.end(contents[index]?.subarray(1000));
    const answers = await Promise.all(requests.map(({ answer }) => answer));
    assert.equal(answers.map(({ status }) => status).sort(), [202, 416]);
    for (const { headers } of answers) assert.is(headers.range, `0-${9 * MEBIBYTE - 1}`);
    const won = answers.findIndex(({ status }) => status === 202);
    const winner = contents[won] ?? Buffer.of();
    upload.goOnAt(answers[won]?.headers.location);
    await upload.finish(c, digestLike(winner));
    await cluster.assertServed('team/contended', winner);
  });

  test.run();
}

clusterSuite('s3');
clusterSuite('gcs');

const example = suiteNeeding('cluster, started by hand', [...clusterPrograms('s3'), 'skopeo', 'umoci']);
const START = fileURLToPath(new URL('../../examples/cluster/start.js', import.meta.url));

/** The processes that a process has started. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

/** Starts the example, and sees that nothing is left of it in the end. */
async function withExample(folder: string, work: (host: string) => Promise<unknown>): Promise<void> {
  const running = await startProcess(process.execPath, [START], {
    ready: /The cluster listens on http:\/\/(127\.0\.0\.1:\d+)\//,
    env: { PORT: '0', CLUSTER_ROOT: folder },
  });
  const children = await childrenOf(running.pid);
  try {
    assert.is(children.length, 6, running.output());
    await work(running.match?.[1] ?? '');
  } finally {
    await running.stop();
  }
  assert.equal(await running.exit(), { code: 0, signal: null }, running.output());
  for (const child of children) assert.ok(await hasEnded(child), `process ${child} outlives the others`);
}

example('start.ts: skopeo pushes; all ends with SIGTERM; the next time skopeo pulls what was pushed', async () => {
  const [folder, source, target] = [tempFolder(), tempFolder(), tempFolder()];
  await makeImage(source);
  await withExample(folder, (host) => copy(`oci:${source}:latest`, `docker://${host}/hello:latest`));
  await withExample(folder, (host) => copy(`docker://${host}/hello:latest`, `oci:${target}:latest`));
  assert.equal(await readLayout(target), await readLayout(source));
});

example.run();

const server = suite('cluster, server.ts');
const SERVER = fileURLToPath(new URL('../../examples/cluster/server.js', import.meta.url));

server('what is missing or misspelt in the environment is said, and nothing starts', async () => {
  const cases = [
    [{ SECRET: '' }, 'SECRET is missing'],
    [{ SECRET: 'of all', STORE: 'gsc' }, 'STORE is s3 or gcs, not "gsc"'],
  ] as const;
  for (const [env, said] of cases) {
    await runProcess(process.execPath, [SERVER], { env: { PORT: '0', ...env } }).then(
      () => assert.unreachable(said),
      (error: Error) => assert.match(error.message, said),
    );
  }
});

server.run();

const compose = suite('cluster, compose.yml');
const FOLDER = fileURLToPath(new URL('../../../examples/cluster/', import.meta.url));
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8');

/** The variables that a service, or what all registries have in common, is given. */
function environmentOf(section: string): readonly string[] {
  const [, lines = ''] =
    new RegExp(`^ *${section}:.*\\n(?: .*\\n|\\n)*?  *environment:\\n((?: {4,}.*\\n)+)`, 'm').exec(
      read('compose.yml'),
    ) ?? [];
  return [...lines.matchAll(/^ +([A-Z0-9_]+): /gm)].map(([, name = '']) => name);
}

compose('the hosts are told what server.ts reads, and nothing else', () => {
  const names = environmentOf('x-registry');
  assert.ok(names.includes('SECRET') && names.includes('REDIS_URL'), names.join());
  const source = read('server.ts');
  for (const name of names) assert.match(source, new RegExp(`\\b${name}\\b`), `server.ts knows no ${name}`);
});

compose('the balancer has the configuration of start.ts, and a value for each variable of it', () => {
  assert.match(read('compose.yml'), "'./nginx.conf:/etc/nginx/templates/default.conf.template:ro'");
  const variables = [...read('nginx.conf').matchAll(/\$\{(\w+)\}/g)].map(([, name = '']) => name);
  assert.equal([...environmentOf('balancer')].sort(), [...variables].sort());
  for (const [, host] of read('compose.yml').matchAll(/REGISTRY_\d: (\S+):5000/g)) {
    assert.match(read('compose.yml'), new RegExp(`^  ${host}: {.*hostname: ${host} }$`, 'm'));
  }
  assert.not.match(balancerConfig('127.0.0.1:1', ['a:1', 'b:1', 'c:1']), '${');
});

compose('every image has a version, and no secret is written down', () => {
  const images = [...read('compose.yml').matchAll(/image: (\S+)/g)].map(([, name = '']) => name);
  assert.is(images.length, 4);
  for (const image of images) assert.match(image, /^[\w/]+:v?\d[\w.-]*$/);
  for (const [line] of read('compose.yml').matchAll(/^.*SECRET\w*: .*$/gm)) assert.match(line, /: \$\{\w+:\?/);
});

compose.run();

const composed = suiteNeeding('cluster, compose.yml by Docker Compose', ['docker-compose']);

composed('it is accepted, and only with secrets', async () => {
  const config = (env: Readonly<Record<string, string>>) =>
    runProcess('docker-compose', ['--file', join(FOLDER, 'compose.yml'), 'config'], { env });
  const whole = await config({ SECRET: 'of all', BUCKET_SECRET: 'of the bucket', PORT: '5123' });
  for (const name of ['registry-1', 'registry-2', 'registry-3']) assert.match(whole, `hostname: ${name}`);
  assert.match(whole, '127.0.0.1:5123:80');
  assert.match(whole, `${FOLDER}nginx.conf:`);
  await config({ SECRET: '', BUCKET_SECRET: 'of the bucket' }).then(
    () => assert.unreachable('a cluster without a secret'),
    (error: Error) => assert.match(error.message, 'any long random text'),
  );
});

composed.run();
