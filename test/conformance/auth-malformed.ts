// Values of `Authorization` that are nobody's: whatever a handler makes of them, it must not be a grant,
// nor a fault.

const base64 = (value: string | Uint8Array) => Buffer.from(value).toString('base64');
const base64url = (value: string) => Buffer.from(value).toString('base64url');
const basic = (value: string | Uint8Array) => `Basic ${base64(value)}`;

/** A name and a password that no handler knows. */
export const NOBODY = { name: 'conformance-nobody', password: 'canary-of-nobody' } as const;

const HEADER = base64url('{"alg":"ES256","typ":"JWT","kid":"conformance"}');
const CLAIMS = base64url(
  '{"iss":"conformance","sub":"admin","access":[{"type":"repository","name":"*","actions":["*"]}]}',
);
const SIGNATURE = base64url('x'.repeat(64));
const jwt = (...parts: readonly string[]) => `Bearer ${parts.join('.')}`;
const jwtOf = (header: unknown) => jwt(base64url(JSON.stringify(header)), CLAIMS, SIGNATURE);

/** By what is wrong with each. */
export const MALFORMED: Readonly<Record<string, string>> = {
  'one letter': 'x',
  'a scheme that is none': '???',
  'only a comma': ',',
  'only an equals sign': '=',
  'a quoted string': '"Basic"',
  'no scheme': base64('a:b'),
  'no scheme, but a JWT': `${HEADER}.${CLAIMS}.${SIGNATURE}`,
  'Basic without a value': 'Basic',
  'Basic with parameters': 'Basic realm="x", user="y"',
  'Basic joined by a colon': `Basic:${base64('a:b')}`,
  'Basic joined by a tab': `Basic\t${base64('a:b')}`,
  'Basic twice': `Basic ${base64('a:b')} ${base64('c:d')}`,
  'Basic and a second scheme': `Basic ${base64('a:b')}, Bearer x`,
  'Basic that is not base64': 'Basic !!!!',
  'Basic in plain text': `Basic ${NOBODY.name}:${NOBODY.password}`,
  'Basic of padding only': 'Basic ====',
  'Basic padded in the middle': 'Basic YTp=iYg==',
  'Basic cut short': `Basic ${base64('somebody:something').slice(0, 9)}`,
  'Basic in base64url': `Basic ${Buffer.from('a:\u00ff\u00ff\u00fe?>').toString('base64url')}`,
  'Basic without a colon': basic('somebody'),
  'Basic of nothing': 'Basic =',
  'Basic of invalid UTF-8': basic(Buffer.of(0x61, 0x3a, 0xff, 0xfe)),
  'Basic of overlong UTF-8': basic(Buffer.of(0xc0, 0xba, 0x61, 0x3a, 0x62)),
  'Basic of a lone surrogate': basic(Buffer.of(0x61, 0x3a, 0xed, 0xa0, 0x80)),
  'Basic of a NUL': basic('a:b\0c'),
  'Basic of a NUL in the name': basic('a\0:b'),
  'Basic of a line feed': basic('a:b\nX-Forged: yes'),
  'Basic of CR and LF in the name': basic('a\r\nX-Forged: yes:b'),
  'Basic of an escape sequence': basic('\u001b[2J:b'),
  'Basic of DEL': basic('a\u007f:b'),
  'Basic of a byte order mark': basic('\ufeff:'),
  'Basic with a name only': basic(`${NOBODY.name}:`),
  'Basic with a password only': basic(`:${NOBODY.password}`),
  'Basic of an unknown name': basic(`${NOBODY.name}:${NOBODY.password}`),
  'Basic of a name that is a member of objects': basic('__proto__:x'),
  'Basic of another such name': basic('constructor:x'),
  'Basic of 6 KB': basic(`${'a'.repeat(3000)}:${'b'.repeat(3000)}`),
  'Latin-1 bytes': `Basic \u00e4\u00f6\u00fc`,
  'Bearer without a value': 'Bearer',
  'Bearer with spaces': 'Bearer a b c',
  'Bearer with a comma': 'Bearer a,b',
  'Bearer with quotes': 'Bearer "token"',
  'Bearer of a word': 'Bearer garbage',
  'Bearer of null': 'Bearer null',
  'Bearer of undefined': 'Bearer undefined',
  'Bearer of Basic': `Bearer ${base64('a:b')}`,
  'Bearer of 8 KB': `Bearer ${'x'.repeat(8 * 1024)}`,
  'Bearer of dots': 'Bearer ...',
  'a JWT of two parts': jwt(HEADER, CLAIMS),
  'a JWT of five parts': jwt(HEADER, CLAIMS, SIGNATURE, CLAIMS, SIGNATURE),
  'a JWT of empty parts': jwt('', '', ''),
  'a JWT without a header': jwt('', CLAIMS, SIGNATURE),
  'a JWT without claims': jwt(HEADER, '', SIGNATURE),
  'a JWT without a signature': jwt(HEADER, CLAIMS, ''),
  'a JWT whose header is no JSON': jwt(base64url('{'), CLAIMS, SIGNATURE),
  'a JWT whose header is null': jwtOf(null),
  'a JWT whose header is a list': jwtOf([]),
  'a JWT whose header is a number': jwtOf(1),
  'a JWT whose claims are no JSON': jwt(HEADER, base64url('{'), SIGNATURE),
  'a JWT whose claims are no base64url': jwt(HEADER, '+/+/', SIGNATURE),
  'a JWT of nobody': jwt(HEADER, CLAIMS, SIGNATURE),
  'a JWT that is not signed': jwt(base64url('{"alg":"none"}'), CLAIMS, ''),
  'a JWT that says NONE': jwtOf({ alg: 'NONE' }),
  'a JWT without an algorithm': jwtOf({ typ: 'JWT' }),
  'a JWT whose algorithm is a list': jwtOf({ alg: ['ES256'] }),
  'a JWT whose kid is an object': jwtOf({ alg: 'ES256', kid: { a: 1 } }),
  'a JWT whose kid is a path': jwtOf({ alg: 'HS256', kid: '../../../../dev/null' }),
  'a JWT that brings its key': jwtOf({ alg: 'ES256', jwk: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' } }),
  'a JWT that asks for the unknown': jwtOf({ alg: 'ES256', crit: ['x'], x: true }),
  Negotiate: 'Negotiate YIIB',
  NTLM: 'NTLM TlRMTVNTUAABAAAA',
  Digest: 'Digest username="a", realm="b", nonce="c", uri="/", response="d"',
  'a signature of another service': 'AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=d',
  token: 'token abcdef',
};
