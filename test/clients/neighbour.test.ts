// CNCF distribution on the same data: what one of the two registries has written, the other serves bit
// for bit, and what one has deleted, the other does not have. Each has the folder for itself, one
// after the other: both remember what they saw.
import { createHmac, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { makeImage, makeIndex } from '../support/images.js';
import { type Contents, digestLike, readLayout } from '../support/oci-layout.js';
import { runProcess } from '../support/process.js';
import { indexOver, randomImage } from '../support/random-image.js';
import { RegistryClient } from '../support/registry-client.js';
import { findProgram, suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { type Standalone, startStandalone } from '../support/standalone.js';
import { tempFolder } from '../support/temp-folder.js';

type Server = Standalone | DockerRegistry;
type Start = (folder: string) => Promise<Server>;

const ours: Start = (folder) => startStandalone({ folder });
const theirs: Start = (folder) => startDockerRegistry({ folder });

/** Runs `work` on a registry that has the folder for that long. */
async function using<T>(
  start: Start,
  folder: string,
  work: (client: RegistryClient, server: Server) => Promise<T>,
): Promise<T> {
  const server = await start(folder);
  try {
    return await work(new RegistryClient(server.url), server);
  } finally {
    await server.stop();
  }
}

/** Every repository, every tag, and all that the tags lead to. */
type Holdings = Map<string, Map<string, Contents>>;

async function holdings(client: RegistryClient): Promise<Holdings> {
  const found: Holdings = new Map();
  for (const repository of await client.catalog()) {
    const tags = new Map<string, Contents>();
    for (const tag of [...(await client.tags(repository))].sort()) {
      tags.set(tag, await client.pullWhole(repository, tag));
    }
    found.set(repository, tags);
  }
  return found;
}

const REPOSITORIES = ['docker', 'multi', 'nested', 'nested-not', 'nested/in', 'nested/in/deeper', 'plain'];

/** Pushes one of everything by skopeo. */
async function pushAll({ host }: Server): Promise<void> {
  const source = tempFolder();
  await makeIndex(source, { tag: 'index' });
  await makeImage(source, { tag: 'image', layers: 4 });
  const copy = (from: string, to: string, ...options: readonly string[]) =>
    skopeo('copy', '--quiet', '--dest-tls-verify=false', ...options, `oci:${source}:${from}`, `docker://${host}/${to}`);
  await copy('image', 'plain:1');
  await copy('image', 'plain:1.0');
  await copy('index-amd64', 'plain:latest');
  await copy('index', 'multi:latest', '--all');
  await copy('image', 'docker:image', '--format=v2s2');
  await copy('index', 'docker:list', '--all', '--format=v2s2');
  await copy('image', 'nested:outer');
  await copy('index-arm64', 'nested/in:inner');
  await copy('index', 'nested/in/deeper:innermost', '--all');
  await copy('image', 'nested-not:beside');
}

/** Leaves uploads behind: one that has received nothing, one that has received something. */
async function leaveUploads(client: RegistryClient, started: Buffer): Promise<{ empty: string; begun: string }> {
  const empty = await client.startUpload('plain');
  return { empty, begun: await client.patchUpload(await client.startUpload('plain'), started, 0) };
}

/** The uuid of an upload, from where it goes on. */
function uploadId(at: string): string {
  return new URL(at).pathname.split('/').at(-1) ?? '';
}

/** The `_state` of distribution, which only goes on with an upload if the client brings one along. */
function distributionState(repository: string, at: string, offset: number): string {
  const fields = { Name: repository, UUID: uploadId(at), Offset: offset, StartedAt: new Date().toISOString() };
  const json = Buffer.from(JSON.stringify(fields));
  const signature = createHmac('sha256', 'of a test').update(json).digest();
  // Of base64url with its padding.
  const padded = Buffer.concat([signature, json]).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  return encodeURIComponent(padded);
}

for (const [name, first, second] of [
  ['what distribution wrote', theirs, ours],
  ['what koa-registry wrote', ours, theirs],
] as const) {
  const test = suiteNeeding(`neighbour, ${name}`, ['docker-registry', 'skopeo', 'umoci']);

  test('is served by the other as it was, uploads left over or not, and goes on from there', async () => {
    const folder = tempFolder();
    const written = await using(first, folder, async (client, server) => {
      await pushAll(server);
      await leaveUploads(client, randomBytes(1000));
      return holdings(client);
    });
    assert.equal([...written.keys()].sort(), REPOSITORIES);
    assert.equal([...(written.get('plain')?.keys() ?? [])], ['1', '1.0', 'latest']);

    const image = randomImage({ layers: [3000] });
    await using(second, folder, async (client) => {
      assert.equal(await holdings(client), written);
      await client.pushImage('plain', '1.0', image);
    });

    written.get('plain')?.set('1.0', new Map([[image.digest, image.bytes], ...image.blobs]));
    await using(first, folder, async (client) => assert.equal(await holdings(client), written));
  });

  test('is copied out of the other by skopeo as it was', async () => {
    const [folder, source, target] = [tempFolder(), tempFolder(), tempFolder()];
    await makeIndex(source);
    const copy = (...args: readonly string[]) =>
      skopeo('copy', '--quiet', '--all', '--src-tls-verify=false', '--dest-tls-verify=false', ...args);
    await using(first, folder, (_, { host }) => copy(`oci:${source}:latest`, `docker://${host}/a/b/c:d`));
    await using(second, folder, (_, { host }) => copy(`docker://${host}/a/b/c:d`, `oci:${target}:latest`));
    assert.equal(await readLayout(target), await readLayout(source));
  });

  test('and deleted, the other does not have', async () => {
    const folder = tempFolder();
    const [kept, gone, child] = [4000, 5000, 6000].map((size) => randomImage({ layers: [size] }));
    assert.ok(kept && gone && child);
    const list = indexOver([child, kept]);
    const loose = randomBytes(700);
    await using(first, folder, async (client) => {
      for (const tag of ['gone', 'alias']) await client.pushImage('some', tag, gone);
      await client.pushImage('some', 'kept', kept);
      await client.pushImage('some', child.digest, child);
      await client.pushManifest('some', 'list', list);
      await client.pushImage('emptied', 'only', gone);
      await client.pushBlob('some', loose);
      // Tags move on: what they named before is deleted below.
      await client.pushImage('some', 'moved', gone);
      await client.pushImage('some', 'moved', kept);
      await client.delete('some', 'manifests', gone.digest);
      await client.delete('some', 'manifests', list.digest);
      await client.delete('some', 'blobs', digestLike(loose));
      await client.delete('emptied', 'manifests', gone.digest);
    });

    await using(second, folder, async (client) => {
      assert.equal([...(await client.tags('some'))].sort(), ['kept', 'moved']);
      for (const reference of ['gone', 'alias', 'list', gone.digest, list.digest]) {
        assert.is(await client.pullManifest('some', reference), undefined, reference);
      }
      assert.is(await client.pullBlob('some', digestLike(loose)), undefined);
      assert.is(await client.pullManifest('emptied', 'only'), undefined);
      assert.is(await client.pullManifest('emptied', gone.digest), undefined);
      for (const tag of ['kept', 'moved']) assert.is((await client.pullWhole('some', tag)).size, 3);
      assert.is((await client.pullWhole('some', child.digest)).size, 3);

      await client.pushImage('some', 'gone', gone);
      await client.pushImage('emptied', 'only', gone);
    });

    await using(first, folder, async (client) => {
      assert.equal([...(await client.tags('some'))].sort(), ['gone', 'kept', 'moved']);
      assert.equal(await client.tags('emptied'), ['only']);
      assert.is((await client.pullWhole('some', 'gone')).size, 3);
      assert.is((await client.pullWhole('emptied', gone.digest)).size, 3);
    });
  });

  test.run();
}

const uploads = suiteNeeding('neighbour, uploads', ['docker-registry']);
const BYTES = randomBytes(100_000);
const DIGEST = digestLike(BYTES);

uploads('one begun at distribution is finished, or cancelled, here', async () => {
  const folder = tempFolder();
  const left = await using(theirs, folder, (client) => leaveUploads(client, BYTES.subarray(0, 40_000)));
  await using(ours, folder, async (client) => {
    const status = await client.request(`plain/blobs/uploads/${uploadId(left.begun)}`, { statuses: [204] });
    assert.is(status.headers.get('Range'), '0-39999');
    const at = new URL(status.headers.get('Location') ?? '', status.url).href;
    await client.finishUpload(await client.patchUpload(at, BYTES.subarray(40_000), 40_000), DIGEST);
    assert.ok((await client.pullBlob('plain', DIGEST))?.equals(BYTES));
    const cancel = { method: 'DELETE', statuses: [204] };
    await client.request(`plain/blobs/uploads/${uploadId(left.empty)}`, cancel);
  });
  const sessions = join(folder, 'docker/registry/v2/repositories/plain/_uploads');
  assert.equal(await readdir(sessions).catch(() => []), [], 'nothing is left of either');
  await using(theirs, folder, async (client) => assert.ok((await client.pullBlob('plain', DIGEST))?.equals(BYTES)));
});

uploads('one begun here is finished at distribution', async () => {
  const folder = tempFolder();
  const left = await using(ours, folder, (client) => leaveUploads(client, BYTES.subarray(0, 40_000)));
  await using(theirs, folder, async (client) => {
    const path = `plain/blobs/uploads/${uploadId(left.begun)}?_state=${distributionState('plain', left.begun, 40_000)}`;
    const status = await client.request(path, { statuses: [204] });
    assert.is(status.headers.get('Range'), '0-39999');
    const at = new URL(status.headers.get('Location') ?? '', status.url).href;
    await client.finishUpload(await client.patchUpload(at, BYTES.subarray(40_000), 40_000), DIGEST);
  });
  await using(ours, folder, async (client) => assert.ok((await client.pullBlob('plain', DIGEST))?.equals(BYTES)));
});

uploads.run();

const garbage = suiteNeeding('neighbour, garbage', ['docker-registry', 'skopeo', 'umoci']);

garbage('distribution collects what nothing here refers to, and nothing else', async () => {
  const folder = tempFolder();
  const subject = randomImage({ layers: [2000] });
  const signature = randomImage({ layers: [300], subject });
  const written = await using(ours, folder, async (client, server) => {
    await pushAll(server);
    await client.pushImage('signed', '1', subject);
    await client.pushImage('signed', signature.digest, signature);
    await client.pushBlob('signed', BYTES);
    return holdings(client);
  });
  const registry = await startDockerRegistry({ folder });
  await registry.stop();
  await runProcess(findProgram('docker-registry') ?? '', ['garbage-collect', registry.config]);

  await using(ours, folder, async (client) => {
    assert.equal(await holdings(client), written);
    assert.is((await client.pullWhole('signed', signature.digest)).size, 3);
    const referrers = await client.request(`signed/referrers/${subject.digest}`, { statuses: [200] });
    const { manifests } = (await referrers.json()) as { manifests: { digest: string }[] };
    assert.equal(
      manifests.map(({ digest }) => digest),
      [signature.digest],
    );
    // Its link is still there, and must not stand for the content.
    assert.is(await client.pullBlob('signed', DIGEST), undefined);
    await client.pushBlob('signed', BYTES);
    assert.ok((await client.pullBlob('signed', DIGEST))?.equals(BYTES));
  });
});

garbage.run();
