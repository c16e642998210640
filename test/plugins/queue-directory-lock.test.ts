// `queue/directory` and those who want the same folder: one has it at a time, and no end of a process keeps it.
import { strict as assert } from 'node:assert';
import { readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPlugin } from 'koa-registry';
import { directory } from 'koa-registry/plugins/queue/directory';
import { suite } from 'uvu';
import { startProcess } from '../support/process.js';
import { tempFolder } from '../support/temp-folder.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

const HOLDER = `
  import { startPlugin } from 'koa-registry';
  import { directory } from 'koa-registry/plugins/queue/directory';
  await startPlugin(directory({ path: process.env.QUEUE_PATH }));
  console.log('held');
  setInterval(() => undefined, 1000);
`;

function holder(path: string) {
  const args = ['--input-type=module', '-e', HOLDER];
  return startProcess(process.execPath, args, { ready: /held/, env: { QUEUE_PATH: path }, cwd: ROOT });
}

const locks = async (path: string) => (await readdir(path)).filter((name) => name.startsWith('.lock'));

const test = suite('queue/directory: one process for each folder');

test('a second registry of the process is refused, with a reason, until the first has closed', async () => {
  const path = tempFolder();
  const first = await startPlugin(directory({ path }));
  await assert.rejects(startPlugin(directory({ path })), (error: Error) => {
    return error.message.includes(path) && /in use by another/.test(error.message);
  });
  assert.equal((await locks(path)).length, 1);
  await first.close();
  assert.deepEqual(await locks(path), []);
  await (await startPlugin(directory({ path }))).close();
});

test('another process is refused, and has the folder once the first was killed', async () => {
  const path = tempFolder();
  for (let round = 0; round < 3; round++) {
    const process = await holder(path);
    await assert.rejects(startPlugin(directory({ path })), /in use by another process/);
    await assert.rejects(holder(path), /in use by another process/);
    await process.stop('SIGKILL');
    assert.equal((await locks(path)).length, 1, 'a killed process leaves its socket');
  }
  const { close } = await startPlugin(directory({ path }));
  assert.equal((await locks(path)).length, 1, 'what killed processes have left is removed');
  await close();
});

test('a process that is stopped, and answers nothing, still has it', async () => {
  const path = tempFolder();
  const { pid, stop } = await holder(path);
  process.kill(pid, 'SIGSTOP');
  await assert.rejects(startPlugin(directory({ path })), /in use by another process/);
  await stop('SIGKILL');
  await (await startPlugin(directory({ path }))).close();
});

test('of many that come at once one has it at most', async () => {
  const path = tempFolder();
  for (let round = 0; round < 10; round++) {
    const all = await Promise.allSettled(Array.from({ length: 6 }, () => startPlugin(directory({ path }))));
    const had = all.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    assert.ok(had.length <= 1, `${had.length} have the folder`);
    for (const { close } of had) await close();
    await (await startPlugin(directory({ path }))).close();
  }
});

test('a path that is too long for a socket is refused with a reason, and can be reached by a link', async () => {
  const folder = tempFolder();
  const path = join(folder, 'long'.repeat(25));
  await assert.rejects(startPlugin(directory({ path })), /too long by \d+ bytes: reach it by a link/);
  await symlink(path, join(folder, 'link'));
  await (await startPlugin(directory({ path: join(folder, 'link') }))).close();
});

test('a queue is open once at a time, and is called what a folder may be', async () => {
  const path = tempFolder();
  const { instance, close } = await startPlugin(directory({ path }));
  const queue = await instance.open('webhook');
  await assert.rejects(instance.open('webhook'), /open already/);
  await queue.close?.();
  await (await instance.open('webhook')).close?.();
  for (const name of ['..', '.lock-x', 'a/b', '']) await assert.rejects(instance.open(name), /cannot be called/);
  assert.deepEqual(
    (await readdir(path)).filter((name) => !name.startsWith('.')),
    ['webhook'],
  );
  await close();
});

test.run();
