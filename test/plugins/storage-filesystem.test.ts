// `storage/filesystem`: the contract with and without fsync, and what only a file system can get wrong.
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type DriverErrorReason, isDriverError, type StorageDriver, startPlugin } from 'koa-registry';
import { storageDriverSuite } from 'koa-registry/conformance';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { suite } from 'uvu';
import { tempFolder } from '../support/temp-folder.js';

const STAGING = '.koa-registry~';

for (const fsync of [true, false]) {
  const conformance = suite(`storage/filesystem: conformance, fsync ${fsync}`);
  const rootDirectory = tempFolder();
  const large = (key: string, size: number) => truncate(join(rootDirectory, key), size);
  storageDriverSuite(conformance, () => filesystem({ rootDirectory, fsync }), {}, { large });
  conformance.after(() => assert.deepEqual(readdirSync(rootDirectory), [STAGING], 'something is left behind'));
  conformance.after(() => assert.deepEqual(readdirSync(join(rootDirectory, STAGING)), [], 'something is left behind'));
  conformance.run();
}

const test = suite('storage/filesystem');

async function withStore(
  use: (driver: StorageDriver, root: string) => Promise<void>,
  root = join(tempFolder(), 'registry'),
): Promise<void> {
  const { instance, close } = await startPlugin(filesystem({ rootDirectory: root, fsync: false }));
  try {
    await use(instance, root);
  } finally {
    await close();
  }
}

async function fails(reason: DriverErrorReason, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => isDriverError(error, reason), reason);
}

async function namesOf(driver: StorageDriver, key: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of driver.list(key)) names.push(name);
  return names;
}

async function* inChunks(...chunks: Uint8Array[]) {
  yield* chunks;
}

test('a key is a file of the same path, as distribution has it', async () => {
  await withStore(async (driver, root) => {
    const key = 'docker/registry/v2/repositories/library/alpine/_manifests/tags/3.20/current/link';
    await driver.put(key, Buffer.from('sha256:abc'));
    assert.equal(await readFile(join(root, key), 'utf8'), 'sha256:abc');
    await driver.append('docker/registry/v2/blobs/data', 0, inChunks(Buffer.from('blob')));
    assert.equal(await readFile(join(root, 'docker/registry/v2/blobs/data'), 'utf8'), 'blob');
    await writeFile(join(root, 'docker/by-hand'), 'x');
    assert.equal((await driver.get('docker/by-hand')).toString(), 'x');
  });
});

test('the staging folder and names that are no keys are not listed, an empty folder is not there', async () => {
  await withStore(async (driver, root) => {
    await fails('not-found', namesOf(driver, ''));
    await mkdir(join(root, 'a/empty/emptier'), { recursive: true });
    await fails('not-found', driver.stat('a'));
    await fails('not-found', driver.remove('a/empty'));
    await mkdir(join(root, 'b/lost+found'), { recursive: true });
    await writeFile(join(root, 'b/lost+found/x'), '');
    await fails('not-found', driver.stat('b'));
    await fails('not-found', namesOf(driver, 'b'));
    await driver.put('b/x', Buffer.from('x'));
    assert.deepEqual(await namesOf(driver, 'b'), ['x']);
  });
});

test('links to folders and files are followed, those that lead nowhere are not there', async () => {
  await withStore(async (driver, root) => {
    await driver.put('a/x', Buffer.from('x'));
    await symlink('a', join(root, 'folder'));
    await symlink('a/x', join(root, 'file'));
    await symlink('nowhere', join(root, 'broken'));
    const entries: string[] = [];
    for await (const { name, kind } of driver.list('')) entries.push(`${name} ${kind}`);
    assert.deepEqual(entries, ['a prefix', 'file object', 'folder prefix']);
    assert.equal((await driver.get('folder/x')).toString(), 'x');
    await fails('not-found', driver.stat('broken'));
  });
});

test('an outage is unavailable, never not-found: the root is gone, or another one', async () => {
  await withStore(async (driver, root) => {
    await driver.put('a/x', Buffer.from('x'));
    for (const replace of [() => Promise.resolve(), () => mkdir(root)]) {
      await rename(root, `${root}-away`);
      await replace();
      await fails('unavailable', driver.get('a/x'));
      await fails('unavailable', driver.stat('a/x'));
      await fails('unavailable', driver.open('a/x'));
      await fails('unavailable', namesOf(driver, 'a'));
      await fails('unavailable', driver.remove('a/x'));
      await fails('unavailable', driver.commit('a/x', 'b/x'));
      await fails('unavailable', driver.put('c/x', Buffer.from('x')));
      await fails('unavailable', driver.append('u/data', 0, inChunks(Buffer.from('x'))));
      await fails('unavailable', driver.check?.() ?? Promise.resolve());
      await rm(root, { recursive: true, force: true });
      await rename(`${root}-away`, root);
    }
    assert.equal((await driver.get('a/x')).toString(), 'x');
    await driver.check?.();
  });
});

test('an outage is unavailable, never not-found: a path that cannot be resolved', async () => {
  await withStore(async (driver, root) => {
    await symlink('loop', join(root, 'loop'));
    for (const key of ['loop', 'loop/x']) {
      await fails('unavailable', driver.get(key));
      await fails('unavailable', driver.stat(key));
      await fails('unavailable', driver.open(key));
      await fails('unavailable', namesOf(driver, key));
    }
    await fails('unavailable', driver.remove('loop/x'));
    await fails('unavailable', driver.put('loop/x', Buffer.from('x')));
  });
});

test('an object where a write needs a prefix, or the other way round, is unavailable and stays', async () => {
  await withStore(async (driver) => {
    await driver.put('a', Buffer.from('x'));
    await driver.put('b/c', Buffer.from('x'));
    await fails('unavailable', driver.put('a/x', Buffer.from('y')));
    await fails('unavailable', driver.append('a/x/y', 0, inChunks(Buffer.from('y'))));
    await fails('unavailable', driver.put('b', Buffer.from('y')));
    await fails('unavailable', driver.append('b', 0, inChunks(Buffer.from('y'))));
    assert.equal((await driver.get('a')).toString(), 'x');
    assert.equal((await driver.get('b/c')).toString(), 'x');
  });
});

test('a full disk is quota', async () => {
  // Every write to this device fails with ENOSPC.
  if (!existsSync('/dev/full')) return;
  await withStore(async (driver, root) => {
    await mkdir(join(root, 'u'));
    await symlink('/dev/full', join(root, 'u/data'));
    await fails('quota', driver.append('u/data', 0, inChunks(Buffer.alloc(2_000_000))));
  });
});

test('a root that is a file fails the start', async () => {
  const root = join(tempFolder(), 'file');
  await writeFile(root, '');
  await assert.rejects(startPlugin(filesystem({ rootDirectory: root })), /ENOTDIR|EEXIST/);
});

test('leftovers of a crash go after a day, and what may be in use stays', async () => {
  const root = tempFolder();
  const staging = join(root, STAGING);
  await mkdir(join(staging, 'old-tree/sub'), { recursive: true });
  await writeFile(join(staging, 'old-file'), 'x');
  await writeFile(join(staging, 'new-file'), 'x');
  const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 60 * 60;
  for (const name of ['old-tree', 'old-file']) await utimes(join(staging, name), twoDaysAgo, twoDaysAgo);
  const { close } = await startPlugin(filesystem({ rootDirectory: root }));
  await close();
  assert.deepEqual(await readdir(staging), ['new-file']);
});

test('two drivers on one root see what the other wrote', async () => {
  await withStore(async (first, root) => {
    await withStore(async (second) => {
      assert.equal(await first.append('u/data', 0, inChunks(Buffer.from('abc'))), 3);
      await fails('offset-conflict', second.append('u/data', 0, inChunks(Buffer.from('x'))));
      assert.equal(await second.append('u/data', 3, inChunks(Buffer.from('def'))), 6);
      await first.commit('u/data', 'b/data');
      await fails('offset-conflict', second.append('u/data', 6, inChunks(Buffer.from('x'))));
      assert.equal((await second.get('b/data')).toString(), 'abcdef');
    }, root);
  });
});

test('an upload that is being written is not published, and one that is removed meanwhile does not succeed', async () => {
  await withStore(async (driver) => {
    const events = new EventEmitter();
    async function* source() {
      yield Buffer.from('abc');
      const proceed = once(events, 'proceed');
      events.emit('writing');
      await proceed;
      yield Buffer.from('def');
    }
    const writing = once(events, 'writing');
    const append = driver.append('u/data', 0, source());
    await writing;
    await fails('offset-conflict', driver.commit('u/data', 'b/data'));
    await driver.remove('u/data');
    events.emit('proceed');
    await fails('not-found', append);
    await fails('not-found', driver.stat('u/data'));
  });
});

test('a large folder is read again only when it changed', async () => {
  await withStore(async (driver, root) => {
    const names = Array.from({ length: 200 }, (_, index) => `t${index + 100}`);
    for (const name of names) await driver.put(`tags/${name}/link`, Buffer.from(name));
    const settled = Math.floor(Date.now() / 1000) - 60;
    await utimes(join(root, 'tags'), settled, settled);
    assert.deepEqual(await namesOf(driver, 'tags'), names);
    await mkdir(join(root, 'tags/t300'));
    await utimes(join(root, 'tags'), settled, settled);
    assert.deepEqual(await namesOf(driver, 'tags'), names, 'the listing was not kept');
    await driver.remove('tags/t100');
    assert.deepEqual(await namesOf(driver, 'tags'), [...names.slice(1), 't300']);
    await utimes(join(root, 'tags'), settled + 1, settled + 1);
    assert.deepEqual(await namesOf(driver, 'tags'), [...names.slice(1), 't300']);
  });
});

test('a large folder that changed a moment ago is read again: the next change may share its time', async () => {
  await withStore(async (driver, root) => {
    const names = Array.from({ length: 200 }, (_, index) => `t${index + 100}`);
    for (const name of names) await driver.put(`tags/${name}/link`, Buffer.from(name));
    const clock = Date.now;
    const now = Math.floor(clock() / 1000);
    // No clock may go on between the change and the reading, however slow the machine.
    Date.now = () => now * 1000;
    try {
      for (const [index, age] of [0, 1, 2].entries()) {
        await utimes(join(root, 'tags'), now - age, now - age);
        assert.deepEqual(await namesOf(driver, 'tags'), names);
        const name = `t${index + 300}`;
        await mkdir(join(root, 'tags', name));
        await utimes(join(root, 'tags'), now - age, now - age);
        names.push(name);
        assert.deepEqual(await namesOf(driver, 'tags'), names, `after ${age} s`);
      }
    } finally {
      Date.now = clock;
    }
  });
});

test('offsets past 2^32 are exact', async () => {
  await withStore(async (driver, root) => {
    const size = 5 * 2 ** 30 + 3;
    await driver.put('u/data', Buffer.alloc(0));
    const file = await open(join(root, 'u/data'), 'r+');
    await file.truncate(size);
    await file.write(Buffer.from('needle'), 0, 6, 2 ** 32 + 7);
    await file.close();
    assert.equal(await driver.append('u/data', size, inChunks(Buffer.from('tail'))), size + 4);
    await driver.commit('u/data', 'b/data');
    assert.equal((await driver.stat('b/data')).size, size + 4);
    const read = async (start: number, end?: number) => {
      const chunks: Buffer[] = [];
      for await (const chunk of await driver.open('b/data', { start, end })) chunks.push(chunk);
      return Buffer.concat(chunks);
    };
    assert.equal((await read(2 ** 32 + 7, 2 ** 32 + 12)).toString(), 'needle');
    assert.equal((await read(size)).toString(), 'tail');
    const long = await read(2 ** 32, 2 ** 32 + 1_000_000);
    assert.equal(long.length, 1_000_001);
    assert.equal(long.subarray(7, 13).toString(), 'needle');
  });
});

/** Serves a blob of 8 MiB over loopback, and answers what the client got. */
async function serve(
  send: (stream: Readable, answer: ServerResponse) => unknown,
  receive: (answer: IncomingMessage) => Promise<Buffer>,
): Promise<boolean> {
  const blob = randomBytes(8 * 1024 * 1024 + 5);
  let same = false;
  await withStore(async (driver) => {
    await driver.put('blob', blob);
    const server = createServer(async (_request, answer) => send(await driver.open('blob'), answer));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const [answer] = (await once(get({ port, host: '127.0.0.1', agent: false }), 'response')) as [IncomingMessage];
      same = blob.equals(await receive(answer));
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
  return same;
}

async function quickly(answer: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Leaves the server waiting again and again. */
async function haltingly(answer: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) {
    chunks.push(chunk);
    if (chunks.length % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return Buffer.concat(chunks);
}

test('what an answer sends is right though buffers are used again, for quick and for slow clients', async () => {
  for (const receive of [quickly, haltingly]) {
    assert.ok(await serve((stream, answer) => stream.pipe(answer), receive));
    assert.ok(await serve((stream, answer) => pipeline(stream, answer), receive));
    assert.ok(await serve((stream, answer) => pipeline(stream, new PassThrough(), answer), receive));
  }
});

test('buffers go from one answer to the next, and never into two at once', async () => {
  const blobs = Array.from({ length: 6 }, (_, index) => randomBytes(700_000 * (index + 1) + index));
  await withStore(async (driver) => {
    for (const [index, blob] of blobs.entries()) await driver.put(`blob-${index}`, blob);
    const held: { readonly index: number; readonly chunks: Buffer[] }[] = [];
    const server = createServer(async ({ url = '' }, answer) => {
      const index = Number(url.slice(1, 2));
      const stream = await driver.open(`blob-${index}`);
      pipeline(stream, answer).catch(() => undefined);
      if (!url.endsWith('held')) return;
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.once('end', () => held.push({ index, chunks }));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const ask = async (index: number, path: string, receive: (answer: IncomingMessage) => Promise<unknown>) => {
      const asked = get({ port, host: '127.0.0.1', agent: false, path: `/${index}${path}` });
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      return receive(answer);
    };
    const leave = async (answer: IncomingMessage) => {
      await once(answer, 'readable');
      answer.destroy();
    };
    try {
      for (let round = 0; round < 5; round++) {
        await Promise.all(
          blobs.flatMap((blob, index) => [
            ask(index, '', quickly).then((bytes) => assert.ok(blob.equals(bytes as Buffer))),
            ask(index, '', haltingly).then((bytes) => assert.ok(blob.equals(bytes as Buffer))),
            ask(index, 'held', quickly).then((bytes) => assert.ok(blob.equals(bytes as Buffer))),
            ask(index, '', leave),
          ]),
        );
      }
      assert.equal(held.length, 30);
      for (const { index, chunks } of held) assert.ok(Buffer.concat(chunks).equals(blobs[index] as Buffer));
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

test('an answer that somebody wraps, to compress it for one, gets chunks that it may hold', async () => {
  const held: Buffer[] = [];
  const wrap = (stream: Readable, answer: ServerResponse) => {
    answer.write = (chunk: Buffer) => held.push(chunk) > 0;
    const end = answer.end.bind(answer);
    answer.end = () => end(Buffer.concat(held));
    stream.pipe(answer);
  };
  assert.ok(await serve(wrap, quickly));
});

test('whoever listens beside an answer gets chunks that it may hold', async () => {
  const held: Buffer[] = [];
  const listen = (stream: Readable, answer: ServerResponse) => {
    stream.pipe(answer);
    stream.on('data', (chunk: Buffer) => held.push(chunk));
  };
  const compare = async (answer: Readable) => {
    const received = await haltingly(answer);
    assert.ok(Buffer.concat(held).equals(received), 'what was held has changed');
    return received;
  };
  assert.ok(await serve(listen, compare));
});

test('no call leaks a file descriptor', async () => {
  if (!existsSync('/proc/self/fd')) return;
  await withStore(async (driver) => {
    const count = () => readdirSync('/proc/self/fd').length;
    const round = async () => {
      await driver.put('a/small', Buffer.alloc(100));
      await driver.put('a/large', Buffer.alloc(2_000_000));
      await driver.get('a/small');
      await driver.get('a/large');
      await assert.rejects(driver.get('a'));
      await assert.rejects(driver.open('a'));
      await assert.rejects(driver.open('a/large', { start: 2_000_000 }));
      for (const key of ['a/small', 'a/large']) {
        const stream = await driver.open(key);
        const closed = once(stream, 'close');
        if (key === 'a/large') await once(stream, 'readable');
        stream.destroy();
        await closed;
      }
      await assert.rejects(driver.append('u', 1, inChunks()));
      await driver.append('u', 0, inChunks(Buffer.alloc(10)));
      await assert.rejects(driver.append('u', 0, inChunks()));
      await driver.commit('u', 'b');
      await namesOf(driver, 'a');
      await driver.stat('a');
      await driver.remove('b');
      await driver.remove('a');
    };
    await round();
    const before = count();
    for (let index = 0; index < 5; index++) await round();
    assert.equal(count(), before);
  });
});

const WRITER = `
  import { startPlugin } from 'koa-registry';
  import { filesystem } from 'koa-registry/plugins/storage/filesystem';
  const { instance } = await startPlugin(filesystem({ rootDirectory: process.argv[1] }));
  const write = async (lane) => {
    for (let tag = 0; ; tag++) {
      const key = 'tags/' + lane + '-' + tag;
      await instance.put(key + '/current/link', Buffer.from('sha256:' + 'a'.repeat(64)));
      console.log(key);
    }
  };
  await Promise.all([1, 2, 3, 4].map(write));
`;

test('a process that is killed leaves no tag without its link, and none that it confirmed is lost', async () => {
  const root = tempFolder();
  const cwd = dirname(fileURLToPath(import.meta.resolve('koa-registry/package.json')));
  const args = ['--input-type=module', '--eval', WRITER, root];
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const confirmed: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    confirmed.push(line);
    if (confirmed.length === 150) child.kill('SIGKILL');
  }
  await exited;
  await withStore(async (driver) => {
    const names = await namesOf(driver, 'tags');
    for (const name of names) assert.equal((await driver.get(`tags/${name}/current/link`)).length, 71);
    // The last line may have been cut off by the kill.
    for (const key of confirmed.slice(0, -1)) assert.ok(names.includes(key.slice('tags/'.length)), key);
  }, root);
});

test.run();
