// What `Authorization` says of a caller: nobody, somebody, or nothing that can be read.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { type Credentials, parseCredentials } from '../../lib/model/index.js';
import { basic, password } from '../support/credentials.js';

const PASSWORD = password('of a credential');
const UNKNOWN: Credentials = { scheme: 'unknown' };

const base64 = (text: string | Uint8Array) => Buffer.from(text).toString('base64');
const loginOf = (user: string, pass: string): Credentials => ({ scheme: 'basic', user, password: pass });

test('no header, or one that says nothing, is nobody', () => {
  assert.equal(parseCredentials(undefined), undefined);
  assert.equal(parseCredentials(''), undefined);
  for (const header of ['Basic Og==', 'Basic Og', 'basic Og==', 'BASIC  Og==', 'Basic Og== ']) {
    assert.equal(parseCredentials(header), undefined, header);
  }
});

test('a name without a password, and a password without a name, are somebody', () => {
  assert.deepEqual(parseCredentials(basic('alice', '').Authorization), loginOf('alice', ''));
  assert.deepEqual(parseCredentials(basic('', PASSWORD).Authorization), loginOf('', PASSWORD));
});

test('a name ends at the first colon; all that follows is the password', () => {
  const logins: readonly (readonly [user: string, pass: string])[] = [
    ['alice', PASSWORD],
    ['alice', `${PASSWORD}:with:colons:`],
    ['alice', ` ${PASSWORD} `],
    ['a b', PASSWORD],
    ['<token>', 'x'.repeat(10_000)],
    ['Zoë', `${PASSWORD} 密码 🔑`],
    ['\ufeffalice', PASSWORD],
  ];
  for (const [user, pass] of logins) {
    assert.deepEqual(parseCredentials(basic(user, pass).Authorization), loginOf(user, pass), user);
  }
});

test('a scheme is known in any case, and spaces around its value do not matter', () => {
  const value = base64(`alice:${PASSWORD}`);
  for (const header of [`basic ${value}`, `BASIC ${value}`, `bAsIc   ${value}`, `Basic ${value}   `]) {
    assert.deepEqual(parseCredentials(header), loginOf('alice', PASSWORD), header);
  }
  for (const header of ['bearer abc', 'BEARER abc', 'Bearer   abc', 'Bearer abc ']) {
    assert.deepEqual(parseCredentials(header), { scheme: 'bearer', token: 'abc' }, header);
  }
});

test('base64 may lack its padding', () => {
  for (const pass of ['canary', 'canary1', 'canary12']) {
    const value = base64(`alice:${pass}`).replace(/=+$/, '');
    assert.deepEqual(parseCredentials(`Basic ${value}`), loginOf('alice', pass));
  }
});

test('a token is whatever RFC 6750 allows for one, and is not looked into', () => {
  for (const token of ['a', 'a.b.c', 'A-Za_z0.9~+/', 'abc=', 'abc==', 'x'.repeat(16_000)]) {
    assert.deepEqual(parseCredentials(`Bearer ${token}`), { scheme: 'bearer', token }, token.slice(0, 40));
  }
});

test('what cannot be read is of an unknown scheme', () => {
  const headers = [
    ' ',
    'Basic',
    'Basic ',
    'Bearer',
    'Bearer ',
    `Basic${base64('alice:canary')}`,
    `Basic\t${base64('alice:canary')}`,
    `Basic\u00a0${base64('alice:canary')}`,
    `Basic ${base64('alice:canary')} more`,
    `Basic ${base64('alice:canary')},Bearer abc`,
    `Basic "${base64('alice:canary')}"`,
    `Basic ${base64('alice')}`,
    `Basic ${base64('')}`,
    'Basic A',
    'Basic ====',
    'Basic Og===',
    'Basic O=g=',
    'Basic Y2Fu*XJ5OmE=',
    'Basic Y2Fu-XJ5_mE6',
    'Bearer a b',
    'Bearer a,b',
    'Bearer a=b',
    'Bearer =',
    'Bearer "abc"',
    'Bearer abc===\u0000',
    'Bearer é',
    'Digest username="alice"',
    'Negotiate abc',
    'Basi abc',
    'Basics abc',
    ': abc',
    'Basic: abc',
    base64('alice:canary'),
    'alice:canary',
    `Basic ${'a'.repeat(100_000)}`,
    `Basic ${' '.repeat(100_000)}`,
    `${'a '.repeat(50_000)}`,
  ];
  for (const header of headers) {
    assert.deepEqual(parseCredentials(header), UNKNOWN, JSON.stringify(header.slice(0, 60)));
  }
});

test('a login that is no UTF-8, or has control characters, is of an unknown scheme', () => {
  const wrong = [
    Buffer.from('alice:\xff', 'latin1'),
    Buffer.from([0x61, 0x3a, 0xc3]),
    Buffer.from([0x61, 0x3a, 0xc0, 0x80]),
    Buffer.from([0x61, 0x3a, 0xed, 0xa0, 0x80]),
    Buffer.from('alice:canary\0'),
    Buffer.from('alice\n:canary'),
    Buffer.from('ali\x1bce:canary'),
    Buffer.from('alice:canary\x7f'),
    Buffer.from('alice:canary\t'),
  ];
  for (const bytes of wrong) {
    assert.deepEqual(parseCredentials(`Basic ${base64(bytes)}`), UNKNOWN, bytes.toString('hex'));
  }
});

test.run();
