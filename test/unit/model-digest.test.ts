// Digests: which texts are one, and what becomes of those that are not.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'uvu';
import {
  DIGEST_ALGORITHMS,
  digestAlgorithm,
  digestHex,
  digestOf,
  finishDigest,
  isDigest,
  isDigestAlgorithm,
  parseDigest,
  parseDigestAlgorithm,
} from '../../lib/model/index.js';

const HEX_256 = '0123456789abcdef'.repeat(4);
const HEX_512 = HEX_256.repeat(2);

const BAD = [
  '',
  ':',
  'sha256',
  'sha256:',
  `:${HEX_256}`,
  HEX_256,
  `sha256:${HEX_256.slice(1)}`,
  `sha256:${HEX_256}0`,
  `sha256:${HEX_256.toUpperCase()}`,
  `SHA256:${HEX_256}`,
  `sha256:${HEX_256.slice(1)}g`,
  `sha256:${HEX_256.slice(1)}\n`,
  `sha256:${HEX_256}\n`,
  ` sha256:${HEX_256}`,
  `sha256:${HEX_512}`,
  `sha512:${HEX_256}`,
  `sha384:${'0'.repeat(96)}`,
  `md5:${'0'.repeat(32)}`,
  `sha256:sha256:${HEX_256.slice(7)}`,
  `sha256+b64:${HEX_256}`,
  `sha256:../../${HEX_256.slice(6)}`,
  // Members that every object has are no algorithms.
  `constructor:${HEX_256}`,
  `__proto__:${HEX_256}`,
  `toString:${HEX_256}`,
];

test('a digest is a registered algorithm and the right number of lower-case hexadecimal digits', () => {
  for (const text of [`sha256:${HEX_256}`, `sha512:${HEX_512}`]) {
    assert.equal(isDigest(text), true, text);
    assert.equal(parseDigest(text), text);
  }
});

test('anything else is DIGEST_INVALID', () => {
  for (const text of BAD) {
    assert.equal(isDigest(text), false, JSON.stringify(text));
    assert.throws(() => parseDigest(text), { name: 'RegistryError', code: 'DIGEST_INVALID', status: 400 }, text);
  }
});

test('the detail of a bad digest repeats no more than 200 characters of it', () => {
  assert.throws(() => parseDigest(`sha256:${'x'.repeat(1 << 20)}`), {
    detail: { digest: `sha256:${'x'.repeat(193)}` },
  });
  assert.throws(() => parseDigestAlgorithm('y'.repeat(1 << 20)), { detail: { algorithm: 'y'.repeat(64) } });
});

test('the algorithms are sha256 and sha512', () => {
  assert.deepEqual(Object.keys(DIGEST_ALGORITHMS), ['sha256', 'sha512']);
  for (const algorithm of ['sha256', 'sha512']) assert.equal(parseDigestAlgorithm(algorithm), algorithm);
  for (const text of ['', 'sha384', 'SHA256', 'constructor', 'sha256 ', '__proto__']) {
    assert.equal(isDigestAlgorithm(text), false, text);
    assert.throws(() => parseDigestAlgorithm(text), { code: 'DIGEST_INVALID' }, text);
  }
});

test('the digest of bytes is what node:crypto says it is, and comes apart again', () => {
  assert.equal(digestOf(Buffer.alloc(0)), 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  for (const algorithm of ['sha256', 'sha512'] as const) {
    for (const length of [0, 1, 63, 64, 65, 4096]) {
      const bytes = randomBytes(length);
      const digest = digestOf(bytes, algorithm);
      assert.equal(digestAlgorithm(parseDigest(digest)), algorithm);
      assert.equal(digestHex(digest), createHash(algorithm).update(bytes).digest('hex'));
      assert.equal(finishDigest(algorithm, createHash(algorithm).update(bytes)), digest);
      assert.equal(`${digestAlgorithm(digest)}:${digestHex(digest)}`, digest);
    }
  }
});

test('the digest is that of the view, not of the memory behind it', () => {
  const memory = Buffer.from('--content--');
  assert.equal(digestOf(memory.subarray(2, 9)), digestOf(Buffer.from('content')));
  assert.equal(digestOf(new Uint8Array(memory.buffer, memory.byteOffset + 2, 7)), digestOf(Buffer.from('content')));
});

test.run();
