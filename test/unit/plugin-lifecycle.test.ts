// A registry's plugins from start to close: order, patience, what is logged, and what is left behind.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { test } from 'uvu';
import { z } from 'zod';
import type { LayerHandler, Logger } from '../../lib/contracts/index.js';
import { OptionsError } from '../../lib/errors.js';
import { definePlugin, Lifecycle, type LifecycleOptions, type Plugin, secret } from '../../lib/plugin/index.js';

type Line = Readonly<Record<string, unknown>> & { readonly level: string; readonly message: string };

/** Keeps the process alive, which a lifecycle on purpose does not. */
let alive: NodeJS.Timeout;
test.before(() => {
  alive = setInterval(() => undefined, 1000);
});
test.after(() => clearInterval(alive));

function recorder(): { logger: Logger; lines: Line[] } {
  const lines: Line[] = [];
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    lines.push({ ...fields, level, message });
  };
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return { logger, lines };
}

const QUICK: Pick<LifecycleOptions, 'backoff'> = { backoff: { first: 1, longest: 1 } };

/** A plugin that writes down what happens to it. */
function recorded(
  name: string,
  log: string[],
  parts: { create?: () => unknown; close?: () => Promise<void> } = {},
): Plugin<'layer'> {
  const close = async () => {
    log.push(`close ${name}`);
    await parts.close?.();
  };
  const create = async (): Promise<LayerHandler> => {
    log.push(`create ${name}`);
    await parts.create?.();
    return { resolve: () => undefined, close };
  };
  return definePlugin({ kind: 'layer', name, options: z.strictObject({}), create })();
}

/** A promise that the test itself resolves. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

test('nothing starts before it is asked for; then plugins start in order and close in reverse', async () => {
  const log: string[] = [];
  const plugins = { one: recorded('a', log), none: undefined, several: [recorded('b', log), recorded('c', log)] };
  const lifecycle = new Lifecycle(plugins, { logger: recorder().logger });
  assert.equal(lifecycle.current(), undefined);
  assert.deepEqual(log, []);
  const instances = await lifecycle.ready();
  assert.deepEqual(log, ['create a', 'create b', 'create c']);
  assert.equal(lifecycle.current(), instances);
  assert.equal(instances.several.length, 2);
  assert.equal(typeof instances.one.resolve, 'function');
  assert.ok(!('none' in instances));
  log.length = 0;
  assert.deepEqual(await lifecycle.close(), []);
  assert.deepEqual(log, ['close c', 'close b', 'close a']);
  assert.equal(lifecycle.current(), undefined);
});

test('each plugin is created once, however many wait and however often', async () => {
  const log: string[] = [];
  const lifecycle = new Lifecycle({ a: recorded('a', log) }, { logger: recorder().logger });
  lifecycle.start();
  const [first, second] = await Promise.all([lifecycle.ready(), lifecycle.ready()]);
  lifecycle.start();
  assert.equal(first, second);
  assert.equal(await lifecycle.ready(), first);
  assert.deepEqual(log, ['create a']);
  await lifecycle.close();
});

test('a create that fails is tried again until it succeeds, and those after it wait', async () => {
  const log: string[] = [];
  const { logger, lines } = recorder();
  let failures = 0;
  const create = () => {
    // A TypeError is a failure like every other: an SDK's bug must not stop the host for good.
    if (failures++ < 3) throw new TypeError('not yet');
  };
  const lifecycle = new Lifecycle({ a: recorded('a', log, { create }), b: recorded('b', log) }, { logger, ...QUICK });
  await lifecycle.ready();
  assert.deepEqual(log, ['create a', 'create a', 'create a', 'create a', 'create b']);
  assert.equal(lifecycle.failure(), undefined);
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['error', 'debug', 'debug', 'info'],
  );
  assert.equal(lines.at(-1)?.attempts, 4);
  await lifecycle.close();
});

test('each failure is logged once for each distinct message', async () => {
  const { logger, lines } = recorder();
  const messages = ['refused', 'refused', 'timed out', 'refused', 'timed out'];
  const create = () => {
    const message = messages.shift();
    if (message !== undefined) throw new Error(message);
  };
  const lifecycle = new Lifecycle({ a: recorded('a', [], { create }) }, { logger, ...QUICK });
  await lifecycle.ready();
  const errors = lines.filter(({ level }) => level === 'error').map(({ err }) => (err as Error).message);
  assert.deepEqual(errors, ['refused', 'timed out']);
  await lifecycle.close();
});

test('pauses double up to the longest, and up to half of each is chance', async () => {
  const { logger, lines } = recorder();
  let failures = 0;
  const create = () => {
    if (failures++ < 5) throw new Error('no');
  };
  const options = { logger, backoff: { first: 2, longest: 8 } };
  const lifecycle = new Lifecycle({ a: recorded('a', [], { create }) }, options);
  await lifecycle.ready();
  const pauses = lines.filter(({ retryIn }) => retryIn !== undefined).map(({ retryIn }) => Number(retryIn));
  const longest = [2, 4, 8, 8, 8];
  assert.equal(pauses.length, longest.length);
  for (const [index, most] of longest.entries()) {
    const pause = pauses[index] ?? 0;
    assert.ok(pause >= most / 2 && pause <= most, `${pause} after failure ${index + 1}`);
  }
  await lifecycle.close();
});

test('while a plugin is away one learns why, and when it is tried again', async () => {
  const create = () => {
    throw new Error('no bucket', { cause: Object.assign(new Error('connect failed'), { code: 'ECONNREFUSED' }) });
  };
  const { logger, lines } = recorder();
  const options = { logger, clock: () => 1_000_000, backoff: { first: 60_000, longest: 60_000 } };
  const lifecycle = new Lifecycle({ a: recorded('a', [], { create }) }, options);
  assert.equal(lifecycle.failure(), undefined);
  await assert.rejects(lifecycle.ready({ signal: whenLogged(lines) }), { name: 'AbortError' });
  const { retryAt = 0, ...failure } = lifecycle.failure() ?? {};
  assert.deepEqual(failure, {
    plugin: 'layer/a',
    message: 'no bucket: connect failed',
    code: 'ECONNREFUSED',
    attempts: 1,
  });
  assert.ok(retryAt >= 1_030_000 && retryAt <= 1_060_000);
  assert.equal(lifecycle.current(), undefined);
  await lifecycle.close();
  assert.equal(lifecycle.failure(), undefined);
});

/** Aborted once something was logged. */
function whenLogged(lines: readonly Line[]): AbortSignal {
  const controller = new AbortController();
  const look = setInterval(() => {
    if (lines.length === 0) return;
    clearInterval(look);
    controller.abort();
  }, 1);
  return controller.signal;
}

test('no secret of a plugin is logged, nor told', async () => {
  const { logger, lines } = recorder();
  const password = 'correct horse';
  let failures = 0;
  const plugin = definePlugin({
    kind: 'layer',
    name: 'cdn',
    options: z.strictObject({ url: z.string(), password: secret(z.string()) }),
    create: (options): LayerHandler => {
      if (failures++ === 0)
        throw new Error(`${options.url} refused`, { cause: new Error(`bad password ${options.password}`) });
      return { resolve: () => undefined, close: () => Promise.reject(new Error(`logout of ${options.password}`)) };
    },
  });
  const lifecycle = new Lifecycle({ layer: plugin({ url: 'redis://h', password }) }, { logger, ...QUICK });
  await lifecycle.ready();
  const [error] = await lifecycle.close();
  assert.equal(error?.message, 'layer/cdn: logout of [secret]');
  const text = JSON.stringify(lines);
  assert.match(text, /redis:\/\/h refused: bad password \[secret\]/);
  assert.ok(!text.includes(password));
});

test('wrong options are refused at construction, those of all plugins at once', () => {
  const cdn = definePlugin({
    kind: 'layer',
    name: 'cdn',
    options: z.looseObject({}),
    create: () => ({ resolve: () => undefined }),
  });
  const picky = {
    ...cdn({ size: 1 }),
    definition: { ...cdn.definition, options: z.strictObject({ sizes: z.number().optional() }) },
  };
  assert.throws(
    () => new Lifecycle({ layer: picky, list: [cdn(), picky] }, { logger: recorder().logger }),
    (error: OptionsError) => {
      assert.ok(error instanceof OptionsError);
      assert.deepEqual(
        error.problems.map(({ path }) => path),
        ['layer.cdn.size', 'list[1].cdn.size'],
      );
      return true;
    },
  );
});

test('a signal ends the waiting, not the starting', async () => {
  const { opened, open } = gate();
  const lifecycle = new Lifecycle({ a: recorded('a', [], { create: () => opened }) }, { logger: recorder().logger });
  const controller = new AbortController();
  const waiting = lifecycle.ready({ signal: controller.signal });
  controller.abort(new Error('client went away'));
  await assert.rejects(waiting, { message: 'client went away' });
  await assert.rejects(lifecycle.ready({ signal: controller.signal }), { message: 'client went away' });
  open();
  assert.ok(await lifecycle.ready());
  await lifecycle.close();
});

test('close during a pause gives up at once, and closes what was started', async () => {
  const log: string[] = [];
  const { logger, lines } = recorder();
  const create = () => {
    throw new Error('away');
  };
  const options = { logger, backoff: { first: 3_600_000, longest: 3_600_000 } };
  const lifecycle = new Lifecycle({ a: recorded('a', log), b: recorded('b', log, { create }) }, options);
  const waiting = lifecycle.ready();
  await assert.rejects(lifecycle.ready({ signal: whenLogged(lines) }), { name: 'AbortError' });
  assert.deepEqual(await lifecycle.close(), []);
  await assert.rejects(waiting, { message: 'the registry is closed' });
  assert.deepEqual(log, ['create a', 'create b', 'close a']);
});

test('a create that succeeds after close was asked for is closed at once, before the rest', async () => {
  const log: string[] = [];
  const { opened: entered, open: enter } = gate();
  const { opened, open } = gate();
  const create = () => {
    enter();
    return opened;
  };
  const plugins = { a: recorded('a', log), b: recorded('b', log, { create }), c: recorded('c', log) };
  const lifecycle = new Lifecycle(plugins, { logger: recorder().logger });
  lifecycle.start();
  await entered;
  const closing = lifecycle.close();
  open();
  assert.deepEqual(await closing, []);
  assert.deepEqual(log, ['create a', 'create b', 'close b', 'close a']);
});

test('a create that never ends does not keep the others from being closed', async () => {
  const log: string[] = [];
  const plugins = { a: recorded('a', log), b: recorded('b', log, { create: () => new Promise(() => undefined) }) };
  const lifecycle = new Lifecycle(plugins, { logger: recorder().logger, closeTimeout: 5 });
  lifecycle.start();
  assert.deepEqual(await lifecycle.close(), []);
  assert.equal(log.at(-1), 'close a');
});

test('errors and delays of one close are logged and collected, and the rest is closed', async () => {
  const log: string[] = [];
  const { logger, lines } = recorder();
  const plugins = {
    a: recorded('a', log, { close: () => Promise.reject(new Error('gone')) }),
    b: recorded('b', log, { close: () => new Promise(() => undefined) }),
    c: recorded('c', log),
  };
  const lifecycle = new Lifecycle(plugins, { logger, closeTimeout: 5 });
  await lifecycle.ready();
  const errors = await lifecycle.close();
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['layer/b: closing took longer than 5 ms', 'layer/a: gone'],
  );
  assert.deepEqual(
    lines.map(({ level, plugin }) => `${level} ${plugin}`),
    ['error layer/b', 'error layer/a'],
  );
  assert.deepEqual(log.slice(3), ['close c', 'close b', 'close a']);
  assert.equal(await lifecycle.close(), errors);
});

test('what is closed does not start any more', async () => {
  const log: string[] = [];
  const lifecycle = new Lifecycle({ a: recorded('a', log) }, { logger: recorder().logger });
  assert.deepEqual(await lifecycle.close(), []);
  await assert.rejects(lifecycle.ready(), { message: 'the registry is closed' });
  lifecycle.start();
  assert.deepEqual(log, []);
});

test('several lifecycles share nothing', async () => {
  const log: string[] = [];
  const plugin = recorded('a', log);
  const [one, two] = [1, 2].map(() => new Lifecycle({ plugin }, { logger: recorder().logger }));
  const [first, second] = [await one?.ready(), await two?.ready()];
  assert.notEqual(first?.plugin, second?.plugin);
  await one?.close();
  assert.equal(two?.current(), second);
  await two?.close();
});

test('a pause between attempts does not keep the process alive', async () => {
  const entry = new URL('../../lib/plugin/index.js', import.meta.url).href;
  const schema = import.meta.resolve('zod');
  const source = `
    import { definePlugin, Lifecycle } from ${JSON.stringify(entry)};
    import { z } from ${JSON.stringify(schema)};
    const create = () => { throw new Error('away'); };
    const plugin = definePlugin({ kind: 'layer', name: 'x', options: z.object({}), create })();
    const log = (fields, message) => console.log(message);
    const logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
    new Lifecycle({ plugin }, { logger, backoff: { first: 3_600_000, longest: 3_600_000 } }).start();
  `;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', source], { timeout: 60_000 });
  assert.match((await run).stdout, /plugin cannot start/);
});

test.run();
