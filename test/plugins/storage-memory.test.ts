// `storage/memory`: the contract, and its one option.
import { strict as assert } from 'node:assert';
import { isDriverError, startPlugin } from 'koa-registry';
import { storageDriverSuite } from 'koa-registry/conformance';
import { memory } from 'koa-registry/plugins/storage/memory';
import { suite } from 'uvu';

const conformance = suite('storage/memory: conformance');
storageDriverSuite(conformance, () => memory());
conformance.run();

const test = suite('storage/memory');

async function* once(bytes: Uint8Array) {
  yield bytes;
}

test('maxBytes: what does not fit is quota, and what was removed or replaced makes room', async () => {
  const { instance: driver, close } = await startPlugin(memory({ maxBytes: '1KiB' }));
  const quota = (error: unknown) => isDriverError(error, 'quota');
  await driver.put('a', Buffer.alloc(600));
  await assert.rejects(driver.put('b', Buffer.alloc(600)), quota);
  await driver.put('a', Buffer.alloc(1024));
  await assert.rejects(driver.append('u', 0, once(Buffer.alloc(1))), quota);
  await driver.remove('a');
  assert.equal(await driver.append('v/data', 0, once(Buffer.alloc(1000))), 1000);
  await driver.commit('v/data', 'b/data');
  await assert.rejects(driver.put('c', Buffer.alloc(25)), quota);
  await driver.remove('b');
  await driver.put('c', Buffer.alloc(1024));
  await close();
});

test('two stores share nothing', async () => {
  const first = await startPlugin(memory());
  const second = await startPlugin(memory());
  await first.instance.put('a', Buffer.from('x'));
  await assert.rejects(second.instance.get('a'), (error) => isDriverError(error, 'not-found'));
  await first.close();
  await second.close();
});

test.run();
