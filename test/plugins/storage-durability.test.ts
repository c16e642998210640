// `storage/filesystem` and a crash of the host: what was acknowledged is there afterwards, and nothing
// is there in part. No test can pull the plug, so a model of the disk tells what would be left.
import { strict as assert } from 'node:assert';
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type StorageDriver, startPlugin } from 'koa-registry';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { suite } from 'uvu';
import { tempFolder } from '../support/temp-folder.js';
import { CrashModel } from './crash-model.js';

const test = suite('storage/filesystem: durability');

interface Host {
  readonly driver: StorageDriver;
  readonly disk: CrashModel;
  readonly root: string;
}

async function withHost(use: (host: Host) => Promise<void>, { fsync = true } = {}): Promise<void> {
  const root = tempFolder();
  const { instance: driver, close } = await startPlugin(filesystem({ rootDirectory: root, fsync }));
  const disk = new CrashModel(root);
  try {
    await use({ driver, disk, root });
  } finally {
    disk.release();
    await close();
  }
}

async function* source(text: string) {
  yield Buffer.from(text);
}

async function sync(path: string): Promise<void> {
  const file = await open(path);
  await file.sync();
  await file.close();
}

/** In the root, in a folder that is new, in one that is there, and below several new ones. */
const KEYS = ['x', 'a/x', 'a/y', 'a/b/c/d/x', 'a/b/e/f/x'];

test('the model itself: what was not synced does not survive, and a file moved before its content is exposed', async () => {
  await withHost(async ({ disk, root }) => {
    await mkdir(join(root, 'a'));
    await writeFile(join(root, 'a/new'), 'text');
    await rename(join(root, 'a/new'), join(root, 'a/x'));
    assert.deepEqual(disk.exposed, ['a/x']);
    for (const path of ['a/x', 'a']) {
      await sync(join(root, path));
      assert.equal(disk.survivor('a/x'), undefined);
    }
    await sync(root);
    assert.equal(disk.survivor('a/x'), 'text');
    await writeFile(join(root, 'a/x'), 'other');
    await rename(join(root, 'a/x'), join(root, 'a/y'));
    assert.equal(disk.survivor('a/x'), 'text');
    assert.deepEqual(disk.exposed, ['a/x', 'a/y']);
    assert.equal(disk.syncs, 3);
  });
});

test('put: content, name and new folders are durable when it resolves', async () => {
  await withHost(async ({ driver, disk }) => {
    for (const text of ['first', 'second']) {
      for (const key of KEYS) {
        await driver.put(key, Buffer.from(`${text} ${key}`));
        assert.equal(disk.survivor(key), `${text} ${key}`);
      }
    }
    for (const key of KEYS) assert.equal(disk.survivor(key), `second ${key}`);
  });
});

test('put: a file gets its name only when its content is durable', async () => {
  await withHost(async ({ driver, disk }) => {
    for (const text of ['first', 'second']) {
      for (const key of KEYS) await driver.put(key, Buffer.from(`${text} ${key}`));
    }
    assert.deepEqual(disk.exposed, []);
  });
});

test('commit: content, name and new folders are durable when it resolves, and nothing comes back', async () => {
  await withHost(async ({ driver, disk }) => {
    for (const [index, key] of KEYS.entries()) {
      const upload = `uploads/${index}`;
      await driver.append(`${upload}/data`, 0, source('first half, '));
      await driver.append(`${upload}/data`, 12, source(`second half of ${key}`));
      // This makes the name of the upload durable as well.
      await driver.put(`${upload}/startedat`, Buffer.from('now'));
      await driver.commit(`${upload}/data`, key);
      assert.equal(disk.survivor(key), `first half, second half of ${key}`);
      assert.equal(disk.survivor(`${upload}/data`), undefined);
      assert.equal(disk.survivor(`${upload}/startedat`), 'now');
    }
    assert.deepEqual(disk.exposed, []);
  });
});

test('commit: repeated after a crash of the process, it makes durable what the first one moved', async () => {
  await withHost(async ({ driver, disk, root }) => {
    await driver.append('uploads/data', 0, source('text'));
    await driver.put('blobs/other', Buffer.from('other'));
    await sync(join(root, 'uploads/data'));
    await rename(join(root, 'uploads/data'), join(root, 'blobs/data'));
    assert.equal(disk.survivor('blobs/data'), undefined);
    await driver.commit('uploads/data', 'blobs/data');
    assert.equal(disk.survivor('blobs/data'), 'text');
  });
});

test('remove: what is gone does not come back, be it an object, the last of its folder, or a prefix', async () => {
  await withHost(async ({ driver, disk }) => {
    for (const key of KEYS) await driver.put(key, Buffer.from(key));
    for (const [removed, key] of [
      ['a/x', 'a/x'],
      ['a/b/c/d/x', 'a/b/c/d/x'],
      ['a/b', 'a/b/e/f/x'],
    ] as const) {
      assert.equal(disk.survivor(key), key);
      await driver.remove(removed);
      assert.equal(disk.survivor(key), undefined);
    }
    assert.equal(disk.survivor('a/y'), 'a/y');
  });
});

test('fsync: false: nothing waits for the disk', async () => {
  await withHost(
    async ({ driver, disk }) => {
      for (const key of KEYS) await driver.put(key, Buffer.from(key));
      await driver.append('uploads/data', 0, source('text'));
      await driver.commit('uploads/data', 'blobs/data');
      await driver.commit('uploads/data', 'blobs/data');
      await driver.remove('blobs/data');
      await driver.remove('a');
      assert.equal(disk.syncs, 0);
    },
    { fsync: false },
  );
});

test.run();
