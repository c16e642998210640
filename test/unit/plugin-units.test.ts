// Durations and sizes: what is read, what is refused and with which words.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { z } from 'zod';
import { duration, size } from '../../lib/plugin/index.js';

function refusal(schema: z.ZodType, value: unknown): string | undefined {
  return schema.safeParse(value).error?.issues[0]?.message;
}

test('a duration is milliseconds, or a string with units', () => {
  const read: [number | string, number][] = [
    [0, 0],
    [1500, 1500],
    ['500ms', 500],
    ['20m', 1_200_000],
    ['1.5h', 5_400_000],
    ['1h30m', 5_400_000],
    ['7d', 604_800_000],
    ['168h', 604_800_000],
    ['2w', 1_209_600_000],
    ['90s', 90_000],
  ];
  for (const [input, output] of read) assert.equal(duration().parse(input), output, String(input));
});

test('a size is bytes, or a string with a unit of 1000 or of 1024', () => {
  const read: [number | string, number][] = [
    [0, 0],
    [5_242_880, 5_242_880],
    ['5242880', 5_242_880],
    ['16MiB', 16 * 2 ** 20],
    ['64KiB', 65_536],
    ['4MB', 4_000_000],
    ['4 mb', 4_000_000],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['2TB', 2e12],
    ['10B', 10],
  ];
  for (const [input, output] of read) assert.equal(size().parse(input), output, String(input));
});

test('what is neither is refused by saying what it must be', () => {
  for (const value of [
    '20',
    'm',
    '-5s',
    '20 minutes',
    '',
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    true,
    null,
    {},
    '9e9d',
  ]) {
    assert.equal(refusal(duration(), value), 'must be milliseconds or a string such as "20m"', String(value));
  }
  for (const value of ['16M', 'MiB', '-1B', '', -1, 0.5, true, '1e3', '9999999TiB']) {
    assert.equal(refusal(size(), value), 'must be a whole number of bytes or a string such as "16MiB"', String(value));
  }
});

test('bounds are inclusive, and named as they were written', () => {
  const pause = duration({ min: '1s', max: 60_000 });
  assert.equal(pause.parse('1s'), 1000);
  assert.equal(pause.parse('1m'), 60_000);
  assert.equal(refusal(pause, '999ms'), 'must be at least 1s');
  assert.equal(refusal(pause, '61s'), 'must be at most 60000 ms');
  assert.equal(refusal(size({ min: '5MiB' }), 1), 'must be at least 5MiB');
  assert.throws(() => duration({ min: 'soon' }), TypeError);
});

test('defaults are given as output, or as input with prefault', () => {
  const schema = z.object({ a: duration().default(5), b: duration().prefault('20m') });
  assert.deepEqual(schema.parse({}), { a: 5, b: 1_200_000 });
});

test('both still say what they take as a JSON Schema', () => {
  const schema = z.object({ age: duration(), chunk: size().optional() });
  const document = schema['~standard'].jsonSchema.input({ target: 'draft-2020-12' });
  assert.deepEqual(document.properties, { age: { type: ['number', 'string'] }, chunk: { type: ['number', 'string'] } });
});

test.run();
