// `kill -9` in the middle of pushes: what was acknowledged is there, whole; what was not is there
// whole or not at all; and pushing it again succeeds.
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeImage } from '../support/images.js';
import { type Contents, digestLike, readLayout } from '../support/oci-layout.js';
import { indexOver, randomImage } from '../support/random-image.js';
import { type PushableImage, RegistryClient, UPLOAD_WAYS } from '../support/registry-client.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { startStandalone } from '../support/standalone.js';
import { tempFolder } from '../support/temp-folder.js';

const ROUNDS = 10;
const PUSHERS = 8;
const REPOSITORIES = ['team/one', 'team/one/nested', 'two'];
/** Tags that all pushers of a repository move at the same time. */
const MOVING_TAGS = ['latest', 'index'];
const LARGEST_LAYER = 400_000;

/** A moment while many things are under way, in milliseconds from the first request. */
function randomMoment(): number {
  return 20 + Math.random() * 700;
}

/** Everything that was tried in one round, and what of it the registry has answered 201. */
class Ledger {
  readonly tried: { readonly repository: string; readonly tag: string; readonly image: PushableImage }[] = [];
  readonly acknowledgedBlobs: { readonly repository: string; readonly digest: string }[] = [];
  /** Manifests by digest, and all that they are made of. */
  readonly acknowledged = new Map<string, { readonly repository: string; readonly contents: Contents }>();

  acknowledge(repository: string, image: PushableImage): void {
    this.acknowledged.set(image.digest, { repository, contents: whole(image) });
  }
}

function whole({ digest, bytes, blobs }: PushableImage): Contents {
  return new Map([[digest, bytes], ...blobs]);
}

/** The error of a request that met a dead server, as against one that was answered badly. */
function isConnectionLost(error: unknown): boolean {
  return error instanceof TypeError;
}

/** Pushes one image after another until the registry is gone. Each shares a layer with all others. */
async function pushUntilKilled(client: RegistryClient, ledger: Ledger, number: number, shared: Buffer): Promise<void> {
  const repository = REPOSITORIES[number % REPOSITORIES.length] ?? '';
  let before: PushableImage | undefined;
  for (let count = 0; ; count++) {
    const size = Math.floor(Math.random() * LARGEST_LAYER);
    const image = randomImage({ layers: [size, shared, 0, 100 + number] });
    const tag = `tag-${number}-${count}-${image.digest.slice(-8)}`;
    ledger.tried.push({ repository, tag, image });
    let way = count + number;
    for (const bytes of image.blobs.values()) {
      const digest = await client.pushBlob(repository, bytes, UPLOAD_WAYS[way++ % UPLOAD_WAYS.length]);
      ledger.acknowledgedBlobs.push({ repository, digest });
    }
    await client.pushManifest(repository, tag, image);
    ledger.acknowledge(repository, image);
    await client.pushManifest(repository, 'latest', image);
    if (before !== undefined) {
      const index = { ...indexOver([before, image]), blobs: new Map([...whole(before), ...whole(image)]) };
      await client.pushManifest(repository, 'index', index);
      ledger.acknowledge(repository, index);
    }
    before = image;
  }
}

/** Runs pushers and kills the registry under them: at a random moment, or at one after something was acknowledged. */
async function killedRound(folder: string, afterAcknowledgement: boolean): Promise<Ledger> {
  const server = await startStandalone({ folder });
  const client = new RegistryClient(server.url);
  const ledger = new Ledger();
  const shared = randomBytes(50_000);
  const pushers = Array.from({ length: PUSHERS }, (_, number) =>
    pushUntilKilled(client, ledger, number, shared).catch((error: unknown) => {
      if (!isConnectionLost(error)) throw error;
    }),
  );
  const moment = async () => {
    // On a busy machine nothing may be acknowledged for longer than any random moment.
    for (let turn = 0; afterAcknowledgement && ledger.acknowledged.size === 0 && turn < 6000; turn++) await delay(10);
    await delay(randomMoment());
  };
  await Promise.race([moment(), Promise.all(pushers)]);
  await server.stop('SIGKILL');
  await Promise.all(pushers);
  return ledger;
}

/** Acknowledged: whole. Not acknowledged: absent or whole, and what is visible can be pulled. */
async function verifyRound(client: RegistryClient, ledger: Ledger): Promise<void> {
  await verifyAcknowledged(client, ledger);
  for (const { repository, digest } of ledger.acknowledgedBlobs) {
    assert.ok((await client.pullBlob(repository, digest)) !== undefined, `${repository}@${digest} was acknowledged`);
  }
  for (const { repository, tag, image } of ledger.tried) {
    for (const digest of image.blobs.keys()) await client.pullBlob(repository, digest);
    for (const reference of [tag, image.digest]) {
      if ((await client.pullManifest(repository, reference)) === undefined) continue;
      assert.equal(await client.pullWhole(repository, reference), whole(image), `${repository}:${reference}`);
    }
  }
}

async function verifyAcknowledged(client: RegistryClient, { acknowledged }: Ledger): Promise<void> {
  for (const [digest, { repository, contents }] of acknowledged) {
    assert.equal(await client.pullWhole(repository, digest), contents, `${repository}@${digest}`);
  }
}

/** What clients are shown, they can have. */
async function verifyListings(client: RegistryClient): Promise<void> {
  for (const repository of await client.catalog()) {
    for (const tag of await client.tags(repository)) {
      assert.ok((await client.pullManifest(repository, tag)) !== undefined, `${repository}:${tag} is listed`);
      if (MOVING_TAGS.includes(tag)) await client.pullWhole(repository, tag);
    }
  }
}

/** No file stands under a digest that is not its own. */
async function verifyStore(folder: string): Promise<void> {
  const blobs = join(folder, 'docker/registry/v2/blobs');
  for (const entry of await readdir(blobs, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const [algorithm = '', , hex = ''] = path.slice(blobs.length + 1).split('/');
    assert.is(digestLike(await readFile(path), `${algorithm}:`), `${algorithm}:${hex}`, path);
  }
}

/** Pushes again what was cut off, as its clients would. */
async function pushAgain(client: RegistryClient, ledger: Ledger): Promise<number> {
  const cutOff = ledger.tried.filter(({ image }) => !ledger.acknowledged.has(image.digest));
  for (const { repository, tag, image } of cutOff) {
    await client.pushImage(repository, tag, image);
    assert.equal(await client.pullWhole(repository, tag), whole(image), `${repository}:${tag} pushed again`);
    ledger.acknowledge(repository, image);
  }
  return cutOff.length;
}

const test = suite('kill -9');

test('what was acknowledged is whole, what was not is whole or absent, and may be pushed again', async () => {
  const folder = tempFolder();
  const ledgers: Ledger[] = [];
  let acknowledged = 0;
  let cutOff = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const ledger = await killedRound(folder, round % 3 === 2);
    ledgers.push(ledger);
    acknowledged += ledger.acknowledged.size;
    await verifyStore(folder);
    const server = await startStandalone({ folder });
    const client = new RegistryClient(server.url);
    await verifyRound(client, ledger);
    await verifyListings(client);
    cutOff += await pushAgain(client, ledger);
    // A kill at rest, too: the next round must find everything of this one.
    await server.stop('SIGKILL');
  }
  const server = await startStandalone({ folder });
  const client = new RegistryClient(server.url);
  for (const ledger of ledgers) await verifyAcknowledged(client, ledger);
  await server.stop();
  await verifyStore(folder);
  assert.ok(acknowledged > 0, 'no kill came after anything was acknowledged');
  assert.ok(cutOff > 0, 'no kill cut anything off');
});

test.run();

const withSkopeo = suiteNeeding('kill -9, skopeo', ['skopeo', 'umoci']);

withSkopeo('a push that was cut off succeeds when it is repeated', async () => {
  const [folder, source] = [tempFolder(), tempFolder()];
  for (let round = 0; round < 4; round++) {
    const tag = `round-${round}`;
    await makeImage(source, { layers: 6, bytesPerLayer: 1 << 20, tag });
    const push = (host: string) =>
      skopeo('copy', '--quiet', '--dest-tls-verify=false', `oci:${source}:${tag}`, `docker://${host}/cut/off:${tag}`);

    const first = await startStandalone({ folder });
    const pushed = push(first.host).then(
      () => true,
      () => false,
    );
    await Promise.race([delay(randomMoment()), pushed]);
    await first.stop('SIGKILL');
    const acknowledged = await pushed;

    await verifyStore(folder);
    const second = await startStandalone({ folder });
    const client = new RegistryClient(second.url);
    for (const digest of (await readLayout(source)).keys()) await client.pullBlob('cut/off', digest);
    if (acknowledged) await client.pullWhole('cut/off', tag);
    await push(second.host);
    assert.is((await client.pullWhole('cut/off', tag)).size, 8, 'a manifest, a config and six layers');
    await second.stop('SIGKILL');
  }
});

withSkopeo.run();
