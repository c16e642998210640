// Image references as people write them: `host:port/path:tag@digest`, in all combinations.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { digestOf, formatImageReference, parseImageReference } from '../../lib/model/index.js';

const HOSTS = [
  undefined,
  'localhost',
  'localhost:5000',
  'registry.example',
  'registry.example:443',
  'host:5000',
  '127.0.0.1',
  '127.0.0.1:5000',
  '[::1]',
  '[::1]:5000',
  '[2001:db8::1]:65535',
  '[::ffff:127.0.0.1]:80',
  'Registry.Example',
  'HOST',
  'xn--bcher-kva.example',
];
const REPOSITORIES = ['alpine', 'library/alpine', 'a/b-c/d__e', 'v2/x', 'a'.repeat(255)];
const TAGS = [undefined, 'latest', 'V1.0-rc_2', '5000', 'a'.repeat(128)];
const DIGESTS = [undefined, digestOf(Buffer.from('x')), digestOf(Buffer.from('x'), 'sha512')];

test('every combination of host, path, tag and digest is taken apart and put together again', () => {
  for (const host of HOSTS) {
    for (const repository of REPOSITORIES) {
      for (const tag of TAGS) {
        for (const digest of DIGESTS) {
          const text = `${host ? `${host}/` : ''}${repository}${tag ? `:${tag}` : ''}${digest ? `@${digest}` : ''}`;
          const parsed = parseImageReference(text);
          const expected = { ...(host && { host }), repository, ...(tag && { tag }), ...(digest && { digest }) };
          assert.deepEqual(parsed, expected, text);
          assert.equal(formatImageReference(parsed), text);
        }
      }
    }
  }
});

test('the first component is a host only if it could not be one of a path, and something follows', () => {
  const cases: readonly (readonly [text: string, host: string | undefined, repository: string])[] = [
    ['library/alpine', undefined, 'library/alpine'],
    ['host/alpine', undefined, 'host/alpine'],
    ['localhost/alpine', 'localhost', 'alpine'],
    ['localhost', undefined, 'localhost'],
    ['docker.io', undefined, 'docker.io'],
    ['docker.io/alpine', 'docker.io', 'alpine'],
    ['LOCAL/alpine', 'LOCAL', 'alpine'],
    ['a/localhost/b', undefined, 'a/localhost/b'],
    ['a/b.c/d', undefined, 'a/b.c/d'],
  ];
  for (const [text, host, repository] of cases) {
    assert.deepEqual(parseImageReference(text), { ...(host && { host }), repository }, text);
  }
});

test('without a host a colon begins a tag', () => {
  assert.deepEqual(parseImageReference('alpine:5000'), { repository: 'alpine', tag: '5000' });
  assert.deepEqual(parseImageReference('host:5000/alpine'), { host: 'host:5000', repository: 'alpine' });
});

test('what is wrong with a reference has the code of the part that is wrong', () => {
  const digest = DIGESTS[1];
  const cases: readonly (readonly [text: string, code: string])[] = [
    ['', 'NAME_INVALID'],
    ['/', 'NAME_INVALID'],
    ['localhost/', 'NAME_INVALID'],
    ['localhost:5000/', 'NAME_INVALID'],
    ['Alpine', 'NAME_INVALID'],
    ['library/Alpine', 'NAME_INVALID'],
    ['https://registry.example/alpine', 'TAG_INVALID'],
    ['registry.example//alpine', 'NAME_INVALID'],
    ['user@registry.example/alpine', 'DIGEST_INVALID'],
    ['registry.example:port/alpine', 'TAG_INVALID'],
    ['registry.example:123456/alpine', 'TAG_INVALID'],
    ['-registry.example/alpine', 'NAME_INVALID'],
    ['registry..example/alpine', 'NAME_INVALID'],
    ['[::1/alpine', 'NAME_INVALID'],
    ['::1/alpine', 'NAME_INVALID'],
    [`localhost/${'a'.repeat(256)}`, 'NAME_INVALID'],
    ['alpine:', 'TAG_INVALID'],
    ['alpine:-', 'TAG_INVALID'],
    ['alpine:a:b', 'TAG_INVALID'],
    [`alpine:${'a'.repeat(129)}`, 'TAG_INVALID'],
    [`alpine:@${digest}`, 'TAG_INVALID'],
    ['alpine@', 'DIGEST_INVALID'],
    ['alpine@latest', 'DIGEST_INVALID'],
    ['alpine@sha256:zzz', 'DIGEST_INVALID'],
    [`alpine@${digest}:latest`, 'DIGEST_INVALID'],
    [`alpine@${digest}@${digest}`, 'DIGEST_INVALID'],
    [' alpine', 'NAME_INVALID'],
    ['alpine\n', 'NAME_INVALID'],
  ];
  for (const [text, code] of cases) assert.throws(() => parseImageReference(text), { code }, JSON.stringify(text));
});

// Were the work anything but linear in these, this file would not end.
test('long input that nearly matches is refused without delay', () => {
  for (const part of ['a', 'a.', 'a-', 'A-', '-', '.', ':', '1:', '[:', '[', 'a@', 'a/']) {
    for (const end of ['!', '-/a', ':', '!/a', '.!/a']) {
      const text = part.repeat(1 << 18) + end;
      assert.throws(() => parseImageReference(text), { name: 'RegistryError' });
    }
  }
});

test.run();
