// `auth/token`: which tokens are believed, what they allow, what a client without a good one is told,
// and what it costs to see one again.
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto';
import { base64url, calculateJwkThumbprint, importJWK, SignJWT } from 'jose';
import { suite } from 'uvu';
import { fingerprint, SIGNING_ALGORITHMS, thumbprint } from '../../plugins/auth/token/trusted-keys.js';
import { empty, refused } from '../http/suite/answers.js';
import { basic, password } from '../support/credentials.js';
import type { Answer } from '../support/http-client.js';
import { bearer, ISSUER, SERVICE, TokenIssuer, tampered, unsigned } from '../support/tokens.js';
import { closeAll, fileOf, REALM, signaturesDuring, type TokenOptions, TokenRegistry } from './auth-token-registry.js';

const test = suite('auth/token');
test.after.each(closeAll);

const PULL = 'repository:a:pull';

let issuer: TokenIssuer;
test.before(async () => {
  issuer = await TokenIssuer.create();
});

async function open(options: Partial<TokenOptions> = {}, { jwks } = issuer): Promise<TokenRegistry> {
  return TokenRegistry.open({ jwks: await fileOf(jwks), ...options });
}

function challenge(scope?: string, error?: string): string {
  const parts = [`Bearer realm="${REALM}"`, `service="${SERVICE}"`];
  if (scope !== undefined) parts.push(`scope="${scope}"`);
  if (error !== undefined) parts.push(`error="${error}"`);
  return parts.join(',');
}

test('whoever brings no token is told where to get which', async () => {
  const { at } = await open();
  const callers = [{}, basic('', ''), basic('alice', password('alice')), { Authorization: 'Digest canary' }];
  for (const headers of callers) {
    const base = await at.send('GET', '/v2/', { headers });
    refused(base, 401, 'UNAUTHORIZED');
    assert.equal(base.headers['www-authenticate'], challenge());
    const push = await at.send('POST', '/v2/a/b/blobs/uploads/', { headers });
    assert.equal(push.headers['www-authenticate'], challenge('repository:a/b:pull,push'));
    const catalog = await at.send('GET', '/v2/_catalog', { headers });
    assert.equal(catalog.headers['www-authenticate'], challenge('registry:catalog:*'));
  }
});

test('a token lets its bearer in, by name and for what it says', async () => {
  const registry = await open();
  const { actor, granted, allows } = await registry.admits(await issuer.sign(PULL));
  assert.deepEqual({ actor, granted, allows }, { actor: { name: 'alice' }, granted: [], allows: undefined });
  const push = await issuer.sign('repository:a:pull,push');
  empty(await registry.send(push, '/v2/a/blobs/uploads/', 'POST'), 202);
  assert.ok(registry.at.log.every(({ fields }) => fields.actor === undefined || fields.actor === 'alice'));
  registry.assertSilent();
});

test('what is missing is asked for together with what was there', async () => {
  const registry = await open();
  const token = await issuer.sign(PULL);
  const answer = await registry.send(token, '/v2/a/blobs/uploads/', 'POST');
  refused(answer, 401, 'UNAUTHORIZED');
  assert.equal(answer.headers['www-authenticate'], challenge('repository:a:pull,push', 'insufficient_scope'));
  const other = await registry.send(token, '/v2/b/tags/list');
  assert.equal(other.headers['www-authenticate'], challenge('repository:b:pull', 'insufficient_scope'));
  assert.ok(registry.at.log.some(({ fields }) => fields.actor === 'alice'));
});

test('of what a mount would use, that is granted which the token allows', async () => {
  const registry = await open();
  const mount = `/v2/a/blobs/uploads/?mount=sha256:${'0'.repeat(64)}&from=b`;
  const target = 'repository:a:pull,push';
  const source = { type: 'repository', name: 'b', action: 'pull' };
  assert.deepEqual((await registry.admits(await issuer.sign(target), mount, 'POST')).granted, []);
  const both = await issuer.sign(`${target} repository:b:pull`);
  assert.deepEqual((await registry.admits(both, mount, 'POST')).granted, [source]);
});

test('the action * is every action of that resource, and of no other', async () => {
  const registry = await open();
  const token = await issuer.sign('repository:a:*');
  empty(await registry.send(token, '/v2/a/blobs/uploads/', 'POST'), 202);
  refused(await registry.send(token, '/v2/a/manifests/v1', 'DELETE'), 404, 'MANIFEST_UNKNOWN');
  refused(await registry.send(token, '/v2/aa/tags/list'), 401, 'UNAUTHORIZED');
  refused(await registry.send(token, '/v2/_catalog'), 401, 'UNAUTHORIZED');
  refused(await registry.send(await issuer.sign('repository:*:pull')), 401, 'UNAUTHORIZED');
  const catalog = await registry.send(await issuer.sign('registry:catalog:*'), '/v2/_catalog');
  assert.equal(catalog.status, 200);
});

test('a token for nobody in particular is an anonymous one', async () => {
  const registry = await open();
  for (const sub of [undefined, '', null]) {
    const token = await issuer.sign(PULL, { sub });
    assert.equal((await registry.send(token, '/v2/')).status, 200);
    assert.equal((await registry.admits(token)).actor, undefined);
  }
});

test('lists of the claim access may be absent, empty, repeated or of other kinds', async () => {
  const registry = await open();
  const nothing = [undefined, null, [], [{ type: 'repository', name: 'a', actions: null }]];
  const others = [[{ type: 'project', name: 'a', actions: ['pull'] }], [{ type: 'repository', name: '', actions: [] }]];
  for (const access of [...nothing, ...others]) {
    const token = await issuer.sign('', { access });
    await registry.refuses(token, JSON.stringify(access), 'insufficient_scope');
    assert.equal((await registry.send(token, '/v2/')).status, 200);
  }
  const entry = (action: string, type = 'repository') => ({ type, name: 'a', actions: [action] });
  const twice = await issuer.sign('', { access: [entry('pull'), entry('push')] });
  empty(await registry.send(twice, '/v2/a/blobs/uploads/', 'POST'), 202);
  await registry.admits(await issuer.sign('', { access: [entry('pull', 'repository(plugin)')] }));
});

test('a claim that is not what it should be makes the token none', async () => {
  const registry = await open();
  const entry = { type: 'repository', name: 'a', actions: ['pull'] };
  const accesses = ['*', {}, true, [null], ['repository:a:pull'], [{ ...entry, actions: 'pull' }]];
  const entries = [
    { ...entry, actions: ['pull', 7] },
    { ...entry, name: 7 },
    { ...entry, type: undefined },
  ];
  for (const access of [...accesses, ...entries.map((one) => [entry, one])]) {
    await registry.refuses(await issuer.sign('', { access }), JSON.stringify(access));
  }
  for (const claims of [{ sub: 7 }, { sub: ['alice'] }, { iat: 'now' }, { nbf: '0' }, { exp: 'never' }]) {
    await registry.refuses(await issuer.sign(PULL, claims), JSON.stringify(claims));
  }
});

test('issuer and audience have to be ours', async () => {
  const registry = await open();
  await registry.admits(await issuer.sign(PULL, { aud: ['another', SERVICE] }));
  const issuers = [undefined, '', 'another', `${ISSUER} `, ISSUER.toUpperCase(), [ISSUER]];
  for (const iss of issuers) await registry.refuses(await issuer.sign(PULL, { iss }), `iss ${iss}`);
  const audiences = [undefined, '', 'another', [], ['another'], `${SERVICE},another`, { [SERVICE]: true }, [[SERVICE]]];
  for (const aud of audiences) await registry.refuses(await issuer.sign(PULL, { aud }), `aud ${JSON.stringify(aud)}`);
});

test('a token counts between its times, give or take the leeway', async () => {
  const registry = await open();
  const now = Math.floor(registry.clock.now / 1000);
  const admitted = [{ exp: now - 58 }, { nbf: now + 58 }, { iat: now + 58 }, { nbf: undefined, iat: undefined }];
  for (const claims of admitted) await registry.admits(await issuer.sign(PULL, claims));
  const refusals = [{ exp: now - 61 }, { nbf: now + 62 }, { iat: now + 62 }, { exp: undefined }, { exp: null }];
  for (const claims of refusals) await registry.refuses(await issuer.sign(PULL, claims), JSON.stringify(claims));
});

test('the leeway is an option', async () => {
  const registry = await open({ leeway: 0 });
  const now = Math.floor(registry.clock.now / 1000);
  await registry.refuses(await issuer.sign(PULL, { exp: now - 1 }), 'expired');
  await registry.refuses(await issuer.sign(PULL, { nbf: now + 2 }), 'not yet');
});

test('a token that was seen before ends when it expires', async () => {
  const registry = await open();
  const token = await issuer.sign(PULL);
  const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  await registry.admits(token);
  registry.clock.now = (exp + 59) * 1000;
  await registry.admits(token);
  registry.clock.now = (exp + 60) * 1000;
  await registry.refuses(token, 'expired');
});

test('every allowed algorithm is known, by its own kind of key only', async () => {
  const issuers = await Promise.all(SIGNING_ALGORITHMS.map((alg) => TokenIssuer.create({ alg })));
  const bare = issuers.flatMap(({ jwks }) => jwks.keys.map(({ alg, use, ...key }) => key));
  const registry = await open({ jwks: await fileOf({ keys: bare }) });
  for (const one of issuers) {
    const token = await one.sign(PULL);
    await registry.admits(token);
    await registry.refuses(tampered(token), `${one.alg}, tampered`);
    const strangers = SIGNING_ALGORITHMS.filter((alg) => alg !== one.alg);
    const [, payload, signature] = token.split('.');
    for (const alg of strangers) {
      const header = base64url.encode(JSON.stringify({ typ: 'JWT', alg, kid: one.kid }));
      await registry.refuses([header, payload, signature].join('.'), `${one.alg} said to be ${alg}`);
    }
  }
  registry.assertSilent();
});

test('an algorithm that the options or the key rule out is not used', async () => {
  const rsa = await TokenIssuer.create({ alg: 'RS256' });
  const narrow = await open({
    signingAlgorithms: ['ES256'],
    jwks: await fileOf({ keys: [...rsa.jwks.keys, ...issuer.jwks.keys] }),
  });
  await narrow.admits(await issuer.sign(PULL));
  await narrow.refuses(await rsa.sign(PULL), 'RS256');
  const [key] = rsa.jwks.keys;
  const bound = await open({ jwks: await fileOf({ keys: [{ ...key, alg: 'PS256' }, ...issuer.jwks.keys] }) });
  await bound.refuses(await rsa.sign(PULL), 'a key for PS256 only');
});

test('a token without a signature is none, however its algorithm is spelled', async () => {
  const registry = await open();
  const token = await issuer.sign(PULL);
  const [, , signature] = token.split('.');
  for (const alg of ['none', 'None', 'NONE', 'nOnE', 'none ', '', 'NULL', 'HS256', 'ES256']) {
    await registry.refuses(unsigned(token, alg), `alg ${alg}`);
    await registry.refuses(unsigned(token, alg) + signature, `alg ${alg} with a signature`);
  }
});

test('a public key is nobody’s secret', async () => {
  const rsa = await TokenIssuer.create({ alg: 'RS256' });
  for (const one of [issuer, rsa]) {
    const registry = await open({}, one);
    const [jwk = {}] = one.jwks.keys;
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    const pem = key.export({ type: 'spki', format: 'pem' });
    const secrets = [pem, String(pem).trim(), key.export({ type: 'spki', format: 'der' }), JSON.stringify(jwk)];
    const texts = [JSON.stringify(one.jwks), jwk.n ?? jwk.x ?? '', Buffer.from(jwk.n ?? jwk.x ?? '', 'base64url'), ''];
    const [, payload] = (await one.sign(PULL)).split('.');
    for (const secret of [...secrets, ...texts]) {
      for (const alg of ['HS256', 'HS384', 'HS512'] as const) {
        const head = base64url.encode(JSON.stringify({ typ: 'JWT', alg, kid: one.kid }));
        const hmac = createHmac(`sha${alg.slice(2)}`, secret)
          .update(`${head}.${payload}`)
          .digest('base64url');
        await registry.refuses(`${head}.${payload}.${hmac}`, alg);
      }
    }
  }
});

test('a key is known by its name, its thumbprint or its fingerprint, and a lone one without any', async () => {
  const named = await TokenIssuer.create({ kid: 'the key' });
  const registry = await open({}, named);
  const [{ kid, ...jwk } = {}] = named.jwks.keys;
  await registry.admits(await named.sign(PULL));
  await registry.admits(await named.sign(PULL, {}, { kid: undefined }));
  await registry.admits(await named.sign(PULL, {}, { kid: undefined, jwk }));
  await registry.admits(await named.sign(PULL, {}, { kid: 'unknown', jwk }));
});

test('without a name every key that fits is tried, and those of one name too', async () => {
  const [first, second] = [await TokenIssuer.create({ kid: 'same' }), await TokenIssuer.create({ kid: 'same' })];
  const registry = await open({ jwks: await fileOf({ keys: [...first.jwks.keys, ...second.jwks.keys] }) });
  for (const one of [first, second]) {
    await registry.admits(await one.sign(PULL));
    await registry.admits(await one.sign(PULL, {}, { kid: undefined }));
  }
  await registry.refuses(await issuer.sign(PULL, {}, { kid: undefined }), 'a stranger');
  await registry.refuses(await issuer.sign(PULL, {}, { kid: 'same' }), 'a stranger of that name');
});

test('a key that a token brings along is not trusted', async () => {
  const registry = await open();
  const stranger = await TokenIssuer.create();
  const [jwk] = stranger.jwks.keys;
  const nowhere = 'http://127.0.0.1:1/keys';
  const headers = [
    { jwk },
    { jwk, kid: undefined },
    { jku: nowhere },
    { jku: nowhere, kid: undefined },
    { x5u: nowhere },
  ];
  for (const header of [...headers, { x5c: ['AA=='] }, { jwk, kid: issuer.kid }, { kid: issuer.kid }]) {
    await registry.refuses(await stranger.sign(PULL, {}, header), JSON.stringify(header));
  }
});

test('whatever stands in a header is refused, and costs nothing', async () => {
  const registry = await open();
  const texts = [
    '',
    '../../etc/passwd',
    '/dev/zero',
    "' OR 1=1 --",
    '__proto__',
    'constructor',
    'a'.repeat(4000),
    '|id',
  ];
  const kids: unknown[] = [...texts, null, 0, true, [], [issuer.kid], {}, { toString: issuer.kid }];
  for (const kid of kids) await registry.refuses(await issuer.sign(PULL, {}, { kid }), `kid ${JSON.stringify(kid)}`);
  const jwks = [
    null,
    '',
    7,
    [],
    {},
    { kty: 'oct', k: 'AAAA' },
    { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' },
    { kty: 'x' },
  ];
  const chains = [
    null,
    '',
    7,
    {},
    [],
    [7],
    [null],
    ['%'],
    [{ length: 4e9 }],
    Array.from({ length: 999 }, () => 'AA=='),
  ];
  const shapes = [...jwks.map((jwk) => ({ jwk })), ...chains.map((x5c) => ({ x5c }))];
  for (const shape of shapes) {
    await registry.refuses(await issuer.sign(PULL, {}, { kid: undefined, ...shape }), JSON.stringify(shape));
  }
  registry.assertSilent();
});

test('critical extensions and tokens of other types are refused', async () => {
  const registry = await open();
  const [, payload = '', signature = ''] = (await issuer.sign(PULL)).split('.');
  for (const crit of [['b64'], ['exp'], ['x'], [], 'b64', {}]) {
    const header = { typ: 'JWT', alg: 'ES256', kid: issuer.kid, crit, b64: true, x: 1, exp: 1 };
    await registry.refuses([base64url.encode(JSON.stringify(header)), payload, signature].join('.'), `crit ${crit}`);
  }
  await registry.refuses(await issuer.sign(PULL, {}, { crit: ['b64'], b64: true }), 'signed with a critical extension');
  for (const typ of [undefined, 'JWT', 'jwt', 'application/jwt', 'at+jwt']) {
    await registry.admits(await issuer.sign(PULL, {}, { typ }));
  }
  for (const typ of ['', 'JWE', 'logout+jwt', 'secevent+jwt', 7, null, ['JWT']]) {
    await registry.refuses(await issuer.sign(PULL, {}, { typ }), `typ ${typ}`);
  }
});

test('of members that are there twice both readings are the same one', async () => {
  const registry = await open();
  const [header = '', payload, signature] = (await issuer.sign(PULL)).split('.');
  const twice = Buffer.from(header, 'base64url').toString().replace('{', '{"alg":"none","kid":"other",');
  await registry.refuses([base64url.encode(twice), payload, signature].join('.'), 'not what was signed');
  const algLast = Buffer.from(header, 'base64url').toString().replace(/}$/, ',"alg":"none"}');
  await registry.refuses([base64url.encode(algLast), payload, signature].join('.'), 'alg last');
});

test('a token that is no JWS is refused', async () => {
  const registry = await open();
  const token = await issuer.sign(PULL);
  const [header, payload, signature] = token.split('.');
  const shapes = [
    'x',
    '.',
    '..',
    '...',
    `${header}`,
    `${header}.${payload}`,
    `${header}.${payload}.`,
    `.${payload}.${signature}`,
  ];
  const more = [
    `${token}.`,
    `${token}.${signature}`,
    `.${token}`,
    `${token}=`,
    `${token}==`,
    `${header}..${signature}`,
  ];
  for (const shape of [...shapes, ...more, 'bnVsbA.bnVsbA.bnVsbA', 'W10.W10.W10', 'Ig.Ig.Ig', 'e30.e30.e30']) {
    await registry.refuses(shape, shape.slice(0, 20));
  }
});

test('a token of 100 KB is too large for Node, and harms nobody', async () => {
  const registry = await open();
  const answer = await registry.send(await issuer.sign(PULL, { filler: 'x'.repeat(75_000) }));
  assert.equal(answer.status, 431);
  await registry.admits(await issuer.sign(PULL));
});

/** Numbers that are the same in every run (mulberry32). */
function* numbers(seed: number): Generator<number, never, undefined> {
  for (let state = seed; ; ) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    yield ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/~';

test('a token of which any letter is changed is none', async () => {
  const registry = await open();
  const token = await issuer.sign(PULL);
  await registry.admits(token);
  const random = numbers(3);
  const below = (limit: number) => Math.floor(random.next().value * limit);
  const mutations: readonly ((text: string, at: number) => string)[] = [
    (text, at) => text.slice(0, at) + LETTERS.charAt(below(LETTERS.length)) + text.slice(at + 1),
    (text, at) => text.slice(0, at) + text.slice(at + 1),
    (text, at) => text.slice(0, at) + LETTERS.charAt(below(LETTERS.length)) + text.slice(at),
    (text, at) => text.slice(0, at),
    (text, at) => text.slice(at),
  ];
  const mutants = Array.from(
    { length: 400 },
    (_, index) => mutations[index % 5]?.(token, 1 + below(token.length - 1)) ?? '',
  );
  const last = [...LETTERS].map((letter) => token.slice(0, -1) + letter);
  for (const mutant of [...mutants, ...last]) if (mutant !== token) await registry.refuses(mutant, mutant);
  registry.assertSilent();
});

test('a token that was seen before costs no signature, and one that is wrong is remembered by nobody', async () => {
  const registry = await open();
  const token = await issuer.sign(PULL);
  const first = await signaturesDuring(() => registry.admits(token));
  const again = await signaturesDuring(async () => {
    for (let index = 0; index < 10; index++) await registry.admits(token);
  });
  const wrong = tampered(token);
  const bad = await signaturesDuring(async () => {
    await registry.refuses(wrong);
    await registry.refuses(wrong);
  });
  assert.deepEqual({ first, again, bad }, { first: 1, again: 0, bad: 2 });
});

test('the key of the specification’s example has the name that it has there', async () => {
  // Docker "Token Authentication Implementation"; the signature that it prints is not that of its claims.
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: 'm7zUpx3b-zmVE5cymSs64POG9QcyEpJaYCD82-549_Q',
    y: 'dU3biz8sZ_8GPB-odm8Wxz3lNDr1xcAQQPQaOcr1fmc',
  };
  const key = await importJWK({ ...jwk, d: 'R7OnbfMaD5J2jl7GeE8ESo7CnHSBm_1N2k9IXYFrKJA' }, 'ES256');
  const kid = 'PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6';
  const example = {
    iss: 'auth.docker.com',
    sub: 'jlhawn',
    aud: 'registry.docker.com',
    exp: 1415387315,
    nbf: 1415387015,
    iat: 1415387015,
    jti: 'tYJCO1c6cnyy7kAn0c7rKPgbV1H1bFws',
    access: [{ type: 'repository', name: 'samalba/my-app', actions: ['push', 'pull'] }],
  };
  const token = await new SignJWT(example).setProtectedHeader({ typ: 'JWT', alg: 'ES256', kid }).sign(key);
  const jwks = await fileOf({ keys: [jwk] });
  const registry = await open({ jwks, issuer: 'auth.docker.com', service: 'registry.docker.com' });
  registry.clock.now = 1_415_387_015_000;
  const { actor } = await registry.admits(token, '/v2/samalba/my-app/blobs/uploads/', 'POST');
  assert.deepEqual(actor, { name: 'jlhawn' });
});

test('every name of a key is what its standard says', async () => {
  for (const alg of ['EdDSA', 'RS256', 'ES256', 'ES384', 'ES512']) {
    const [jwk = {}] = (await TokenIssuer.create({ alg })).jwks.keys;
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    assert.equal(thumbprint(key), await calculateJwkThumbprint(jwk));
    assert.match(fingerprint(key), /^(?:[A-Z2-7]{4}:){11}[A-Z2-7]{4}$/);
  }
});

test('the realm can be on the host that the client has asked', async () => {
  const { at } = await open({ autoRedirect: true });
  const realm = ({ headers }: Answer) => /realm="([^"]*)"/.exec(String(headers['www-authenticate']))?.[1];
  assert.equal(realm(await at.send('GET', '/v2/')), `${at.origin}/auth/token`);
  const other = await open({ autoRedirect: true, autoRedirectPath: '/tokens/new?x=1' });
  const answer = await other.at.send('GET', '/v2/', { headers: { Host: 'registry.example' } });
  assert.equal(realm(answer), 'http://registry.example/tokens/new?x=1');
  const strange = await other.at.send('GET', '/v2/', { headers: { Host: 'a",error="b', ...bearer('x') } });
  assert.ok(strange.status < 500);
  assert.ok(!String(strange.headers['www-authenticate']).includes('a",error="b'));
  const foreign = await at.send('GET', '/v2/', { headers: { Origin: 'https://evil.example' } });
  assert.equal(realm(foreign), `${at.origin}/auth/token`);
});

test.run();
