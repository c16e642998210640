// The suite of the wire with the option `prefix`, on the file system; and that no file stays open.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { content, digestOf, pushBlob } from '../support/content.js';
import { type Mount, type OpenRegistry, startStorage } from '../support/registry.js';
import { skip } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { runSuite, type Suite, wireSuite } from './suite/index.js';
import { beginUpload } from './suite/uploads.js';

const PREFIXED: Mount = {
  name: 'prefix',
  base: '/portal',
  options: { prefix: '/portal' },
  storage: () => filesystem({ rootDirectory: tempFolder(), fsync: false }),
};

const DESCRIPTORS = '/proc/self/fd';

/** The files below a folder that this process has open. */
async function openFiles(folder: string): Promise<string[]> {
  const targets = await Promise.all(
    (await readdir(DESCRIPTORS)).map((name) => readlink(`${DESCRIPTORS}/${name}`).catch(() => '')),
  );
  return targets.filter((target) => target.startsWith(folder));
}

/** Waits until nothing is open: a server notices that a client went away when it gets to it. */
async function allClosed(folder: string): Promise<void> {
  const patience = Date.now() + 10_000;
  for (let open = await openFiles(folder); open.length > 0; open = await openFiles(folder)) {
    if (Date.now() > patience) assert.deepEqual(open, []);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function leaveHalfWay(at: OpenRegistry, method: string, path: string): Promise<void> {
  const { write, abort } = at.begin(method, path, { headers: { 'Content-Length': '100000' } });
  await write(content(50_000));
  await abort();
}

const descriptorsSuite: Suite = (test, open) => {
  const promise = 'whatever a client does, no file stays open';
  if (process.platform !== 'linux') return skip(test, 'descriptors', promise, 'needs /proc');

  test(promise, async () => {
    const folder = tempFolder();
    const at = await open({ driver: await startStorage(filesystem({ rootDirectory: folder })) });
    const digest = await pushBlob(at, 'r', content(3_000_000));
    for (let round = 0; round < 5; round++) {
      await leaveHalfWay(at, 'PATCH', await beginUpload(at, 'r'));
      await leaveHalfWay(at, 'PUT', `${await beginUpload(at, 'r')}&digest=${digest}`);
      await leaveHalfWay(at, 'POST', `/v2/r/blobs/uploads/?digest=${digest}`);
      await leaveHalfWay(at, 'PUT', '/v2/r/manifests/v1');
      const { request, answer } = at.begin('GET', `/v2/r/blobs/${digest}`);
      answer.catch(() => undefined);
      request.end();
      const [incoming] = await once(request, 'response');
      incoming.destroy();
      await at.send('GET', `/v2/r/blobs/${digest}`, { headers: { Range: 'bytes=2000000-' } });
      await at.send('HEAD', `/v2/r/blobs/${digest}`);
      await at.send('POST', `/v2/r/blobs/uploads/?digest=${digestOf('other')}`, { body: content(500_000) });
    }
    await allClosed(folder);
  });
};

runSuite(PREFIXED);
wireSuite('prefix: descriptors', PREFIXED, descriptorsSuite);
