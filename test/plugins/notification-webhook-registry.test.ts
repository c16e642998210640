// `notification/webhook` behind a registry below a path: what a listener hears of an image that a client pushes,
// pulls, mounts and deletes.
import assert from 'node:assert/strict';
import type { RegistryEvent } from 'koa-registry';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { suite } from 'uvu';
import { randomImage } from '../support/random-image.js';
import { until } from '../support/redis.js';
import { type Mount, openRegistry } from '../support/registry.js';
import { RegistryClient } from '../support/registry-client.js';
import { Listener, stopListeners } from './notification-webhook-listener.js';

const test = suite('notification/webhook behind a registry');
test.after.each(stopListeners);

const PORTAL: Mount = { name: 'portal', base: '/portal', options: { prefix: '/portal' } };
const OCTET_STREAM = 'application/octet-stream';

test('a push, a pull, a mount and a delete', async () => {
  const listener = await Listener.start();
  const at = await openRegistry(PORTAL, { notifications: { sinks: [webhook({ url: listener.url, timeout: '1m' })] } });
  try {
    const client = new RegistryClient(`${at.origin}${at.base}`);
    const image = randomImage({ layers: [1000, 2000] });
    const { digest, mediaType } = image;
    const blobs = [...image.blobs.keys()];
    const [first = ''] = blobs;
    await client.pushImage('team/app', '1.0', image);
    await client.pullWhole('team/app', '1.0');
    const mount = `team/copy/blobs/uploads/?mount=${first}&from=team/app`;
    await client.request(mount, { method: 'POST', statuses: [201] });
    await client.delete('team/app', 'manifests', digest);
    const expected = [
      ...blobs.map((blob) => ({ action: 'push', mediaType: OCTET_STREAM, digest: blob })),
      { action: 'push', mediaType, digest, tag: '1.0' },
      { action: 'pull', mediaType, digest, tag: '1.0' },
      ...blobs.map((blob) => ({ action: 'pull', mediaType: OCTET_STREAM, digest: blob })),
      { action: 'mount', mediaType: OCTET_STREAM, digest: first, fromRepository: 'team/app' },
      { action: 'delete', digest },
      { action: 'delete', tag: '1.0' },
    ];
    await until(() => listener.accepted.length >= expected.length);
    assert.deepEqual(listener.accepted.map(essence), expected);
    assert.equal(listener.connections, 1);
    await haveUrls(listener.accepted, `${at.origin}/portal/v2/`);
  } finally {
    await at.close();
  }
});

/** What of an event is known beforehand. */
function essence({ action, target: { mediaType, digest, tag, fromRepository } }: RegistryEvent) {
  const known = { action, mediaType, digest, tag, fromRepository };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

/** That the URLs, which all but deletes have, lead below the root; those of blobs, to the blob. */
async function haveUrls(events: readonly RegistryEvent[], root: string): Promise<void> {
  for (const { target } of events.filter(({ action }) => action !== 'delete')) {
    const url = target.url ?? assert.fail('no URL');
    assert.ok(url.startsWith(root), url);
    if (target.mediaType !== OCTET_STREAM) continue;
    const response = await fetch(url);
    assert.equal((await response.arrayBuffer()).byteLength, target.size);
  }
}

test.run();
