// What a plugin is before anything starts it: a brand, a frozen clone of its options, a sound definition.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import vm from 'node:vm';
import { test } from 'uvu';
import { z } from 'zod';
import { definePlugin, isPlugin, type Plugin, secret } from '../../lib/plugin/index.js';

const loose = definePlugin({
  kind: 'layer',
  name: 'loose',
  options: z.looseObject({}),
  create: () => ({ resolve: () => undefined }),
});

test('a factory makes plugins that are inert, named and frozen', () => {
  let created = 0;
  const factory = definePlugin({
    kind: 'layer',
    name: 'idle',
    options: z.strictObject({}),
    create: () => {
      created++;
      return { resolve: () => undefined };
    },
  });
  const plugin = factory();
  assert.equal(plugin.kind, 'layer');
  assert.equal(plugin.name, 'idle');
  assert.deepEqual(plugin.options, {});
  assert.ok(Object.isFrozen(plugin));
  assert.equal(factory.definition, plugin.definition);
  assert.equal(created, 0);
});

test("the caller's options are neither kept, nor frozen, nor changed", () => {
  const options = { deep: { list: [{ a: 1 }] } };
  const plugin = loose(options) as Plugin & { options: typeof options };
  options.deep.list.push({ a: 2 });
  assert.deepEqual(plugin.options, { deep: { list: [{ a: 1 }] } });
  assert.ok(!Object.isFrozen(options));
  assert.throws(() => plugin.options.deep.list.push({ a: 3 }), TypeError);
});

test('functions, buffers and instances are passed as they are', () => {
  class Client {}
  const live = { bytes: Buffer.from('x'), client: new Client(), map: new Map() };
  const call = () => 1;
  const options = loose({ nested: live, call }).options as { nested: typeof live; call: typeof call };
  assert.notEqual(options.nested, live);
  assert.equal(options.call, call);
  assert.equal(options.nested.bytes, live.bytes);
  assert.equal(options.nested.client, live.client);
  assert.equal(options.nested.map, live.map);
  assert.ok(Object.isFrozen(options.nested));
  assert.ok(!Object.isFrozen(live.client));
});

test('a member with methods is a live object: its identity and its state are kept', () => {
  const logger = {
    lines: [] as string[],
    info(line: string) {
      this.lines.push(line);
    },
  };
  const options = loose({ logger, onDrop: () => undefined }).options as { logger: typeof logger };
  options.logger.info('kept');
  assert.equal(options.logger, logger);
  assert.deepEqual(logger.lines, ['kept']);
  assert.ok(Object.isFrozen(options));
});

test('a plugin within options is passed as it is', () => {
  const inner = loose();
  assert.equal((loose({ inner }).options as { inner: Plugin }).inner, inner);
});

test('options with a cycle, a symbol or __proto__ as a key are cloned without harm', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const cloned = loose(circle).options as { self: unknown };
  assert.equal(cloned.self, cloned);
  const mark = Symbol('mark');
  assert.ok(mark in (loose({ [mark]: 1 }).options as object));
  const polluted = loose(JSON.parse('{"__proto__":{"admin":true}}')).options as { admin?: unknown };
  assert.equal(polluted.admin, undefined);
  assert.ok(Object.hasOwn(polluted, '__proto__'));
});

test('objects of another realm and without a prototype are cloned too', () => {
  const foreign: unknown = vm.runInNewContext('({ a: { b: [1] } })');
  assert.deepEqual(loose(foreign as Record<string, unknown>).options, { a: { b: [1] } });
  const bare = Object.assign(Object.create(null), { a: 1 });
  const cloned = loose(bare).options;
  assert.notEqual(cloned, bare);
  assert.deepEqual(cloned, { a: 1 });
});

test('isPlugin knows kinds, and nothing else for a plugin', () => {
  assert.ok(isPlugin(loose()));
  assert.ok(isPlugin(loose(), 'layer'));
  assert.ok(!isPlugin(loose(), 'storage'));
  for (const value of [undefined, null, {}, loose, 'layer', { kind: 'layer', name: 'x', options: {} }]) {
    assert.ok(!isPlugin(value));
  }
});

test('isPlugin knows a plugin of another copy of the package', async () => {
  // A query makes Node load the module a second time.
  const url = new URL('../../lib/plugin/define-plugin.js?copy', import.meta.url).href;
  const copy = (await import(url)) as typeof import('../../lib/plugin/define-plugin.js');
  assert.notEqual(copy.definePlugin, definePlugin);
  const foreign = copy.definePlugin(loose.definition)();
  assert.ok(isPlugin(foreign, 'layer'));
  assert.ok(copy.isPlugin(loose(), 'layer'));
});

test('a definition that is wrong is refused at once', () => {
  const sound = { ...loose.definition };
  const wrong: [object, RegExp][] = [
    [{ kind: 'sandwich' }, /kind is one of storage, cache, .*not sandwich/],
    [{ kind: 'toString' }, /kind is one of/],
    [{ name: 'Upper' }, /name is lower-case/],
    [{ name: '' }, /name is lower-case/],
    [{ options: { bucket: 'string' } }, /layer\/loose: options must be a Standard Schema/],
    [{ options: undefined }, /Standard Schema/],
    [{ create: 'later' }, /create must be a function/],
  ];
  for (const [part, message] of wrong) {
    assert.throws(() => definePlugin({ ...sound, ...part }), { name: 'TypeError', message });
  }
});

test('a plugin that is printed shows no secret', () => {
  const plugin = definePlugin({
    kind: 'layer',
    name: 'signing',
    options: z.strictObject({ key: secret(z.string()), url: z.string() }),
    create: () => ({ resolve: () => undefined }),
  })({ key: 'swordfish', url: 'https://cdn.example/' });
  for (const printed of [JSON.stringify({ plugin }), inspect({ options: { plugin } }, { depth: 9 })]) {
    assert.ok(!printed.includes('swordfish'), printed);
    assert.match(printed, /signing/);
    assert.match(printed, /cdn\.example/);
  }
});

test.run();
