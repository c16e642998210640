// Byte ranges of downloads and of chunks.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { type ByteRange, formatUploadRange, parseContentRange, parseRange } from '../../lib/model/index.js';

const HUGE = '9'.repeat(400);

test('a Range header names a part of what is there', () => {
  const cases: readonly (readonly [header: string, size: number, expected: readonly [number, number]])[] = [
    ['bytes=0-0', 10, [0, 0]],
    ['bytes=0-9', 10, [0, 9]],
    ['bytes=3-5', 10, [3, 5]],
    ['bytes=9-9', 10, [9, 9]],
    ['bytes=9-', 10, [9, 9]],
    ['bytes=0-', 10, [0, 9]],
    ['bytes=5-100', 10, [5, 9]],
    [`bytes=5-${HUGE}`, 10, [5, 9]],
    ['bytes=-1', 10, [9, 9]],
    ['bytes=-10', 10, [0, 9]],
    ['bytes=-11', 10, [0, 9]],
    [`bytes=-${HUGE}`, 10, [0, 9]],
    ['bytes= 3-5 ', 10, [3, 5]],
    ['bytes=0003-05', 10, [3, 5]],
  ];
  for (const [header, size, [start, end]] of cases) assert.deepEqual(parseRange(header, size), { start, end }, header);
});

test('a Range past the end, or that ends before it begins, is unsatisfiable', () => {
  for (const header of ['bytes=5-3', 'bytes=10-', 'bytes=10-10', 'bytes=11-20', 'bytes=-0', `bytes=${HUGE}-`]) {
    assert.equal(parseRange(header, 10), 'unsatisfiable', header);
  }
  for (const header of ['bytes=0-0', 'bytes=0-', 'bytes=-1', 'bytes=-0']) {
    assert.equal(parseRange(header, 0), 'unsatisfiable', header);
  }
});

test('anything else asks for the whole', () => {
  const ignored = [
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1-2,4-5',
    'bytes=1-2, 4-5',
    'bytes=--1',
    'bytes=1--2',
    'bytes=1.5-2',
    'bytes=0x1-2',
    'bytes=+1-2',
    'bytes 0-1',
    'octets=0-1',
    'seconds=0-1',
    '0-1',
    `bytes=${'1'.repeat(1 << 20)}x`,
  ];
  for (const header of ignored) assert.equal(parseRange(header, 10), undefined, header?.slice(0, 40));
});

test('of every range over a few sizes exactly the bytes that RFC 9110 says are meant', () => {
  for (let size = 0; size <= 5; size += 1) {
    const bytes = Array.from({ length: size }, (_, index) => index);
    const cut = (range: ByteRange | 'unsatisfiable' | undefined) =>
      typeof range === 'object' ? bytes.slice(range.start, range.end + 1) : range;
    const orNothing = (part: number[]) => (part.length > 0 ? part : 'unsatisfiable');
    for (let start = 0; start <= 7; start += 1) {
      assert.deepEqual(cut(parseRange(`bytes=${start}-`, size)), orNothing(bytes.slice(start)));
      const suffix = start === 0 ? [] : bytes.slice(-start);
      assert.deepEqual(cut(parseRange(`bytes=-${start}`, size)), orNothing(suffix));
      for (let end = start; end <= 7; end += 1) {
        assert.deepEqual(cut(parseRange(`bytes=${start}-${end}`, size)), orNothing(bytes.slice(start, end + 1)));
      }
    }
  }
});

test('the Content-Range of a chunk has no unit, and one with is understood', () => {
  const cases: readonly (readonly [header: string, start: number, end: number])[] = [
    ['0-0', 0, 0],
    ['0-99', 0, 99],
    [' 100-199 ', 100, 199],
    ['bytes 0-99', 0, 99],
    ['bytes=0-99', 0, 99],
    ['bytes 0-99/*', 0, 99],
    ['bytes 0-99/200', 0, 99],
    ['0-99/200', 0, 99],
    [`0-${Number.MAX_SAFE_INTEGER}`, 0, Number.MAX_SAFE_INTEGER],
  ];
  for (const [header, start, end] of cases) assert.deepEqual(parseContentRange(header), { start, end }, header);
});

test('a malformed Content-Range is no range', () => {
  const bad = [
    '',
    '-',
    '0-',
    '-1',
    '1',
    '5-3',
    'a-b',
    '0-1-2',
    '0 - 1',
    '-1-2',
    '0x0-1',
    '1.5-2',
    'bytes',
    'bytes */5',
  ];
  const more = ['bytes:0-1', 'octets 0-1', '0-1/', '0-1/x', '0-9007199254740992', `0-${HUGE}`, `${HUGE}-${HUGE}`];
  for (const header of [...bad, ...more]) assert.equal(parseContentRange(header), undefined, header.slice(0, 40));
});

test('the Range of a session ends at its last byte, and is 0-0 when there is none', () => {
  assert.equal(formatUploadRange(0), '0-0');
  assert.equal(formatUploadRange(1), '0-0');
  for (const size of [2, 100, 2 ** 40]) {
    assert.deepEqual(parseContentRange(formatUploadRange(size)), { start: 0, end: size - 1 });
  }
});

test.run();
