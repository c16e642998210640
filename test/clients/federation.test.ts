// Two sites: a vendor's registry has the layers, ours has the images made of them. skopeo pulls an image from ours
// whose base layer comes from the vendor, and pushes a manifest again without losing where its layers are.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Koa from 'koa';
import { type Registry, type RegistryOptions, registry } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pino } from 'pino';
import * as assert from 'uvu/assert';
import { type KoaService, listen } from '../support/koa-service.js';
import { type Contents, digestLike } from '../support/oci-layout.js';
import { randomImage } from '../support/random-image.js';
import { type PushableImage, RegistryClient } from '../support/registry-client.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

const test = suiteNeeding('federation', ['skopeo']);

interface Site {
  readonly service: KoaService;
  readonly images: Registry;
  readonly client: RegistryClient;
}

const sites: Site[] = [];

async function open(options: Partial<RegistryOptions> = {}): Promise<Site> {
  const service = await listen();
  const images = registry({ storage: memory(), logger: pino({ level: 'silent' }), ...options });
  const app = new Koa();
  app.use(images);
  service.serve(app);
  const site = { service, images, client: new RegistryClient(service.url) };
  sites.push(site);
  return site;
}

test.after(async () => {
  for (const { service, images } of sites) {
    await service.close();
    await images.close();
  }
});

/** The layers of an image, apart from its config. */
function layersOf({ bytes }: PushableImage): readonly string[] {
  const { layers } = JSON.parse(bytes.toString('utf8')) as { layers: { digest: string }[] };
  return layers.map(({ digest }) => digest);
}

/** Every blob of an image, by digest, as skopeo has pulled it. `dir:` keeps layers as they came. */
async function pull(site: Site, image: string): Promise<Contents> {
  const folder = join(tempFolder(), 'image');
  await skopeo('copy', '--quiet', '--src-tls-verify=false', `docker://${site.service.host}/${image}`, `dir:${folder}`);
  const contents = new Map<string, Buffer>();
  for (const name of await readdir(folder)) {
    const bytes = await readFile(join(folder, name));
    contents.set(digestLike(bytes), bytes);
  }
  return contents;
}

test('layers of a federated repository come from the other site, whole and the same', async () => {
  const vendor = await open();
  const ours = await open({
    federation: [{ repositories: ['vendor/**'], url: `${vendor.service.url}/v2/{repository}/blobs/{digest}` }],
  });
  const image = randomImage({ layers: [200_000, 300_000] });
  await vendor.client.pushImage('vendor/base', 'latest', image);
  const { config } = JSON.parse(image.bytes.toString('utf8')) as { config: { digest: string } };
  await ours.client.pushBlob('vendor/base', image.blobs.get(config.digest) ?? Buffer.alloc(0));
  await ours.client.pushManifest('vendor/base', 'latest', image);
  const { journal } = vendor.service;
  journal.length = 0;

  const contents = await pull(ours, 'vendor/base:latest');
  for (const [digest, bytes] of image.blobs) assert.ok(contents.get(digest)?.equals(bytes), digest);
  for (const digest of layersOf(image)) assert.ok(journal.includes(`GET /v2/vendor/base/blobs/${digest} 200`), digest);
  assert.ok(!journal.some((line) => line.includes('/manifests/')));
});

test('a layer at a URL of the manifest is had from there, and the manifest keeps its URLs when it is pushed again', async () => {
  const origin = await open();
  const image = randomImage({ layers: [100_000] });
  await origin.client.pushImage('layers', 'x', image);
  const [layer = ''] = layersOf(image);
  const place = `${origin.service.url}/v2/layers/blobs/${layer}`;
  const document = JSON.parse(image.bytes.toString('utf8')) as { layers: object[]; config: { digest: string } };
  const layers = document.layers.map((one) => ({ ...one, urls: [place] }));
  const bytes = Buffer.from(JSON.stringify({ ...document, layers }));

  const allow = [`^${origin.service.url}/v2/layers/`];
  const ours = await open({ validation: { manifests: { urls: { allow, internalHosts: ['127.0.0.1'] } } } });
  const { config } = document;
  await ours.client.pushBlob('app', image.blobs.get(config.digest) ?? Buffer.alloc(0));
  await ours.client.pushManifest('app', 'latest', { mediaType: image.mediaType, bytes });

  const contents = await pull(ours, 'app:latest');
  assert.ok(contents.get(layer)?.equals(image.blobs.get(layer) ?? Buffer.alloc(0)));
  assert.ok((await ours.client.pullBlob('app', layer))?.equals(image.blobs.get(layer) ?? Buffer.alloc(0)));

  // Pulled and pushed again as a client does it that never looks into a layer.
  const pulled = await ours.client.pullManifest('app', 'latest');
  await ours.client.pushManifest('app', 'again', { mediaType: image.mediaType, bytes: pulled ?? Buffer.alloc(0) });
  assert.equal((await ours.client.pullManifest('app', 'again'))?.toString(), bytes.toString());
  // skopeo from one repository to another of the same registry, with all that it thinks a manifest needs.
  const at = (name: string) => `docker://${ours.service.host}/${name}`;
  await skopeo(
    'copy',
    '--quiet',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    at('app:latest'),
    at('copy:latest'),
  );
  assert.equal((await ours.client.pullManifest('copy', 'latest'))?.toString(), bytes.toString());
});

test.run();
