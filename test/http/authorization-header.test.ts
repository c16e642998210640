// Malformed `Authorization` headers of every shape, as bytes on a socket: each is 401 with a challenge,
// none opens a door or breaks anything, and the connection goes on.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import bcrypt from 'bcrypt';
import { grantIf, type Plugin, parseCredentials } from 'koa-registry';
import { chain } from 'koa-registry/plugins/auth/chain';
import { host } from 'koa-registry/plugins/auth/host';
import { htpasswd } from 'koa-registry/plugins/auth/htpasswd';
import { rules } from 'koa-registry/plugins/auth/rules';
import { silly } from 'koa-registry/plugins/auth/silly';
import { token } from 'koa-registry/plugins/auth/token';
import { basic, password } from '../support/credentials.js';
import { BARE, type OpenRegistry } from '../support/registry.js';
import { tempFolder } from '../support/temp-folder.js';
import { bearer, ISSUER, SERVICE, TokenIssuer } from '../support/tokens.js';
import { type Suite, wireSuite } from './suite/index.js';

const CANARY = password('in a malformed header');
const base64 = (text: string | Uint8Array) => Buffer.from(text).toString('base64');
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Numbers from 0 to 1, the same in every run (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Values that somebody could send by mistake or on purpose; what precedes the first of them is `Authorization: `. */
const WRITTEN: readonly string[] = [
  'Basic',
  'Basic ',
  'Bearer',
  'Bearer ',
  'basic',
  'Basic:',
  ':',
  '::',
  ',',
  ';',
  '=',
  '"',
  '\\',
  '%',
  '%00',
  'null',
  'undefined',
  '[object Object]',
  '{}',
  '[]',
  'true',
  '0',
  CANARY,
  `alice:${CANARY}`,
  base64(`alice:${CANARY}`),
  `Basic alice:${CANARY}`,
  `Basic ${CANARY}`,
  `Basic${base64(`alice:${CANARY}`)}`,
  `Basic\t${base64(`alice:${CANARY}`)}`,
  `Basic  ${base64(`alice:${CANARY}`)}`,
  `Basic "${base64(`alice:${CANARY}`)}"`,
  `Basic ${base64(`alice:${CANARY}`)} ${base64('b:c')}`,
  `Basic ${base64(`alice:${CANARY}`)}, Bearer a.b.c`,
  `Basic ${base64(`alice:${CANARY}`)},Basic ${base64('b:c')}`,
  `Basic Basic ${base64(`alice:${CANARY}`)}`,
  `Basic realm="${CANARY}"`,
  `Basic ${base64('alice')}`,
  `Basic ${base64(CANARY)}`,
  'Basic =',
  'Basic ==',
  'Basic ====',
  'Basic Og===',
  'Basic O=g=',
  'Basic =Og=',
  'Basic Og==Og==',
  'Basic A',
  'Basic A===',
  'Basic AAAAA',
  'Basic -_-_',
  'Basic *',
  `Basic ${base64(Buffer.from([0xff, 0xfe, 0x3a, 0xff]))}`,
  `Basic ${base64(Buffer.from([0xc0, 0x80, 0x3a, 0x61]))}`,
  `Basic ${base64(Buffer.from([0xed, 0xa0, 0x80, 0x3a]))}`,
  `Basic ${base64(`alice\0:${CANARY}`)}`,
  `Basic ${base64(`alice:${CANARY}\0`)}`,
  `Basic ${base64(`alice\r\nX-Evil: 1:${CANARY}`)}`,
  `Basic ${base64(`\x1b[31malice:${CANARY}`)}`,
  `Basic ${base64(`alice\x7f:${CANARY}`)}`,
  `Basic ${base64(`__proto__:${CANARY}`)}`,
  `Basic ${base64(`constructor:${CANARY}`)}`,
  `Basic ${base64(`../../etc/passwd:${CANARY}`)}`,
  `Basic ${base64(`alice' OR 1=1 --:${CANARY}`)}`,
  `Basic ${base64(`:${CANARY}`)}`,
  `Basic ${base64('alice:')}`,
  `Basic ${base64(`alice:${CANARY}:`)}`,
  `Basic ${base64(`ALICE:${CANARY}`)}`,
  `Basic ${base64(`\ufeffalice:${CANARY}`)}`,
  `Basic ${base64(`${'é'.repeat(500)}:${CANARY}`)}`,
  `Basic ${base64(`alice:${'x'.repeat(80)}`)}`,
  'Bearer .',
  'Bearer ..',
  'Bearer ...',
  'Bearer ....',
  'Bearer a',
  'Bearer a.b',
  'Bearer a.b.c',
  'Bearer a.b.c.d',
  'Bearer a.b.c.d.e',
  'Bearer =',
  'Bearer a=b',
  'Bearer a b',
  'Bearer a,b',
  'Bearer "a.b.c"',
  'Bearer Bearer a.b.c',
  `Bearer ${CANARY}`,
  `Bearer ${base64(CANARY)}`,
  `Bearer ${base64(`alice:${CANARY}`)}`,
  `Bearer token="${CANARY}"`,
  'Bearer ////',
  'Bearer ~~~~',
  'Bearer AAAA.AAAA.AAAA',
  'Bearer e30.e30.',
  'Bearer e30.e30.AA',
  'Bearer .e30.AA',
  'Bearer e30..AA',
  'Bearer bnVsbA.bnVsbA.bnVsbA',
  'Bearer W10.W10.W10',
  'Bearer MQ.MQ.MQ',
  'Bearer IiI.IiI.IiI',
  'Digest username="alice", realm="r", nonce="0", uri="/v2/", response="0"',
  'Negotiate YIIBhgYGKwYBBQUC',
  'NTLM TlRMTVNTUAABAAAAt4II4gAAAAAAAAAAAAAAAAAAAAAKAFopAAAADw==',
  'AWS4-HMAC-SHA256 Credential=AKIA/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0',
  'OAuth oauth_consumer_key="x"',
  `Token ${CANARY}`,
  `JWT ${CANARY}`,
  'X',
  'Basi Og==',
  'Basics Og==',
  'Bäsic Og==',
  '()<>@,;:\\"/[]?={} Og==',
];

/** Heads of tokens that a careless verifier would stumble over. */
const JOSE_HEADERS: readonly unknown[] = [
  {},
  [],
  null,
  1,
  'x',
  { alg: 'none' },
  { alg: 'None' },
  { alg: '' },
  { alg: null },
  { alg: 5 },
  { alg: ['ES256'] },
  { alg: {} },
  { alg: 'HS256' },
  { alg: 'ES256' },
  { alg: 'ES256', kid: '' },
  { alg: 'ES256', kid: null },
  { alg: 'ES256', kid: 7 },
  { alg: 'ES256', kid: ['a'] },
  { alg: 'ES256', kid: '__proto__' },
  { alg: 'ES256', kid: 'constructor' },
  { alg: 'ES256', kid: '../../../dev/null' },
  { alg: 'ES256', kid: 'x'.repeat(5_000) },
  { alg: 'ES256', jwk: null },
  { alg: 'ES256', jwk: {} },
  { alg: 'ES256', jwk: { kty: 'oct', k: 'AAAA' } },
  { alg: 'ES256', jwk: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' } },
  { alg: 'ES256', x5c: [] },
  { alg: 'ES256', x5c: [''] },
  { alg: 'ES256', x5c: ['AAAA'] },
  { alg: 'ES256', x5c: 'AAAA' },
  { alg: 'ES256', x5c: [null] },
  { alg: 'ES256', x5c: Array.from({ length: 200 }, () => 'AAAA') },
  { alg: 'ES256', jku: 'http://127.0.0.1:1/jwks' },
  { alg: 'ES256', x5u: 'http://127.0.0.1:1/cert' },
  { alg: 'ES256', crit: ['exp'] },
  { alg: 'ES256', crit: [] },
  { alg: 'ES256', b64: false, crit: ['b64'] },
  { alg: 'RSA-OAEP', enc: 'A256GCM' },
  { typ: 5, alg: 'ES256' },
  { alg: 'ES256', nested: JSON.parse(`${'['.repeat(2_000)}${']'.repeat(2_000)}`) },
];

const CLAIMS = { iss: ISSUER, aud: SERVICE, sub: 'alice', exp: 4_102_444_800, access: [] };

const ALPHABET = [...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))].filter(
  (c) => !/[\r\n\0]/.test(c),
);

/** Some text of a length, of bytes that may stand in a header or not. */
function noise(next: () => number, length: number): string {
  return Array.from({ length }, () => ALPHABET[Math.floor(next() * ALPHABET.length)]).join('');
}

/** A header with a few of its characters replaced, taken out or doubled. */
function mutated(next: () => number, text: string): string {
  const characters = [...text];
  for (let times = 1 + Math.floor(next() * 4); times > 0; times -= 1) {
    const at = Math.floor(next() * characters.length);
    const character = noise(next, 1);
    const change = [character, '', `${characters[at]}${character}`, `${characters[at]}`.repeat(2)];
    characters[at] = change[Math.floor(next() * change.length)] ?? '';
  }
  return characters.join('');
}

/** Whole header fields as latin1 text, each nobody's credentials, and none of them empty. */
function malformedFields(expired: string): string[] {
  const next = chance(20_240_521);
  const lengths = [100, 1_000, 4_000, 8_000, 12_000, 15_000, 16_000, 20_000];
  const long = ['a', ' ', '=', ':', '\xff', 'Basic ', 'Bearer ', '.', 'Zm9v'].flatMap((piece) =>
    lengths.flatMap((length) =>
      ['', 'Basic ', 'Bearer '].map((scheme) => scheme + piece.repeat(length / piece.length)),
    ),
  );
  const tokens = JOSE_HEADERS.flatMap((header) =>
    ['', 'AA', 'A'.repeat(86)].map((signature) => `Bearer ${base64url(header)}.${base64url(CLAIMS)}.${signature}`),
  );
  const wellFormed = [basic('alice', CANARY).Authorization, expired];
  const changed = Array.from({ length: 300 }, (_, count) => mutated(next, wellFormed[count % 2] ?? ''));
  const random = Array.from(
    { length: 100 },
    (_, count) => ['', 'Basic ', 'Bearer '][count % 3] + noise(next, 1 + Math.floor(next() * 60)),
  );
  const controls = Array.from(
    { length: 33 },
    (_, code) => `Basic ${String.fromCharCode(code === 32 ? 127 : code)}${base64(CANARY)}`,
  );
  const values = [...WRITTEN, ...long, ...tokens, ...changed, ...random, ...controls];
  const somebody = values.filter((value) => value.trim() !== '');
  return [
    ...somebody.map((value) => `Authorization: ${value}`),
    `Authorization:Basic ${CANARY}`,
    `Authorization : Basic ${CANARY}`,
    `Authorization\t: Basic ${CANARY}`,
    `AUTHORIZATION: Basic ${CANARY}`,
    `Authorization: Basic ${CANARY}\r\nAuthorization: Bearer a.b.c`,
    `Authorization: Bearer ${CANARY}\r\n folded`,
    `Authorization: Basic\r\n\t${CANARY}`,
    `Authorization: Basic ${CANARY}\nX-Bare: line feed`,
    `Authorization: Basic ${CANARY}\rX-Bare: return`,
  ];
}

/** What came back: the status and what precedes the body. */
interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A connection over which requests are sent as bytes, one after the other; a new one where Node has ended it. */
class RawConnection {
  readonly #port: number;
  #socket: Socket | undefined;
  #received = '';
  #wake: () => void = () => undefined;
  /** How many connections it took. */
  opened = 0;

  constructor(port: number) {
    this.#port = port;
  }

  /** Asks for a path with a header field. */
  async ask(path: string, field: string): Promise<RawAnswer> {
    const socket = await this.#connected();
    this.#received = '';
    socket.write(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\n${field}\r\n\r\n`, 'latin1'));
    for (;;) {
      const answer = parseAnswer(this.#received);
      if (answer !== undefined) {
        if (/^connection: close$/im.test(answer.head)) this.close();
        return answer;
      }
      if (socket.destroyed) return assert.fail(`no answer to ${JSON.stringify(field.slice(0, 200))}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #connected(): Promise<Socket> {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket;
    const socket = connect(this.#port, '127.0.0.1').setEncoding('latin1');
    await once(socket, 'connect');
    this.opened += 1;
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake();
    });
    socket.on('close', () => this.#wake());
    // What Node ends while we are still writing; the answer was there before.
    socket.on('error', () => undefined);
    this.#socket = socket;
    return socket;
  }
}

/** A whole answer, as soon as there is one. */
function parseAnswer(text: string): RawAnswer | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  const body = text.slice(end + 4);
  return body.length < length ? undefined : { status: Number(head.split(' ')[1]), head, body };
}

/** Node's own answers to what is no HTTP, or too much of it; the registry has not seen those. */
function isNodes({ status, head }: RawAnswer): boolean {
  return (status === 400 || status === 431) && !/docker-distribution-api-version/i.test(head);
}

interface Guarded {
  readonly auth: Plugin<'auth'>;
  /** A path that malformed credentials must not open, though perhaps nobody's would. */
  readonly path?: string;
  /** A header that is right. */
  readonly right: string;
}

const suite: Suite = (test, open) => {
  let issuer: TokenIssuer;
  let valid: string;
  let expired: string;
  let users: string;
  let jwks: string;
  const RIGHT = basic('alice', password('alice')).Authorization;

  test.before(async () => {
    issuer = await TokenIssuer.create();
    valid = bearer(await issuer.sign('repository:a:pull')).Authorization;
    expired = bearer(await issuer.sign('repository:a:pull', { exp: 1_000_000_000 })).Authorization;
    const folder = tempFolder();
    users = join(folder, 'users');
    jwks = join(folder, 'jwks.json');
    await writeFile(users, `alice:${bcrypt.hashSync(password('alice'), 4)}\n`);
    await writeFile(jwks, JSON.stringify(issuer.jwks));
  });

  const byFile = () => htpasswd({ realm: 'r', path: users });
  const byToken = () => token({ realm: 'https://auth.example/token', service: SERVICE, issuer: ISSUER, jwks });

  const GUARDED: Readonly<Record<string, () => Guarded>> = {
    htpasswd: () => ({ auth: byFile(), right: RIGHT }),
    token: () => ({ auth: byToken(), right: valid }),
    chain: () => ({ auth: chain({ handlers: [byToken(), byFile()] }), right: RIGHT }),
    rules: () => ({
      auth: rules({ handler: byFile(), rules: [{ anonymous: true, actions: ['pull'] }] }),
      path: '/v2/a/tags/list',
      right: RIGHT,
    }),
    host: () => ({
      auth: host({
        realm: 'r',
        authorize: ({ headers }, access) => {
          const credentials = parseCredentials(headers.authorization);
          const known = credentials?.scheme === 'basic' && credentials.password === password('alice');
          return known ? grantIf(access, { name: credentials.user }, () => true) : null;
        },
      }),
      right: RIGHT,
    }),
  };

  /** Sends everything; answers how often the registry itself was asked. */
  async function sendAll(at: OpenRegistry, path: string, judge: (answer: RawAnswer, field: string) => void) {
    const connection = new RawConnection(at.port);
    let asked = 0;
    let cut = 0;
    for (const field of malformedFields(expired)) {
      const answer = await connection.ask(path, field);
      if (isNodes(answer)) cut += 1;
      else {
        asked += 1;
        judge(answer, field);
      }
    }
    return { connection, asked, cut };
  }

  /** Nothing of what was sent has gone anywhere. */
  function assertSilent(at: OpenRegistry): void {
    assert.deepEqual(at.errors, []);
    assert.deepEqual(
      at.log.filter(({ level }) => level === 'error'),
      [],
    );
    const text = inspect(at.log, { depth: 10, maxArrayLength: null, maxStringLength: null });
    assert.ok(!text.includes('canary'));
    assert.ok(!text.includes(base64('canary')));
  }

  for (const [name, guarded] of Object.entries(GUARDED)) {
    test(`auth/${name}: whatever is malformed is 401, and the connection goes on`, async () => {
      const { auth, path = '/v2/', right } = guarded();
      const at = await open({ auth, failedLogins: { delay: 0, limit: 1_000_000 } });
      const { connection, asked, cut } = await sendAll(at, path, ({ status, head, body }, field) => {
        const shown = JSON.stringify(field.slice(0, 200));
        assert.equal(status, 401, shown);
        assert.match(head, /^www-authenticate: (?:Basic|Bearer) realm="/im, shown);
        assert.equal(JSON.parse(body).errors[0].code, 'UNAUTHORIZED', shown);
        assert.ok(!(head + body).includes('canary'), shown);
      });
      assert.ok(asked >= 500, `${asked} reached the registry`);
      assert.ok(cut >= 20, `${cut} did not pass Node`);
      assert.ok(connection.opened <= cut + 1, 'only Node has ended connections');
      assert.notEqual((await connection.ask('/v2/', `Authorization: ${right}`)).status, 401);
      assert.ok(connection.opened <= cut + 1);
      connection.close();
      assertSilent(at);
    });
  }

  test('auth/silly: whatever is malformed is somebody, and breaks nothing', async () => {
    const at = await open({ auth: silly({ realm: 'https://auth.example/token', service: SERVICE }) });
    const { connection, asked } = await sendAll(at, '/v2/', ({ status }, field) => {
      assert.equal(status, 200, JSON.stringify(field.slice(0, 200)));
    });
    assert.ok(asked >= 500);
    connection.close();
    assertSilent(at);
  });
};

wireSuite('authorization header', BARE, suite);
