// `ready()` in a process that has nothing else to do yet: it waits, and does not let the process end.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { runProcess } from '../support/process.js';

const SCRIPT = `
import { definePlugin, registry, startPlugin } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { z } from 'zod';

let tries = 0;
const late = definePlugin({
  kind: 'storage',
  name: 'late',
  options: z.strictObject({}),
  create: async () => {
    if (++tries === 1) throw new Error('not there yet');
    return (await startPlugin(memory())).instance;
  },
});
const logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => logger };
const images = registry({ storage: late(), logger });
await images.ready();
console.log('ready after', tries);
await images.close();
`;

test('a process that waits for a registry to be ready goes on waiting', async () => {
  const cwd = fileURLToPath(new URL('../../..', import.meta.url));
  const output = await runProcess(process.execPath, ['--input-type=module', '--eval', SCRIPT], { cwd });
  assert.equal(output.trim(), 'ready after 2');
});

test.run();
