// Starting one plugin: checked options, a host, an instance that keeps its contract's form, the guard.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { memory } from 'koa-registry/plugins/storage/memory';
import { test } from 'uvu';
import { z } from 'zod';
import type { AuthHandler, LayerHandler, Logger, StorageDriver } from '../../lib/contracts/index.js';
import { OptionsError } from '../../lib/errors.js';
import {
  checkOptions,
  definePlugin,
  optionalPeer,
  type PluginHost,
  pluginOf,
  reportFailure,
  secret,
  startPlugin,
} from '../../lib/plugin/index.js';
import { registry } from '../../lib/registry.js';

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

/** A plugin of an outer one: what it does is up to the test. */
interface Inner {
  readonly create?: (host: PluginHost) => LayerHandler | Promise<LayerHandler>;
  readonly name?: string;
  readonly key?: string;
}

const inner = ({ create = () => handler, name = 'inner', key = 'of the inner one' }: Inner = {}) =>
  definePlugin({
    kind: 'layer',
    name,
    options: z.strictObject({ key: secret(z.string()) }),
    create: (_options, host) => create(host),
  })({ key });

/** A plugin that starts those of its options, one after the other. */
const outer = definePlugin({
  kind: 'layer',
  name: 'outer',
  options: z.strictObject({
    layers: z.array(pluginOf('layer')),
    create: z
      .custom<(layers: readonly LayerHandler[], host: PluginHost) => LayerHandler | Promise<LayerHandler>>()
      .default(() => () => handler),
  }),
  create: async ({ layers, create }, host) => {
    const started: LayerHandler[] = [];
    for (const plugin of layers) started.push(await host.start(plugin));
    return create(started, host);
  },
});

/** An inner plugin that notes when it is created and closed. */
const noting = (order: string[], name: string) =>
  inner({
    name,
    create: () => {
      order.push(`create ${name}`);
      return { ...handler, close: async () => void order.push(`close ${name}`) };
    },
  });

test('a plugin starts those of its options, with a host of their own', async () => {
  const labels: unknown[] = [];
  const hosts: PluginHost[] = [];
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
    child: ({ plugin }) => {
      labels.push(plugin);
      return logger;
    },
  };
  const create = (host: PluginHost) => {
    hosts.push(host);
    return handler;
  };
  const plugin = outer({
    layers: [inner({ create })],
    create: ([only], host) => {
      assert.equal(only, handler);
      hosts.push(host);
      return handler;
    },
  });
  const { close } = await startPlugin(plugin, { registry: 'portal', clock: () => 42, logger });
  assert.deepEqual(labels, ['layer/outer', 'layer/inner']);
  assert.deepEqual(
    hosts.map(({ registry, clock, signal }) => [registry, clock(), signal.aborted]),
    [
      ['portal', 42, false],
      ['portal', 42, false],
    ],
  );
  await close();
  assert.deepEqual(
    hosts.map(({ signal }) => signal.aborted),
    [true, true],
  );
});

test('plugins within a plugin are closed after it, the last one first', async () => {
  const order: string[] = [];
  const layers = [noting(order, 'one'), noting(order, 'two')];
  const create = () => {
    order.push('create outer');
    return { ...handler, close: async () => void order.push('close outer') };
  };
  const { close } = await startPlugin(outer({ layers, create }));
  await Promise.all([close(), close()]);
  await close();
  const created = ['create one', 'create two', 'create outer'];
  assert.deepEqual(order, [...created, 'close outer', 'close two', 'close one']);
});

test('plugins within plugins within plugins are closed from the outside in', async () => {
  const order: string[] = [];
  const middle = outer({
    layers: [noting(order, 'innermost')],
    create: () => ({ ...handler, close: async () => void order.push('close middle') }),
  });
  const create = () => ({ ...handler, close: async () => void order.push('close outermost') });
  const { close } = await startPlugin(outer({ layers: [middle], create }));
  await close();
  assert.deepEqual(order, ['create innermost', 'close outermost', 'close middle', 'close innermost']);
});

test('when create fails, what it has started is closed', async () => {
  const order: string[] = [];
  const failure = new Error('no connection');
  const create = () => Promise.reject(failure);
  const plugin = outer({ layers: [noting(order, 'one'), noting(order, 'two')], create });
  await assert.rejects(startPlugin(plugin), (error) => error === failure);
  assert.deepEqual(order, ['create one', 'create two', 'close two', 'close one']);
});

test('when what create answers lacks a method, what it has started is closed', async () => {
  const order: string[] = [];
  const plugin = outer({ layers: [noting(order, 'one')], create: () => ({}) as LayerHandler });
  await assert.rejects(startPlugin(plugin), { message: 'layer/outer: what create answered lacks resolve()' });
  assert.deepEqual(order, ['create one', 'close one']);
});

test('when one of several that are started at once fails, the others are closed, also those that come later', async () => {
  let closed = 0;
  let finish = () => {};
  const slowly = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const closing = () => ({ ...handler, close: async () => void closed++ });
  const create = async (_layers: unknown, { start }: PluginHost) => {
    const late = start(inner({ create: () => slowly.then(closing) }));
    late.catch(() => undefined);
    await Promise.all([
      start(inner({ create: closing })),
      late,
      start(inner({ create: () => Promise.reject(new Error('no')) })),
    ]);
    return handler;
  };
  await assert.rejects(startPlugin(outer({ layers: [], create })), { message: 'layer/inner: no' });
  assert.equal(closed, 1);
  finish();
  for (let turn = 0; turn < 100 && closed < 2; turn += 1) await new Promise(setImmediate);
  assert.equal(closed, 2);
});

test('a plugin that fails to close keeps none of the others open, and its failure is told', async () => {
  const order: string[] = [];
  const stuck = (name: string) =>
    inner({ name, create: () => ({ ...handler, close: () => Promise.reject(new Error(`${name} is stuck`)) }) });
  const one = await startPlugin(outer({ layers: [noting(order, 'one'), stuck('two'), noting(order, 'three')] }));
  await assert.rejects(one.close(), { message: 'layer/two: two is stuck' });
  assert.deepEqual(order.slice(2), ['close three', 'close one']);
  const create = () => ({ ...handler, close: () => Promise.reject(new Error('outer is stuck')) });
  const other = await startPlugin(outer({ layers: [noting(order, 'four')], create }));
  await assert.rejects(other.close(), { message: 'outer is stuck' });
  assert.equal(order.at(-1), 'close four');
});

test("an inner plugin's failure says whose it is, and hides its secrets", async () => {
  const key = 'swordfish';
  const failing = async () => {
    throw new Error(`no entry with ${key}`, { cause: new Error(`${key} refused`) });
  };
  const hides = (error: unknown) => {
    assert.match(String(error), /layer\/inner: no entry with \[secret\]/);
    assert.ok(!inspect(error, { depth: 10 }).includes(key));
    return true;
  };
  await assert.rejects(startPlugin(outer({ layers: [inner({ key, create: failing })] })), hides);
  const { close } = await startPlugin(
    outer({ layers: [inner({ key, create: () => ({ ...handler, close: failing }) })] }),
  );
  await assert.rejects(close(), hides);
});

test("a secret of an inner plugin is none of the outer one's report either", () => {
  const plugin = outer({ layers: [inner({ key: 'swordfish' })] });
  const { message } = reportFailure(plugin, new Error('refused swordfish'));
  assert.equal(message, 'refused [secret]');
});

test("an inner plugin's missing package is asked for by name", async () => {
  const create = () => optionalPeer('no-such-package', () => import('no-such-package' as string)).then(() => handler);
  await assert.rejects(startPlugin(outer({ layers: [inner({ create })] })), (error: Error) =>
    error.message.startsWith('layer/inner needs the package no-such-package: npm install no-such-package'),
  );
});

test('an inner plugin that was not among the options is checked when it starts', async () => {
  const create = async (_layers: unknown, { start }: PluginHost) => {
    await start(inner({ key: 5 as never }));
    return handler;
  };
  await assert.rejects(startPlugin(outer({ layers: [], create })), /layer\/inner: invalid options: layer\.inner\.key/);
  const none = async (_layers: unknown, { start }: PluginHost) => {
    await start(inner as never);
    return handler;
  };
  await assert.rejects(startPlugin(outer({ layers: [], create: none })), /has to be called/);
});

/** An outer plugin that is up, and the host that it was given. */
async function startOuter() {
  const hosts: PluginHost[] = [];
  const create = (_layers: unknown, host: PluginHost) => {
    hosts.push(host);
    return handler;
  };
  const { close } = await startPlugin(outer({ layers: [], create }));
  const [host] = hosts;
  assert.ok(host);
  return { host, close };
}

test('nothing is started within a plugin that is closed', async () => {
  const { host, close } = await startOuter();
  await close();
  const never = () => assert.fail('must not be created');
  await assert.rejects(host.start(inner({ create: never })), /layer\/outer is closed/);
});

test('what is still being created within a plugin that is closed is closed at once', async () => {
  let closed = 0;
  let finish = () => {};
  const slowly = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const { host, close } = await startOuter();
  const late = host.start(
    inner({ create: () => slowly.then(() => ({ ...handler, close: async () => void closed++ })) }),
  );
  const refused = assert.rejects(late, /layer\/outer is closed/);
  await close();
  finish();
  await refused;
  assert.equal(closed, 1);
});

/** A handler around another, as a plugin of access rules is. */
const wrapping = (() => {
  const grant: AuthHandler = { authorize: () => ({ granted: [] }) };
  const options = z.strictObject({ key: secret(z.string()), size: z.number().default(1) });
  const plain = definePlugin({ kind: 'auth', name: 'inner', options, create: () => grant });
  const around = definePlugin({
    kind: 'auth',
    name: 'outer',
    options: z.strictObject({ handler: pluginOf('auth'), others: z.array(pluginOf('auth')).default([]) }),
    create: ({ handler }, host) => host.start(handler),
  });
  return { plain, around };
})();

/** What is wrong with the options of plugins within plugins, and no path elsewhere. */
function nestedProblems(at: string) {
  const { plain, around } = wrapping;
  const wrong = around({
    handler: around({ handler: plain({ key: 5, sise: 1 } as never) }),
    others: [plain({ key: 'k' }), plain({ key: 'k', size: 'x' as never }), handler as never],
  });
  const problems = [
    [`${at}.handler.outer.handler.inner.key`, /string/],
    [`${at}.handler.outer.handler.inner.sise`, /unknown option, did you mean "size"/],
    [`${at}.others[1].inner.size`, /number/],
    [`${at}.others[2]`, /must be a plugin of kind auth/],
  ] as const;
  const matches = (error: unknown) => {
    assert.ok(error instanceof OptionsError);
    const found = [...error.problems].sort((a, b) => (a.path < b.path ? -1 : 1));
    assert.deepEqual(
      found.map(({ path }) => path),
      problems.map(([path]) => path),
    );
    for (const [index, [, message]] of problems.entries()) assert.match(found[index]?.message ?? '', message);
    return true;
  };
  return { wrong, matches };
}

test('what is wrong with plugins within plugins is found at once, by a registry', () => {
  const { wrong, matches } = nestedProblems('auth.outer');
  assert.throws(() => registry({ storage: memory(), auth: wrong }), matches);
});

test('what is wrong with plugins within plugins is found at once, wherever options are checked', async () => {
  const { wrong, matches } = nestedProblems('auth.outer');
  await assert.rejects(startPlugin(wrong), matches);
  const { problems } = checkOptions(wrong.definition.options, wrong.options, 'auth.outer');
  assert.ok(matches(new OptionsError(problems ?? [])));
});

test.run();
