// The programs of the client tests among themselves: images that umoci makes go by skopeo through
// CNCF distribution's registry and come back the same. What fails here is not our registry.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { makeImage, makeIndex } from '../support/images.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

interface Document {
  readonly layers: readonly { readonly digest: string; readonly size: number }[];
  readonly manifests: readonly { readonly digest: string }[];
}

async function readBlob(layout: string, digest: string): Promise<Document> {
  return JSON.parse(await readFile(join(layout, 'blobs', ...digest.split(':')), 'utf8'));
}

let registry: DockerRegistry;
const test = suiteNeeding('support: images', ['skopeo', 'umoci', 'docker-registry']);

test.before(async () => {
  registry = await startDockerRegistry();
});
test.after(() => registry?.stop());

test('an image goes to the registry and comes back', async () => {
  const [made, back] = [tempFolder(), tempFolder()];
  const { digest } = await makeImage(made, { layers: 4, bytesPerLayer: 10_000, arch: 'arm64', tag: 'one' });
  const { layers } = await readBlob(made, digest);
  assert.is(new Set(layers.map((layer) => layer.digest)).size, 4);
  assert.ok(layers.every(({ size }) => size > 10_000 && size < 20_000));

  const remote = `docker://${registry.host}/support/image:one`;
  await skopeo('copy', '--dest-tls-verify=false', `oci:${made}:one`, remote);
  const { Digest, Architecture } = JSON.parse(
    await skopeo('inspect', '--tls-verify=false', '--override-arch=arm64', remote),
  );
  assert.is(Digest, digest);
  assert.is(Architecture, 'arm64');

  await skopeo('copy', '--src-tls-verify=false', remote, `oci:${back}:one`);
  assert.equal(await readBlob(back, digest), await readBlob(made, digest));
  assert.ok(
    existsSync(
      join(registry.folder, 'docker/registry/v2/blobs', ...digest.replace(':', `/${digest.slice(7, 9)}/`).split('/')),
    ),
  );
});

test('an index goes to the registry and comes back with its images', async () => {
  const [made, back] = [tempFolder(), tempFolder()];
  await makeIndex(made, { layers: 1, tag: 'first' });
  const { digest } = await makeIndex(made, { layers: 2, tag: 'second' });
  const remote = `docker://${registry.host}/support/index:second`;
  await skopeo('copy', '--all', '--dest-tls-verify=false', `oci:${made}:second`, remote);
  await skopeo('copy', '--all', '--src-tls-verify=false', remote, `oci:${back}:second`);
  const { manifests } = await readBlob(back, digest);
  assert.is(manifests.length, 2);
  for (const image of manifests) assert.is((await readBlob(back, image.digest)).layers.length, 2);
  // The first is still whole: making a second did not sweep it away.
  await skopeo('copy', '--all', '--dest-tls-verify=false', `oci:${made}:first`, remote.replace('second', 'first'));
});

test('skopeo says what is wrong', async () => {
  const missing = skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/support/image:none`);
  await missing.then(
    () => assert.unreachable('there is no such image'),
    (error: Error) => assert.match(error.message, 'manifest unknown'),
  );
});

test('settings of the registry are its own', async () => {
  const readOnly = { maintenance: { readonly: { enabled: true } }, filesystem: { rootdirectory: registry.folder } };
  const second = await startDockerRegistry({ folder: registry.folder, settings: { storage: readOnly } });
  try {
    assert.is.not(second.host, registry.host);
    const refused = await fetch(`${second.url}/v2/support/image/blobs/uploads/`, { method: 'POST' });
    assert.is(refused.status, 405);
  } finally {
    await second.stop();
  }
});

test.run();
