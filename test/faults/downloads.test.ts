// Downloads that break off: by the client, after which nothing stays open, and by the storage, which
// the client must not take for the end.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { StorageDriver } from 'koa-registry';
import { DriverError } from 'koa-registry';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { test } from 'uvu';
import { ERROR, memoryDriver, storageOf, withHost } from '../http/host-service.js';
import { RegistryClient } from '../support/registry-client.js';
import { skip } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';

const DESCRIPTORS = '/proc/self/fd';

/** The files of a folder that this process has open. */
function openFiles(folder: string): string[] {
  const targets = readdirSync(DESCRIPTORS).map((descriptor) => {
    try {
      return readlinkSync(`${DESCRIPTORS}/${descriptor}`);
    } catch {
      // It was closed meanwhile; the listing itself needs one.
      return '';
    }
  });
  return targets.filter((target) => target.startsWith(folder));
}

function begin(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, resolve).on('error', reject);
  });
}

const ABORTED = 'clients that go away in the middle of a download leave no file open';

test(ABORTED, async () => {
  const rootDirectory = tempFolder();
  await withHost({ options: { storage: filesystem({ rootDirectory, fsync: false }) } }, async ({ url, lines }) => {
    const client = new RegistryClient(url);
    const content = Buffer.alloc(16 << 20, 'x');
    const digest = await client.pushBlob('a', content);
    const answers = await Promise.all(Array.from({ length: 20 }, () => begin(`${url}/v2/a/blobs/${digest}`)));
    for (const answer of answers) await new Promise((resolve) => answer.once('readable', resolve));
    assert.equal(openFiles(rootDirectory).length, 20, 'all are under way');
    for (const answer of answers) answer.destroy();
    // There is no telling when the server hears of it; one that never closes them never ends here.
    while (openFiles(rootDirectory).length > 0) await delay(10);
    assert.deepEqual(await client.pullBlob('a', digest), content);
    assert.deepEqual(
      lines.filter(({ level }) => level >= ERROR),
      [],
      'that clients go away is no error',
    );
  });
});
if (!existsSync(DESCRIPTORS)) skip(test, 'downloads', ABORTED, `needs ${DESCRIPTORS}`);

const CONTENT = Buffer.alloc(1 << 20, 'y');

/** Gives `bytes` of what it should, and then fails. */
function failingAfter(driver: StorageDriver, bytes: number): StorageDriver {
  return {
    ...driver,
    open: async (key) => {
      async function* part() {
        if (bytes > 0) yield CONTENT.subarray(0, bytes);
        throw new DriverError('unavailable', key);
      }
      return Readable.from(part(), { objectMode: false });
    },
  };
}

for (const bytes of [0, 1, 300 * 1024, CONTENT.length]) {
  test(`a storage that fails after ${bytes} bytes breaks the connection off, and the host goes on`, async () => {
    const driver = await memoryDriver();
    await withHost({ options: { storage: storageOf(() => failingAfter(driver, bytes)) } }, async ({ url }) => {
      const client = new RegistryClient(url);
      const digest = await client.pushBlob('a', CONTENT);
      const pulling = async () => {
        const answer = await fetch(`${url}/v2/a/blobs/${digest}`);
        const received = Buffer.from(await answer.arrayBuffer());
        // A whole one is right: what it waits for after its last byte is not the client's concern.
        assert.ok(answer.status === 503 || received.equals(CONTENT), `${answer.status}, ${received.length} bytes`);
        if (bytes < CONTENT.length) throw new Error('an error answer');
      };
      if (bytes < CONTENT.length) await assert.rejects(pulling());
      else await pulling().catch(() => undefined);
      assert.equal((await fetch(`${url}/v2/`)).status, 200);
    });
  });
}

test('a storage that fails before it opens is a 503', async () => {
  const driver = await memoryDriver();
  const open = async (key: string) => {
    throw new DriverError('unavailable', key);
  };
  await withHost({ options: { storage: storageOf(() => ({ ...driver, open })) } }, async ({ url, errors }) => {
    const digest = await new RegistryClient(url).pushBlob('a', CONTENT);
    const answer = await fetch(`${url}/v2/a/blobs/${digest}`);
    assert.equal(answer.status, 503);
    assert.notEqual(answer.headers.get('Retry-After'), null);
    assert.equal(answer.headers.get('Cache-Control'), null, 'an error is not to be kept for a year');
    assert.equal(JSON.parse(await answer.text()).errors[0].code, 'UNAVAILABLE');
    assert.deepEqual(errors, []);
  });
});

test.run();
