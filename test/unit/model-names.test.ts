// Repository names and tags: the grammar, its bounds, and input that is made to be slow.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import {
  digestOf,
  isDigestReference,
  isRepositoryName,
  isTag,
  MAX_REPOSITORY_NAME_LENGTH,
  parseReference,
  parseRepositoryName,
  parseTag,
  referrersTag,
} from '../../lib/model/index.js';

const GOOD_NAMES = [
  'a',
  '0',
  'library/alpine',
  'a/b/c/d/e/f/g',
  'a-b',
  'a--b',
  `a${'-'.repeat(40)}b`,
  'a.b',
  'a_b',
  'a__b',
  'a.b_c__d-e--f/0.1',
  'v2',
  'v2/blobs/uploads',
  'a/manifests/b',
  'xn--bcher-kva',
];

const BAD_NAMES = [
  '',
  '/',
  'a/',
  '/a',
  'a//b',
  'A',
  'library/Alpine',
  '-a',
  'a-',
  '.a',
  'a.',
  '_a',
  'a_',
  'a..b',
  'a___b',
  'a_-b',
  'a._b',
  'a/-b',
  'a/_layers',
  'a/../b',
  '..',
  '.',
  'a/./b',
  'a b',
  'a:b',
  'a@b',
  'a%2fb',
  'a\\b',
  'a\n',
  'a\0',
  'é',
  'ａ',
];

test('a repository name keeps to the grammar of the specification', () => {
  for (const name of GOOD_NAMES) {
    assert.equal(isRepositoryName(name), true, name);
    assert.equal(parseRepositoryName(name), name);
  }
  for (const name of BAD_NAMES) {
    assert.equal(isRepositoryName(name), false, JSON.stringify(name));
    assert.throws(() => parseRepositoryName(name), { code: 'NAME_INVALID', status: 400 }, JSON.stringify(name));
  }
});

test('a repository name has at most 255 characters, slashes included', () => {
  assert.equal(MAX_REPOSITORY_NAME_LENGTH, 255);
  assert.equal(isRepositoryName('a'.repeat(255)), true);
  assert.equal(isRepositoryName('a'.repeat(256)), false);
  assert.equal(isRepositoryName(`${'a/'.repeat(127)}a`), true);
  assert.equal(isRepositoryName(`${'a/'.repeat(127)}ab`), false);
});

test('every single character is judged as the grammar says', () => {
  for (let code = 0; code < 0x180; code += 1) {
    const character = String.fromCharCode(code);
    assert.equal(isRepositoryName(character), /[a-z0-9]/.test(character), `alone: ${code}`);
    assert.equal(isRepositoryName(`a${character}b`), /[a-z0-9._/-]/.test(character), `within: ${code}`);
    assert.equal(isTag(character), /[A-Za-z0-9_]/.test(character), `tag: ${code}`);
    assert.equal(isTag(`a${character}`), /[A-Za-z0-9_.-]/.test(character), `in a tag: ${code}`);
  }
});

// Were the work anything but linear in these, this file would not end.
test('long input that nearly matches is refused without delay, and repeated only in part', () => {
  for (const part of ['a', 'a-', 'a_', 'a__', 'a.', 'a/', '-', '_', '/', 'a/a-a__a.']) {
    const text = `${part.repeat(1 << 20)}!`;
    assert.equal(isRepositoryName(text), false);
    assert.equal(isTag(text), false);
    assert.throws(() => parseRepositoryName(text), { code: 'NAME_INVALID', detail: { name: text.slice(0, 300) } });
    assert.throws(() => parseTag(text), { code: 'TAG_INVALID', detail: { tag: text.slice(0, 200) } });
  }
  // Within the bound of 255 characters, where the grammar itself is at work.
  for (const part of ['a', 'a-', 'a_', 'a__', 'a--', 'a.', 'a/']) {
    const text = `${part.repeat(200).slice(0, 254)}!`;
    for (let round = 0; round < 1000; round += 1) assert.equal(isRepositoryName(text), false);
  }
});

test('a tag has 1 to 128 characters, the first neither a dot nor a hyphen', () => {
  for (const tag of ['latest', 'v1', 'V1.0-rc_2', '_', '__', '1', 'a.', 'a-', 'a..b', 'a'.repeat(128)]) {
    assert.equal(isTag(tag), true, tag);
    assert.equal(parseTag(tag), tag);
  }
  for (const tag of ['', '.', '-', '.a', '-a', 'a/b', 'a:b', 'a b', 'a+b', 'a\n', 'ä', '..', 'a'.repeat(129)]) {
    assert.equal(isTag(tag), false, JSON.stringify(tag));
    assert.throws(() => parseTag(tag), { code: 'TAG_INVALID', status: 400 }, JSON.stringify(tag));
  }
});

test('a reference with a colon is a digest or nothing, one without is a tag or nothing', () => {
  const digest = digestOf(Buffer.from('x'));
  assert.equal(isDigestReference(parseReference(digest)), true);
  assert.equal(isDigestReference(parseReference('latest')), false);
  assert.equal(isDigestReference(parseReference('sha256')), false);
  for (const text of ['sha256:zzz', 'sha256:', ':', 'latest:', `${digest}0`, 'md5:00']) {
    assert.throws(() => parseReference(text), { code: 'DIGEST_INVALID' }, text);
  }
  for (const text of ['', '-', 'a/b', 'a'.repeat(129)]) {
    assert.throws(() => parseReference(text), { code: 'TAG_INVALID' }, text);
  }
});

test('the referrers tag of a digest is a tag, at most 32 characters of algorithm and 64 of its encoding', () => {
  const content = Buffer.from('subject');
  const short = digestOf(content);
  const long = digestOf(content, 'sha512');
  assert.equal(referrersTag(short), short.replace(':', '-'));
  assert.equal(referrersTag(long), `sha512-${long.slice(7, 71)}`);
  for (const digest of [short, long]) assert.equal(isTag(referrersTag(digest)), true);
});

test.run();
