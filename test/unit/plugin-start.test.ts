// Starting one plugin: checked options, a host, an instance that keeps its contract's form, the guard.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'uvu';
import { z } from 'zod';
import type { LayerHandler, Logger, StorageDriver } from '../../lib/contracts/index.js';
import { OptionsError } from '../../lib/errors.js';
import { definePlugin, type PluginHost, startPlugin } from '../../lib/plugin/index.js';

const handler: LayerHandler = { resolve: () => undefined };

function layer(create: (options: { size: number }, host: PluginHost) => LayerHandler | Promise<LayerHandler>) {
  return definePlugin({ kind: 'layer', name: 'cdn', options: z.strictObject({ size: z.number().default(7) }), create });
}

test('create gets checked options and a host', async () => {
  const calls: unknown[][] = [];
  const plugin = layer((options, host) => {
    calls.push([options, host.registry, host.clock(), host.signal.aborted]);
    return handler;
  });
  const { instance, close } = await startPlugin(plugin(), { registry: 'portal', clock: () => 42 });
  assert.equal(instance, handler);
  assert.deepEqual(calls, [[{ size: 7 }, 'portal', 42, false]]);
  await close();
});

test("the host's logger is a child that names the plugin", async () => {
  const lines: unknown[] = [];
  const logger = (fields: object): Logger => ({
    debug: () => undefined,
    warn: () => undefined,
    error: () => undefined,
    info: (more, message) => lines.push({ ...fields, ...more, message }),
    child: (more) => logger({ ...fields, ...more }),
  });
  const plugin = layer((_options, host) => {
    host.logger.info({ at: 1 }, 'starting');
    return handler;
  });
  await startPlugin(plugin(), { logger: logger({ registry: 'r' }) });
  assert.deepEqual(lines, [{ registry: 'r', plugin: 'layer/cdn', at: 1, message: 'starting' }]);
});

test('without options the host is complete and says nothing', async () => {
  const plugin = layer((_options, host) => {
    host.logger.child({}).error({}, 'not printed');
    assert.ok(Math.abs(host.clock() - Date.now()) < 60_000);
    assert.equal(host.registry, 'registry');
    return handler;
  });
  await startPlugin(plugin());
});

test('wrong options are an OptionsError, and create is not called', async () => {
  const plugin = layer(() => assert.fail('must not be called'));
  const wrong = definePlugin({ ...plugin.definition, options: z.looseObject({}) as never })({ sise: 1 } as never);
  const checked = { ...wrong, definition: plugin.definition };
  await assert.rejects(startPlugin(checked), (error: OptionsError) => {
    assert.ok(error instanceof OptionsError);
    assert.deepEqual(error.problems, [{ path: 'layer.cdn.sise', message: 'unknown option, did you mean "size"?' }]);
    return true;
  });
});

test('an instance that lacks a method of the contract is refused by name', async () => {
  const cases: [unknown, string][] = [
    [{}, 'layer/cdn: what create answered lacks resolve()'],
    [undefined, 'layer/cdn: create answered undefined, not an object'],
    [null, 'layer/cdn: create answered null, not an object'],
  ];
  for (const [instance, message] of cases) {
    await assert.rejects(startPlugin(layer(() => instance as LayerHandler)()), { name: 'TypeError', message });
  }
  const partly = { get: () => 1, put: () => 1, stat: () => 1 } as unknown as StorageDriver;
  const storage = definePlugin({ kind: 'storage', name: 's', options: z.object({}), create: () => partly });
  await assert.rejects(startPlugin(storage()), {
    message: 'storage/s: what create answered lacks list(), open(), append(), commit(), remove()',
  });
  const format = definePlugin({
    kind: 'format',
    name: 'f',
    options: z.object({}),
    create: () => ({ parse: () => 1 }) as never,
  });
  await assert.rejects(startPlugin(format()), { message: 'format/f: what create answered lacks mediaTypes' });
});

test('a storage driver stands behind the guard', async () => {
  const driver: StorageDriver = {
    get: () => Promise.reject(new Error('connection reset')),
    put: () => Promise.resolve(),
    stat: () => Promise.resolve({ kind: 'object', size: 0, modified: new Date(0) }),
    list: () => Readable.from([]),
    open: () => Promise.resolve(Readable.from([])),
    append: () => Promise.resolve(0),
    commit: () => Promise.resolve(),
    remove: () => Promise.resolve(),
  };
  const plugin = definePlugin({ kind: 'storage', name: 'raw', options: z.object({}), create: () => driver });
  const { instance, close } = await startPlugin(plugin());
  await assert.rejects(instance.get('../etc'), { reason: 'invalid-key' });
  await assert.rejects(instance.get('a'), { reason: 'unavailable' });
  await close();
});

test('close aborts the signal, then closes the instance, once', async () => {
  const order: string[] = [];
  const plugin = layer((_options, { signal }) => {
    signal.addEventListener('abort', () => order.push('abort'));
    return { ...handler, close: async () => void order.push('close') };
  });
  const { close } = await startPlugin(plugin());
  await Promise.all([close(), close()]);
  await close();
  assert.deepEqual(order, ['abort', 'close']);
});

test("the caller's signal reaches the plugin", async () => {
  const controller = new AbortController();
  let seen: AbortSignal | undefined;
  const plugin = layer((_options, { signal }) => {
    seen = signal;
    return handler;
  });
  await startPlugin(plugin(), { signal: controller.signal });
  assert.equal(seen?.aborted, false);
  controller.abort(new Error('enough'));
  assert.equal(seen?.reason.message, 'enough');
});

test('what is created after the signal was aborted is closed at once', async () => {
  const controller = new AbortController();
  let closed = 0;
  const plugin = layer(async () => {
    controller.abort(new Error('too late'));
    return { ...handler, close: async () => void closed++ };
  });
  await assert.rejects(startPlugin(plugin(), { signal: controller.signal }), { message: 'too late' });
  assert.equal(closed, 1);
  await assert.rejects(startPlugin(layer(() => assert.fail('must not be called'))(), { signal: controller.signal }), {
    message: 'too late',
  });
});

test('what create throws is passed on untouched', async () => {
  const failure = new Error('refused');
  await assert.rejects(startPlugin(layer(() => Promise.reject(failure))()), (error) => error === failure);
});

test.run();
