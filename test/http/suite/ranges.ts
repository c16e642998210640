// `Range` of a download (RFC 9110, section 14.2): one range is answered, nonsense is ignored.
import assert from 'node:assert/strict';
import { content, digestOf, pushBlob } from '../../support/content.js';
import { answered, refused, sameBytes } from './answers.js';
import { SIZES } from './blobs.js';
import type { Suite } from './index.js';

/** What each header means for `size` bytes: first and last byte. */
function satisfiable(size: number): Readonly<Record<string, readonly [number, number]>> {
  const last = size - 1;
  return {
    'bytes=0-0': [0, 0],
    'bytes=0-': [0, last],
    'bytes=10-': [10, last],
    'bytes=10-19': [10, 19],
    [`bytes=10-${size}`]: [10, last],
    'bytes=10-99999999999999999999': [10, last],
    [`bytes=${last}-`]: [last, last],
    'bytes=-1': [last, last],
    'bytes=-10': [size - 10, last],
    [`bytes=-${size + 1}`]: [0, last],
  };
}

const IGNORED = [
  'bytes=0-1,3-4',
  'bytes=0-1, -1',
  `bytes=${'0-1,'.repeat(1500)}2-3`,
  'bytes=-',
  'bytes=',
  'bytes',
  'bytes=a-b',
  'bytes=0x0-0x5',
  'bytes=--5',
  'bytes=1.0-2',
  'items=0-1',
  '0-1',
];

export const rangesSuite: Suite = (test, open) => {
  for (const [kind, size] of Object.entries(SIZES)) {
    test(`a range of a ${kind} blob is 206`, async () => {
      const at = await open();
      const bytes = content(size);
      const digest = await pushBlob(at, 'r', bytes);
      for (const [range, [start, end]] of Object.entries(satisfiable(size))) {
        const answer = answered(await at.send('GET', `/v2/r/blobs/${digest}`, { headers: { Range: range } }), 206);
        assert.equal(answer.headers['content-range'], `bytes ${start}-${end}/${size}`, range);
        assert.equal(answer.headers['content-length'], String(end - start + 1), range);
        assert.equal(answer.headers['docker-content-digest'], digest);
        sameBytes(answer.body, bytes.subarray(start, end + 1));
      }
    });

    test(`several ranges of a ${kind} blob, and nonsense, answer the whole`, async () => {
      const at = await open();
      const digest = await pushBlob(at, 'r', content(size));
      for (const range of IGNORED) {
        const answer = answered(await at.send('GET', `/v2/r/blobs/${digest}`, { headers: { Range: range } }), 200);
        assert.equal(answer.headers['content-range'], undefined);
        sameBytes(answer.body, content(size));
      }
    });

    test(`a range beyond a ${kind} blob, or that ends before it begins, is 416 with its size`, async () => {
      const at = await open();
      const digest = await pushBlob(at, 'r', content(size));
      for (const range of [
        `bytes=${size}-`,
        `bytes=${size}-${size + 5}`,
        'bytes=-0',
        'bytes=5-2',
        'bytes=99999999999999999999-',
      ]) {
        const answer = await at.send('GET', `/v2/r/blobs/${digest}`, { headers: { Range: range } });
        refused(answer, 416, 'RANGE_INVALID');
        assert.equal(answer.headers['content-range'], `bytes */${size}`);
      }
    });
  }

  test('no range of an empty blob can be had', async () => {
    const at = await open();
    await pushBlob(at, 'r', '');
    for (const range of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) {
      const answer = await at.send('GET', `/v2/r/blobs/${digestOf('')}`, { headers: { Range: range } });
      refused(answer, 416, 'RANGE_INVALID');
      assert.equal(answer.headers['content-range'], 'bytes */0');
    }
  });

  test('HEAD knows no ranges', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', content(1000));
    for (const range of ['bytes=0-9', 'bytes=2000-']) {
      const answer = answered(await at.send('HEAD', `/v2/r/blobs/${digest}`, { headers: { Range: range } }), 200);
      assert.equal(answer.headers['content-length'], '1000');
    }
  });

  test('If-Range that names another content asks for the whole', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', content(1000));
    const ask = (condition: string) =>
      at.send('GET', `/v2/r/blobs/${digest}`, { headers: { Range: 'bytes=0-9', 'If-Range': condition } });
    answered(await ask(`"${digest}"`), 206);
    for (const condition of ['"x"', `W/"${digest}"`, new Date().toUTCString()]) answered(await ask(condition), 200);
  });

  test('a range that a client asks for is not an answer to a condition that holds', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', content(1000));
    const headers = { Range: 'bytes=0-9', 'If-None-Match': `"${digest}"` };
    answered(await at.send('GET', `/v2/r/blobs/${digest}`, { headers }), 304);
  });
};
