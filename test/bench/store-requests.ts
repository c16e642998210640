// How many requests to its store a registry makes for what a client asks of it, counted by a relay
// between the two.
import { randomBytes } from 'node:crypto';
import { type HttpRelay, startHttpRelay } from '../support/http-relay.js';
import { digestLike } from '../support/oci-layout.js';
import { randomImage } from '../support/random-image.js';
import { BARE, type OpenRegistry, openRegistry } from '../support/registry.js';
import { RegistryClient } from '../support/registry-client.js';
import { type StoreAddress, storageAt } from './stores.js';

/** As large as no blob is whose content the registry keeps in memory. */
const BLOB_BYTES = 1024 * 1024;

const REPOSITORY = 'bench/counted';
const OTHER = 'bench/mounted';
const TAG = 'latest';

/**
 * What is counted, in the order in which it is done. Cold is a registry that has just started, warm
 * the same one asked again.
 */
export const OPERATIONS = [
  'blob push: POST, PATCH, PUT',
  'blob push: POST, PUT',
  'blob push: one POST',
  'manifest push by tag (a config, a layer)',
  'manifest GET by digest, cold',
  'manifest GET by digest, warm',
  'manifest GET by tag, warm',
  'blob HEAD, cold',
  'blob HEAD, warm',
  'blob GET, warm',
  'blob mount',
  'blob DELETE',
  'tag DELETE',
  'manifest DELETE by digest',
] as const;

export type Operation = (typeof OPERATIONS)[number];
export type RequestCounts = Readonly<Record<Operation, number>>;

/** A step for each operation, in a scope that they share. */
type Steps = Readonly<Record<Operation, () => Promise<unknown>>>;

/** Counts on an empty bucket. */
export async function countRequests(address: StoreAddress): Promise<RequestCounts> {
  const relay = await startHttpRelay(address.url);
  const storage = storageAt({ ...address, url: relay.url });
  const hosts: OpenRegistry[] = [];
  const startHost = async () => {
    const host = await openRegistry(BARE, { storage, uploads: { purge: { enabled: false } } });
    hosts.push(host);
    await host.registry.ready();
    return new RegistryClient(host.origin);
  };
  try {
    return await countAll(stepsOf(await startHost(), await startHost()), relay);
  } finally {
    for (const host of hosts) await host.close();
    await relay.close();
  }
}

async function countAll(steps: Steps, relay: HttpRelay): Promise<RequestCounts> {
  const counts: [Operation, number][] = [];
  for (const operation of OPERATIONS) {
    relay.passed.length = 0;
    await steps[operation]();
    counts.push([operation, relay.passed.length]);
  }
  return Object.fromEntries(counts) as RequestCounts;
}

/** `writer` pushes, and `reader` is cold until it is asked. */
function stepsOf(writer: RegistryClient, reader: RegistryClient): Steps {
  const layer = randomBytes(BLOB_BYTES);
  const digest = digestLike(layer);
  const image = randomImage({ layers: [layer] });
  const [config = layer] = image.blobs.values();
  const pull = (reference: string) => () => reader.pullManifest(REPOSITORY, reference);
  const head = () => reader.request(`${REPOSITORY}/blobs/${digest}`, { method: 'HEAD', statuses: [200] });
  const mount = `${OTHER}/blobs/uploads/?mount=${digest}&from=${REPOSITORY}`;
  return {
    'blob push: POST, PATCH, PUT': () => writer.pushBlob(REPOSITORY, layer, 'stream'),
    'blob push: POST, PUT': () => writer.pushBlob(REPOSITORY, config, 'put'),
    'blob push: one POST': () => writer.pushBlob(REPOSITORY, randomBytes(BLOB_BYTES), 'post'),
    'manifest push by tag (a config, a layer)': () => writer.pushManifest(REPOSITORY, TAG, image),
    'manifest GET by digest, cold': pull(image.digest),
    'manifest GET by digest, warm': pull(image.digest),
    'manifest GET by tag, warm': pull(TAG),
    'blob HEAD, cold': head,
    'blob HEAD, warm': head,
    'blob GET, warm': () => reader.pullBlob(REPOSITORY, digest),
    'blob mount': () => writer.request(mount, { method: 'POST', statuses: [201] }),
    'blob DELETE': () => writer.delete(OTHER, 'blobs', digest),
    'tag DELETE': () => writer.request(`${REPOSITORY}/manifests/${TAG}`, { method: 'DELETE', statuses: [202] }),
    'manifest DELETE by digest': () => writer.delete(REPOSITORY, 'manifests', image.digest),
  };
}
