// What clients see while the plugins of a registry are not up: it answers, and goes on trying.
import assert from 'node:assert/strict';
import { definePlugin, type StorageDriver, startPlugin } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { z } from 'zod';
import { BARE } from '../support/registry.js';
import { answered, refused } from './suite/answers.js';
import { type Suite, wireSuite } from './suite/index.js';

/** A storage that can be started only after it failed some times. */
const shaky = definePlugin({
  kind: 'storage',
  name: 'shaky',
  options: z.strictObject({ failures: z.number(), begun: z.custom<() => number>() }),
  create: async ({ failures, begun }): Promise<StorageDriver> => {
    if (begun() <= failures) throw new Error('wrong password 12345');
    return (await startPlugin(memory())).instance;
  },
});

/** Counts how often it was called. */
function counter() {
  let count = 0;
  return { begun: () => ++count, count: () => count };
}

const startSuite: Suite = (test, open) => {
  test('a plugin that cannot start is 503, and the reason is for the log alone', async () => {
    const at = await open({ storage: shaky({ failures: Number.MAX_SAFE_INTEGER, begun: counter().begun }) });
    for (const path of ['/v2/', '/v2/r/tags/list']) {
      const answer = await at.send('GET', path);
      refused(answer, 503, 'UNAVAILABLE');
      assert.match(String(answer.headers['retry-after']), /^\d+$/);
      assert.ok(!answer.body.includes('12345'));
    }
    assert.ok(at.log.some(({ level, fields }) => level === 'error' && String(fields.err).includes('12345')));
    assert.deepEqual(at.errors, []);
  });

  test('a request waits a little for plugins that are about to be up', async () => {
    const { begun, count } = counter();
    const at = await open({ storage: shaky({ failures: 1, begun }) });
    answered(await at.send('GET', '/v2/'), 200);
    assert.equal(count(), 2);
  });

  test('nothing is started before the first request, and then once', async () => {
    const { begun, count } = counter();
    const at = await open({ storage: shaky({ failures: 0, begun }) });
    assert.equal(count(), 0);
    await Promise.all([1, 2, 3].map(() => at.send('GET', '/v2/')));
    assert.equal(count(), 1);
  });
};

wireSuite('start', BARE, startSuite);
