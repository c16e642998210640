// skopeo, a client that nobody here wrote, against a registry at the root of a service and against one
// below a prefix. What arrives is judged by its bytes on both sides, not by what skopeo says of it.
//
// A client of the Docker API always begins at `<host>/v2/`: an image's name has no room for what may
// precede it. A registry below `/portal` is therefore reached by a service that leads the root's `/v2`
// there; from then on the client goes where `Location` sends it, which is below `/portal`.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Koa from 'koa';
import { type Registry, registry } from 'koa-registry';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';
import * as assert from 'uvu/assert';
import { makeImage, makeIndex } from '../support/images.js';
import { type KoaService, listen } from '../support/koa-service.js';
import { type Contents, digestLike, layoutEntry, readLayout } from '../support/oci-layout.js';
import { randomImage } from '../support/random-image.js';
import { RegistryClient } from '../support/registry-client.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

const DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';

/** How compressed content begins. */
const MAGIC = { gzip: Buffer.of(0x1f, 0x8b), zstd: Buffer.of(0x28, 0xb5, 0x2f, 0xfd) };

interface Manifest {
  readonly mediaType?: string;
  readonly layers: readonly { readonly mediaType: string; readonly digest: string }[];
}

/** Copies within loopback, where there is no TLS. */
function copy(...args: readonly string[]): Promise<string> {
  return skopeo('copy', '--quiet', '--src-tls-verify=false', '--dest-tls-verify=false', ...args);
}

async function inspectRaw(image: string): Promise<Buffer> {
  return Buffer.from(await skopeo('inspect', '--raw', '--tls-verify=false', image));
}

async function listTags(image: string): Promise<readonly string[]> {
  const answer = JSON.parse(await skopeo('list-tags', '--tls-verify=false', image)) as { Tags: string[] };
  return answer.Tags;
}

/** Compared by digest and bytes, in any order. */
function assertSameContents(actual: Contents, expected: Contents): void {
  assert.equal([...actual.keys()].sort(), [...expected.keys()].sort());
  for (const [digest, bytes] of expected) assert.ok(actual.get(digest)?.equals(bytes), `${digest} has other bytes`);
}

function parse(bytes: Buffer): Manifest {
  return JSON.parse(bytes.toString('utf8')) as Manifest;
}

/** All that is tested, on a registry below `prefix`. */
function clientSuite(name: string, prefix: string): void {
  const test = suiteNeeding(`skopeo, ${name}`, ['skopeo', 'umoci']);
  let service: KoaService;
  let images: Registry;
  let client: RegistryClient;
  const at = (image: string) => `docker://${service.host}/${image}`;
  const manifest = async (image: string, reference: string) =>
    parse((await client.pullManifest(image, reference)) ?? Buffer.from('null'));

  test.before(async () => {
    service = await listen();
    images = registry({
      prefix,
      storage: filesystem({ rootDirectory: tempFolder() }),
      delete: { enabled: true },
      logger: pino({ level: 'silent' }),
    });
    const app = new Koa();
    app.use((ctx, next) => {
      if (ctx.path.startsWith('/v2/')) ctx.path = prefix + ctx.path;
      return next();
    });
    app.use(images);
    service.serve(app);
    client = new RegistryClient(service.url + prefix);
  });

  test.after(async () => {
    await service.close();
    await images.close();
  });

  test('an image comes back as it was, bit for bit', async () => {
    const [source, target] = [tempFolder(), tempFolder()];
    const { digest } = await makeImage(source, { layers: 4 });
    await copy(`oci:${source}:latest`, at('library/plain:1'));

    const sent = await readLayout(source);
    assert.is(digestLike(await inspectRaw(at('library/plain:1'))), digest);
    assertSameContents(await client.pullWhole('library/plain', '1'), sent);

    await copy(at('library/plain:1'), `oci:${target}:latest`);
    assert.is((await layoutEntry(target)).digest, digest);
    assertSameContents(await readLayout(target), sent);
  });

  test('an upload goes on below the prefix, where its Location sends the client', async () => {
    const source = tempFolder();
    await makeImage(source, { layers: 1 });
    const before = service.journal.length;
    await copy(`oci:${source}:latest`, at('located:1'));
    const uploads = service.journal.slice(before).filter((line) => /^(?:PATCH|PUT) \S+\/uploads\//.test(line));
    assert.ok(uploads.length >= 4, 'a PATCH and a PUT for the layer and for the config');
    for (const line of uploads) assert.ok(line.includes(` ${prefix}/v2/located/blobs/uploads/`), line);
  });

  test('a multi-arch image comes back whole, and in part by platform', async () => {
    const [source, target, single] = [tempFolder(), tempFolder(), tempFolder()];
    const { digest } = await makeIndex(source);
    await copy('--all', `oci:${source}:latest`, at('multi/arch:1'));

    const sent = await readLayout(source);
    assert.is(digestLike(await inspectRaw(at('multi/arch:1'))), digest);
    assertSameContents(await client.pullWhole('multi/arch', '1'), sent);

    await copy('--all', at('multi/arch:1'), `oci:${target}:latest`);
    assert.is((await layoutEntry(target, 'latest')).digest, digest);
    assertSameContents(await readLayout(target), sent);

    await copy('--multi-arch=system', at('multi/arch:1'), `oci:${single}:latest`);
    const chosen = await layoutEntry(single);
    const contents = await readLayout(single);
    assert.ok(sent.get(chosen.digest)?.equals(contents.get(chosen.digest) ?? Buffer.of()));
    assert.is(contents.size, 5, 'a manifest, a config and three layers of the one platform');
  });

  test('Docker schema 2 images and lists come back in that format', async () => {
    const [source, target] = [tempFolder(), tempFolder()];
    await makeIndex(source);
    await copy('--format=v2s2', `oci:${source}:latest-amd64`, at('docker/two:image'));
    const image = await inspectRaw(at('docker/two:image'));
    assert.is(parse(image).mediaType, DOCKER_IMAGE);
    const held = await client.pullWhole('docker/two', 'image');
    assert.is(held.size, 5);

    await copy(at('docker/two:image'), `dir:${target}`);
    for (const [digest, bytes] of held) {
      const name = digest === digestLike(image) ? 'manifest.json' : digest.slice('sha256:'.length);
      assert.ok(bytes.equals(await readFile(join(target, name))), `${name} has other bytes`);
    }

    await copy('--all', '--format=v2s2', `oci:${source}:latest`, at('docker/two:list'));
    assert.is(parse(await inspectRaw(at('docker/two:list'))).mediaType, DOCKER_LIST);
    assert.is((await client.pullWhole('docker/two', 'list')).size, 11, 'a list and two images of five');
  });

  test('layers travel as they were compressed: gzip, zstd', async () => {
    for (const [format, magic] of Object.entries(MAGIC)) {
      const [source, target] = [tempFolder(), tempFolder()];
      await makeImage(source, { layers: 2 });
      await copy(`--dest-compress-format=${format}`, `oci:${source}:latest`, at(`packed:${format}`));

      const contents = await client.pullWhole('packed', format);
      const { layers } = await manifest('packed', format);
      assert.is(layers.length, 2);
      for (const { digest, mediaType } of layers) {
        assert.is(mediaType, `application/vnd.oci.image.layer.v1.tar+${format}`);
        assert.ok(contents.get(digest)?.subarray(0, magic.length).equals(magic), `${digest} is not ${format}`);
      }
      await copy(at(`packed:${format}`), `oci:${target}:latest`);
      assertSameContents(await readLayout(target), contents);
    }
  });

  test('a manifest is found by its sha512 digest', async () => {
    // As far as this skopeo goes: it takes every digest of a blob that it copies for a sha256 one.
    const image = randomImage({ layers: [4000], algorithm: 'sha512' });
    await client.pushImage('long/digests', image.digest, image);
    assert.ok((await inspectRaw(at(`long/digests@${image.digest}`))).equals(image.bytes));
    assert.is((await client.pullWhole('long/digests', image.digest)).size, 3);
  });

  test('what is there already is not sent again', async () => {
    const source = tempFolder();
    await makeImage(source);
    await copy(`oci:${source}:latest`, at('again:1'));
    const before = service.journal.length;
    await copy(`oci:${source}:latest`, at('again:2'));
    const lines = service.journal.slice(before);
    assert.is(lines.filter((line) => /^HEAD \S+\/blobs\/sha256:\w+ 200$/.test(line)).length, 4, lines.join('\n'));
    assert.is(lines.filter((line) => line.includes('/blobs/uploads/')).length, 0, lines.join('\n'));
    assert.equal(await listTags(at('again')), ['1', '2']);
  });

  test('a copy within the registry mounts its blobs', async () => {
    const source = tempFolder();
    await makeImage(source);
    await copy(`oci:${source}:latest`, at('from/here:1'));
    const before = service.journal.length;
    await copy(at('from/here:1'), at('to/there:1'));
    const lines = service.journal.slice(before);
    const mounts = lines.filter((line) => /^POST \S+\?from=from%2Fhere&mount=sha256%3A\w+ 201$/.test(line));
    assert.is(mounts.length, 3, lines.join('\n'));
    // Of an image's blobs only the layers are mounted: skopeo has read the config anyway, and sends it.
    assert.is(lines.filter((line) => line.startsWith('PATCH')).length, 1, lines.join('\n'));
    assertSameContents(await client.pullWhole('to/there', '1'), await readLayout(source));
  });

  test('tags are listed in the order of their bytes', async () => {
    const source = tempFolder();
    await makeImage(source, { layers: 1 });
    for (const tag of ['v1.0', 'v1', 'v1-0', 'V2', '_x']) await copy(`oci:${source}:latest`, at(`many/tags:${tag}`));
    assert.equal(await listTags(at('many/tags')), ['V2', '_x', 'v1', 'v1-0', 'v1.0']);
  });

  test('deleting an image leaves the others, whose layers it shared', async () => {
    const source = tempFolder();
    await makeIndex(source);
    const sent = await readLayout(source);
    await copy(`oci:${source}:latest-amd64`, at('deleted/from:amd64'));
    await copy(`oci:${source}:latest-amd64`, at('deleted/from:alias'));
    await copy('--all', `oci:${source}:latest`, at('kept:all'));
    await copy(`oci:${source}:latest-arm64`, at('deleted/from:arm64'));

    await skopeo('delete', '--tls-verify=false', at('deleted/from:amd64'));
    assert.equal(await listTags(at('deleted/from')), ['arm64'], 'the alias named the same image');
    assert.is(await client.pullManifest('deleted/from', 'amd64'), undefined);
    assert.is(await client.pullManifest('deleted/from', (await layoutEntry(source, 'latest-amd64')).digest), undefined);
    assert.is((await client.pullWhole('deleted/from', 'arm64')).size, 5);
    assertSameContents(await client.pullWhole('kept', 'all'), sent);
    let failure = '';
    await inspectRaw(at('deleted/from:amd64')).catch((error: Error) => {
      failure = error.message;
    });
    assert.match(failure, /manifest unknown/);

    await copy(`oci:${source}:latest-amd64`, at('deleted/from:amd64'));
    assert.is((await client.pullWhole('deleted/from', 'amd64')).size, 5, 'and may come back');
  });

  test.run();
}

clientSuite('at the root', '');
clientSuite('below a prefix', '/portal');
