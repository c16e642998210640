// Checking options: everything wrong is said at once, with its path, a suggestion and without secrets.
import assert from 'node:assert/strict';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { test } from 'uvu';
import { z } from 'zod';
import { checkOptions, definePlugin, pluginOf, redact, secret } from '../../lib/plugin/index.js';

/** The problems of options, each as one line. */
function problems(schema: StandardSchemaV1, input: unknown, path = 'storage.gcs'): string[] {
  return (checkOptions(schema, input, path).problems ?? []).map((problem) => `${problem.path}: ${problem.message}`);
}

/** A schema of a library that has no JSON Schema: it keeps the keys that it knows, at two levels. */
function stripping(known: Readonly<Record<string, readonly string[]>>): StandardSchemaV1 {
  const validate = (value: unknown) => {
    const input = value as Record<string, Record<string, unknown>>;
    const output: Record<string, unknown> = {};
    for (const [key, inner] of Object.entries(known)) {
      const member = input[key];
      if (member === undefined) continue;
      const kept = inner.filter((name) => name in member).map((name) => [name, member[name]]);
      output[key] = inner.length === 0 ? member : Object.fromEntries(kept);
    }
    return { value: output };
  };
  return { '~standard': { version: 1, vendor: 'stripping', validate } };
}

/** A schema that answers what it is told. */
function answering(validate: StandardSchemaV1.Props['validate']): StandardSchemaV1 {
  return { '~standard': { version: 1, vendor: 'answering', validate } };
}

const strict = z.strictObject({
  bucket: z.string(),
  sinks: z.array(z.object({ url: z.string(), timeout: z.number().optional() })).optional(),
  retry: z.object({ limit: z.number().optional() }).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  extra: z.looseObject({ a: z.number() }).optional(),
  onDrop: z.custom<() => void>((value) => typeof value === 'function').optional(),
});

test('good options come back with their defaults, frozen, and nothing of the caller in them', () => {
  const input = { deep: { list: [1] } };
  const schema = z.strictObject({ deep: z.object({ list: z.array(z.number()) }), size: z.number().default(7) });
  const { value } = checkOptions(schema, input);
  assert.deepEqual(value, { deep: { list: [1] }, size: 7 });
  assert.ok(Object.isFrozen(value?.deep.list));
  input.deep.list.push(2);
  assert.deepEqual(value?.deep.list, [1]);
  assert.deepEqual(checkOptions(z.strictObject({ size: z.number().default(7) }), undefined).value, { size: 7 });
});

test('a misspelt key is named once, with the key that was meant', () => {
  assert.deepEqual(problems(strict, { bukcet: 'x', bucket: 'x' }), [
    'storage.gcs.bukcet: unknown option, did you mean "bucket"?',
  ]);
});

test('a key that is like no other gets no suggestion', () => {
  assert.deepEqual(problems(strict, { bucket: 'x', zebra: 1 }), ['storage.gcs.zebra: unknown option']);
});

test('letters that changed places, and another way of writing a name, are understood', () => {
  const schema = z.object({ file: z.string().optional(), rootDirectory: z.string().optional() });
  assert.deepEqual(problems(schema, { flie: '', root_directory: '', filter: '', a: '' }), [
    'storage.gcs.flie: unknown option, did you mean "file"?',
    'storage.gcs.root_directory: unknown option, did you mean "rootDirectory"?',
    'storage.gcs.filter: unknown option',
    'storage.gcs.a: unknown option',
  ]);
});

test('everything is said at once', () => {
  assert.deepEqual(problems(strict, { bukcet: 1, sinks: [{ url: 'a' }, { uri: 'b', url: 5 }], retry: { limt: 1 } }), [
    'storage.gcs.bukcet: unknown option, did you mean "bucket"?',
    'storage.gcs.sinks[1].uri: unknown option, did you mean "url"?',
    'storage.gcs.retry.limt: unknown option, did you mean "limit"?',
    'storage.gcs.bucket: Invalid input: expected string, received undefined',
    'storage.gcs.sinks[1].url: Invalid input: expected string, received number',
  ]);
});

test('a schema that would silently drop unknown keys does not get away with it', () => {
  const lax = z.object({ inner: z.object({ a: z.number().optional() }) });
  assert.deepEqual(problems(lax, { inner: { b: 1 }, outer: 1 }), [
    'storage.gcs.inner.b: unknown option, did you mean "a"?',
    'storage.gcs.outer: unknown option',
  ]);
});

test('records, loose objects and what JSON cannot say keep the keys that they are given', () => {
  const input = { bucket: 'x', labels: { any: 'thing' }, extra: { a: 1, b: 2 }, onDrop: () => undefined };
  assert.deepEqual(problems(strict, input), []);
});

test('the variants of a union each know their own keys', () => {
  const a = z.object({ type: z.literal('a'), key: z.string() });
  const b = z.object({ type: z.literal('b'), file: z.string() });
  for (const union of [z.union([a, b]), z.discriminatedUnion('type', [a, b])]) {
    const schema = z.object({ credentials: union });
    assert.deepEqual(problems(schema, { credentials: { type: 'b', file: 'x' } }), []);
    assert.deepEqual(problems(schema, { credentials: { type: 'b', file: 'x', flie: 1 } }), [
      'storage.gcs.credentials.flie: unknown option, did you mean "file"?',
    ]);
    assert.deepEqual(problems(schema, { credentials: { type: 'a', file: 'x' } }), [
      'storage.gcs.credentials.file: unknown option',
      'storage.gcs.credentials.key: Invalid input: expected string, received undefined',
    ]);
  }
});

test('a union with a plain value says what is wrong in the object that it was given', () => {
  const schema = z.object({ purge: z.union([z.literal(false), z.strictObject({ age: z.number() })]) });
  assert.deepEqual(problems(schema, { purge: false }), []);
  assert.deepEqual(problems(schema, { purge: { age: 'x', agee: 1 } }), [
    'storage.gcs.purge.agee: unknown option, did you mean "age"?',
    'storage.gcs.purge.age: Invalid input: expected number, received string',
  ]);
});

test('an intersection knows the keys of both sides', () => {
  const both = z.intersection(z.object({ a: z.string() }), z.object({ b: z.string() }));
  assert.deepEqual(problems(both, { a: '', b: '' }), []);
  assert.deepEqual(problems(both, { a: '', b: '', cc: '' }), ['storage.gcs.cc: unknown option']);
});

test('a schema that refers to itself is followed as deep as the options go', () => {
  interface Rule {
    name: string;
    rules?: Rule[] | undefined;
  }
  const rule: z.ZodType<Rule> = z.lazy(() => z.object({ name: z.string(), rules: z.array(rule).optional() }));
  const schema = z.object({ rule });
  assert.deepEqual(problems(schema, { rule: { name: 'a', rules: [{ name: 'b', rules: [{ name: 'c', nam: 1 }] }] } }), [
    'storage.gcs.rule.rules[0].rules[0].nam: unknown option, did you mean "name"?',
  ]);
});

test('tuples are looked into', () => {
  const schema = z.object({ pair: z.tuple([z.object({ left: z.number() }), z.object({ right: z.number() })]) });
  assert.deepEqual(
    problems(schema, { pair: [{ left: 1 }, { rigth: 1 }] })[0],
    'storage.gcs.pair[1].rigth: unknown option, did you mean "right"?',
  );
});

test('without a JSON Schema, a key that the output lacks was unknown', () => {
  const schema = stripping({ retry: ['limit'], plain: [] });
  assert.deepEqual(problems(schema, { retry: { limit: 1 } }), []);
  assert.deepEqual(problems(schema, { retry: { limit: 1, limt: 2 }, rety: {}, absent: undefined }), [
    'storage.gcs.retry.limt: unknown option, did you mean "limit"?',
    'storage.gcs.rety: unknown option, did you mean "retry"?',
  ]);
});

test('a JSON Schema of any library is understood: references, patterns, unevaluatedProperties, booleans', () => {
  const document = {
    $defs: { 'a/b': { type: 'object', properties: { x: { type: 'number' } }, unevaluatedProperties: false } },
    type: 'object',
    properties: { ref: { $ref: '#/$defs/a~1b' }, any: true },
    patternProperties: { '^x-': { type: 'string' } },
  };
  const validate = (value: unknown) => ({ value });
  const standard = {
    version: 1,
    vendor: 'json',
    validate,
    jsonSchema: { input: () => document, output: () => document },
  };
  const schema = { '~standard': standard } as StandardSchemaV1;
  assert.deepEqual(problems(schema, { ref: { x: 1 }, any: { thing: 1 }, 'x-odd': '' }), []);
  assert.deepEqual(problems(schema, { ref: { y: 1 }, 'y-odd': '' }), [
    'storage.gcs.ref.y: unknown option, did you mean "x"?',
    'storage.gcs.y-odd: unknown option',
  ]);
});

test("a strict library's own word on an unknown key is not repeated", () => {
  const document = { type: 'object', properties: { bucket: {} } };
  const issue = { message: 'bukcet must be removed', path: [{ key: 'bukcet' }] };
  const standard = {
    version: 1,
    vendor: 'x',
    validate: () => ({ issues: [issue] }),
    jsonSchema: { input: () => document, output: () => document },
  };
  assert.deepEqual(problems({ '~standard': standard } as StandardSchemaV1, { bukcet: 1 }), [
    'storage.gcs.bukcet: unknown option, did you mean "bucket"?',
  ]);
});

test('what is no options object is refused clearly', () => {
  class Options {
    bucket = 'x';
  }
  const sorts: [unknown, string][] = [
    [null, 'null'],
    [[], 'an array'],
    ['bucket', 'a string'],
    [Symbol('x'), 'a symbol'],
    [() => undefined, 'a function'],
    [new Options(), 'an instance of Options'],
  ];
  for (const [value, sort] of sorts) {
    assert.deepEqual(problems(strict, value), [`storage.gcs: must be an object of options, not ${sort}`]);
  }
});

test('odd keys are refused clearly: symbols, __proto__, and an instance where options are listed', () => {
  class Retry {
    limit = 1;
  }
  assert.deepEqual(problems(strict, { bucket: '', [Symbol('odd')]: 1 }), ['storage.gcs[Symbol(odd)]: unknown option']);
  assert.deepEqual(problems(strict, JSON.parse('{"bucket":"","__proto__":{}}')), [
    'storage.gcs.__proto__: unknown option',
  ]);
  assert.deepEqual(problems(strict, JSON.parse('{"bucket":"","labels":{"__proto__":"x"}}')), [
    'storage.gcs.labels.__proto__: unknown option',
  ]);
  assert.deepEqual(problems(strict, { bucket: '', retry: new Retry() }), [
    'storage.gcs.retry: must be a plain object, not an instance of Retry',
  ]);
  assert.deepEqual(problems(strict, { bucket: '', 'odd key': 1 }), ['storage.gcs["odd key"]: unknown option']);
});

test('options that contain themselves are refused, not followed', () => {
  const circle: Record<string, unknown> = { bucket: '' };
  circle.retry = { limit: [circle] };
  assert.deepEqual(problems(strict, circle), ['storage.gcs: must not contain itself']);
  const shared = { limit: 1 };
  assert.deepEqual(problems(z.object({ a: z.any(), b: z.any() }), { a: shared, b: shared }), []);
});

test('a schema that cannot answer at once, or throws, is a problem and no crash', () => {
  const late = answering(() => Promise.resolve({ value: {} }));
  const failing = answering(() => Promise.reject(new Error('later')));
  const throwing = answering(() => {
    throw new Error('broken');
  });
  assert.deepEqual(problems(late, {}), ['storage.gcs: the schema must check synchronously']);
  assert.deepEqual(problems(failing, {}), ['storage.gcs: the schema must check synchronously']);
  assert.deepEqual(problems(throwing, {}), ['storage.gcs: cannot be checked: broken']);
});

const keyed = z.object({
  user: z.string(),
  key: secret(z.string().min(30)),
  pin: secret(z.number()).optional(),
  nested: secret(z.object({ parts: z.array(z.string()) })).optional(),
  token: secret(z.string())
    .transform((text) => text.length)
    .optional(),
});

test('redact hides secrets at any depth, unknown keys, and instances', () => {
  class Client {}
  const shown = redact(keyed, {
    user: 'me',
    key: 'k',
    pin: 5,
    nested: { parts: ['p'] },
    token: 't',
    kye: 'k',
    client: 1,
  });
  const hidden = '[secret]';
  assert.deepEqual(shown, {
    user: 'me',
    key: hidden,
    pin: hidden,
    nested: hidden,
    token: hidden,
    kye: hidden,
    client: hidden,
  });
  assert.deepEqual(redact(z.object({ client: z.any(), run: z.any() }), { client: new Client(), run: () => 1 }), {
    client: '[Client]',
    run: '[function]',
  });
  assert.deepEqual(redact(z.object({ url: z.union([secret(z.string()), z.number()]) }), { url: 'redis://:pw@h' }), {
    url: hidden,
  });
});

test('live objects are not gone into, be they as circular as they like', () => {
  const live: Record<string, unknown> = { log: () => undefined, list: [] };
  live.self = live;
  const schema = z.strictObject({ logger: z.custom(() => true), key: z.string() });
  assert.equal(checkOptions(schema, { logger: live, key: 'k' }).value?.logger, live);
  assert.deepEqual(problems(schema, { logger: live }), [
    'storage.gcs.key: Invalid input: expected string, received undefined',
  ]);
  assert.deepEqual(redact(schema, { logger: live }), { logger: '[Object]' });
  assert.deepEqual(redact(stripping({}), { logger: live }), { logger: '[Object]' });
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  assert.equal(redact(schema, circle), '[circular]');
  const hidden = z.strictObject({ client: secret(z.custom(() => true)), key: z.string() });
  assert.equal(problems(hidden, { client: live }).length, 1);
});

test('a group with callbacks is checked like any other', () => {
  const schema = z.object({
    queue: z.object({ onDrop: z.custom(() => true), limit: z.number(), key: secret(z.string()) }),
  });
  const onDrop = () => undefined;
  assert.deepEqual(problems(schema, { queue: { onDrop, limit: 1, limt: 2, key: 'k' } }), [
    'storage.gcs.queue.limt: unknown option, did you mean "limit"?',
  ]);
  assert.deepEqual(redact(schema, { queue: { onDrop, limit: 1, key: 'k' } }), {
    queue: { onDrop: '[function]', limit: 1, key: '[secret]' },
  });
});

test('without a JSON Schema every text is hidden', () => {
  const schema = stripping({ plain: [] });
  assert.deepEqual(redact(schema, { plain: { a: 'x', n: 5, list: ['y'] } }), {
    plain: { a: '[secret]', n: 5, list: ['[secret]'] },
  });
});

test('no message quotes a secret, whatever the library does', () => {
  const quoting = keyed.superRefine((value, context) => {
    context.addIssue({
      code: 'custom',
      message: `${value.user} may not use "${value.key}" or ${value.pin}, a ${value.token}`,
    });
  });
  const key = 'q"uote\\d secret of more than thirty';
  const text = problems(quoting, { user: 'me', key, pin: 77, nested: { parts: [] } }).join();
  assert.match(text, /me may not use "\[secret\]" or \[secret\]/);
  const echo = answering((value) => ({ issues: [{ message: `bad input ${JSON.stringify(value)}` }] }));
  const line = problems(echo, { a: { b: 'hunter2', c: 'pw', d: 'bad "x"' } }).join();
  assert.equal(line, 'storage.gcs: bad input {"a":{"b":"[secret]","c":"[secret]","d":"[secret]"}}');
});

test('an option that is a plugin is checked with its own options, and for its kind', () => {
  const storage = definePlugin({
    kind: 'layer',
    name: 'cdn',
    options: z.strictObject({ bases: z.array(z.object({ url: z.string() })) }),
    create: () => ({ resolve: () => undefined }),
  });
  const schema = z.strictObject({ layer: pluginOf('layer'), auth: pluginOf('auth').optional() });
  const good = storage({ bases: [{ url: 'x' }] });
  assert.equal(checkOptions(schema, { layer: good }).value?.layer, good);
  // @ts-expect-error  a misspelt option must not compile
  const bad = storage({ basses: [] });
  assert.deepEqual(problems(schema, { layer: bad, auth: good }, ''), [
    'layer.cdn.basses: unknown option, did you mean "bases"?',
    'layer.cdn.bases: Invalid input: expected array, received undefined',
    'auth: must be a plugin of kind auth, and cdn is one of kind layer',
  ]);
  assert.deepEqual(problems(schema, { layer: storage }, ''), [
    'layer: must be a plugin of kind layer: the factory has to be called, with options or without',
  ]);
  assert.deepEqual(problems(schema, { layer: {} }, ''), ['layer: must be a plugin of kind layer']);
});

test.run();
