// Child processes, ports and temporary folders of the tests.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { freePort, onFreePort } from '../support/free-port.js';
import { runProcess, startProcess } from '../support/process.js';
import { hasEnded } from '../support/process-state.js';
import { findProgram } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';

const node = process.execPath;
const FOREVER = 'setInterval(() => {}, 1000);';
const LISTEN = `require('http').createServer().listen(process.env.PORT, '127.0.0.1', () => console.log('up'));`;

async function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'it did not fail',
    (error) => String(error),
  );
}

/** Whether it still runs; a child that was reaped is no process any more. */
function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const test = suite('support: processes');

test('waits for what a program says, and stops it by its id', async () => {
  const server = await startProcess(node, ['-e', `console.log('port ' + 41); ${FOREVER}`], { ready: /port (\d+)/ });
  assert.is(server.match?.[1], '41');
  assert.match(server.output(), 'port 41');
  assert.ok(isRunning(server.pid));
  await server.stop();
  assert.not.ok(isRunning(server.pid));
  await server.stop();
  assert.equal(await server.exit(), { code: null, signal: 'SIGTERM' });
});

test('waits for a port to accept connections', async () => {
  const port = await freePort();
  const server = await startProcess(node, ['-e', LISTEN], { ready: { port }, env: { PORT: String(port) } });
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
  await server.stop();
});

test('kills a program that does not heed SIGTERM', async () => {
  const deaf = `process.on('SIGTERM', () => {}); console.log('ready'); ${FOREVER}`;
  const server = await startProcess(node, ['-e', deaf], { ready: /ready/ });
  await server.stop();
  assert.equal(await server.exit(), { code: null, signal: 'SIGKILL' });
});

test('tells how a program ended by itself', async () => {
  const server = await startProcess(node, ['-e', `console.log('ready'); process.exitCode = 7;`], { ready: /ready/ });
  assert.equal(await server.exit(), { code: 7, signal: null });
});

test('shows the output of a program that ends before it is ready', async () => {
  const dying = `console.error('no cheese'); process.exitCode = 3;`;
  assert.match(await failure(startProcess(node, ['-e', dying], { ready: /ready/ })), /ended with 3 .*\n.*no cheese/s);
});

test('gives up on a program that does not become ready, and ends it', async () => {
  const talking = startProcess(node, ['-e', `console.log(process.pid); ${FOREVER}`], { ready: /never/, timeout: 1500 });
  const said = await failure(talking);
  assert.match(said, 'was not ready after 1500 ms');
  const pid = Number(/^\d+$/m.exec(said)?.[0] ?? Number.NaN);
  assert.not.ok(isRunning(pid));
});

test('names a program that cannot be started', async () => {
  assert.match(await failure(startProcess('/not/there', [], { ready: /x/ })), 'ENOENT');
});

test('neither waits for nor leaves behind what a test file forgot to stop', async () => {
  const forgetful = `
    import { startProcess } from '${import.meta.resolve('../support/process.js')}';
    const server = await startProcess(process.execPath, ['-e', ${JSON.stringify(`console.log('ready'); ${FOREVER}`)}], { ready: /ready/ });
    console.log(server.pid);`;
  const pid = Number(await runProcess(node, ['--input-type=module', '-e', forgetful]));
  assert.ok(pid > 0 && (await hasEnded(pid)));
});

test('leaves nothing behind when a test file is ended by a signal', async () => {
  const serving = `
    import { startProcess } from '${import.meta.resolve('../support/process.js')}';
    import { tempFolder } from '${import.meta.resolve('../support/temp-folder.js')}';
    const server = await startProcess(process.execPath, ['-e', ${JSON.stringify(`console.log('up'); ${FOREVER}`)}], { ready: /up/ });
    console.log(server.pid + ' ' + tempFolder() + ' .');
    ${FOREVER}`;
  const file = await startProcess(node, ['--input-type=module', '-e', serving], { ready: /(\d+) (\S+) \./ });
  await file.stop();
  assert.ok(await hasEnded(Number(file.match?.[1])));
  assert.not.ok(existsSync(file.match?.[2] ?? ''));
});

test('runs a command to its end', async () => {
  assert.is(await runProcess(node, ['-p', '6 * 7']), '42\n');
  assert.match(await failure(runProcess(node, ['-e', `console.error('no cheese'); process.exit(2)`])), 'no cheese');
  assert.match(await failure(runProcess(node, ['-e', FOREVER], { timeout: 300 })), 'took too long');
});

test('finds a free port, and another one when it was taken meanwhile', async () => {
  const taken = createServer().listen(0, '127.0.0.1').unref();
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const tried: number[] = [];
  const server = await onFreePort((free) => {
    const PORT = String(tried.push(free) === 1 ? port : free);
    return startProcess(node, ['-e', LISTEN], { ready: /^up$/m, env: { PORT } });
  });
  assert.is(tried.length, 2);
  await server.stop();
});

test('does not try again where the port is not at fault', async () => {
  let attempts = 0;
  const failing = onFreePort(async () => {
    attempts++;
    throw new Error('no cheese');
  });
  assert.match(await failure(failing), 'no cheese');
  assert.is(attempts, 1);
});

test('removes temporary folders with their content', async () => {
  const making = `
    import { tempFolder } from '${import.meta.resolve('../support/temp-folder.js')}';
    import { writeFileSync } from 'node:fs';
    const folder = tempFolder(); writeFileSync(folder + '/file', ''); console.log(folder);`;
  const folder = (await runProcess(node, ['--input-type=module', '-e', making])).trim();
  assert.match(folder, 'koa-registry-');
  assert.not.ok(existsSync(folder));
});

test('finds programs on the PATH, and only what can be executed', async () => {
  const { PATH } = process.env;
  const [folder, file] = [tempFolder(), tempFolder()];
  await mkdir(join(folder, 'skopeo'));
  await writeFile(join(file, 'skopeo'), '', { mode: 0o755 });
  await writeFile(join(file, 'umoci'), '', { mode: 0o644 });
  try {
    process.env.PATH = `${folder}:${file}`;
    assert.is(findProgram('skopeo'), join(file, 'skopeo'));
    assert.is(findProgram('umoci'), undefined);
  } finally {
    process.env.PATH = PATH;
  }
});

test.run();
