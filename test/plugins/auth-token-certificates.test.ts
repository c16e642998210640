// `auth/token`: keys that certificates vouch for: those of a bundle, and those at the end of a chain
// that a token brings along. The certificates are made by openssl.
import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { importPKCS8, SignJWT } from 'jose';
import { keyOfChain, parseBundle } from '../../plugins/auth/token/certificates.js';
import { fingerprint, thumbprint } from '../../plugins/auth/token/trusted-keys.js';
import { runProcess } from '../support/process.js';
import { suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { accessClaim, ISSUER, SERVICE } from '../support/tokens.js';
import { closeAll, fileOf, TokenRegistry } from './auth-token-registry.js';

const test = suiteNeeding('auth/token: certificates', ['openssl']);
test.after.each(closeAll);

const DAY = 86_400;
const CONFIG = '[req]\ndistinguished_name = dn\n[dn]\n';

interface CertificateOptions {
  readonly issuer?: Certificate;
  /** Default: not. */
  readonly ca?: boolean;
  /** Default: 30. */
  readonly days?: number;
  /** Default: EC on P-256. */
  readonly key?: readonly string[];
  /** Default: none. */
  readonly keyUsage?: string;
  /** The one whose key it has too. Default: it has a new one. */
  readonly like?: Certificate;
}

/** A certificate with its private key. */
class Certificate {
  readonly pem: string;
  readonly #alg: string;
  readonly #key: string;
  readonly #files: readonly [pem: string, key: string];

  private constructor(alg: string, files: readonly [string, string], pem: string, key: string) {
    this.#alg = alg;
    this.#files = files;
    this.pem = pem;
    this.#key = key;
  }

  static async create(name: string, options: CertificateOptions = {}): Promise<Certificate> {
    const {
      issuer,
      ca = false,
      days = 30,
      key = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      keyUsage,
      like,
    } = options;
    const folder = tempFolder();
    const [pem, secret] = [
      join(folder, 'certificate.pem'),
      like === undefined ? join(folder, 'key.pem') : like.#files[1],
    ];
    const newKey = ['-newkey', ...key, '-nodes', '-keyout', secret];
    const config = await fileOf(CONFIG, join(folder, 'openssl.cnf'));
    const [issuerPem = '', issuerKey = ''] = issuer === undefined ? [] : issuer.#files;
    await runProcess('openssl', [
      ...['req', '-x509', '-config', config, '-subj', `/CN=${name}`, '-days', String(days)],
      ...(like === undefined ? newKey : ['-key', secret]),
      ...['-out', pem],
      ...['-addext', `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`],
      ...(keyUsage === undefined ? [] : ['-addext', `keyUsage=critical,${keyUsage}`]),
      ...(issuer === undefined ? [] : ['-CA', issuerPem, '-CAkey', issuerKey]),
    ]);
    const alg = key[0] === 'ec' ? 'ES256' : 'RS256';
    return new Certificate(alg, [pem, secret], await readFile(pem, 'utf8'), await readFile(secret, 'utf8'));
  }

  /** As it stands in `x5c`. */
  get der(): string {
    return new X509Certificate(this.pem).raw.toString('base64');
  }

  get publicKey() {
    return createPublicKey(this.pem);
  }

  /** A token that may pull from `a`, for an hour from `now`. */
  async sign(now: number, header: object): Promise<string> {
    const seconds = Math.floor(now / 1000);
    const claims = { iss: ISSUER, aud: SERVICE, sub: 'alice', iat: seconds, exp: seconds + 3600 };
    return new SignJWT({ ...claims, access: accessClaim('repository:a:pull') })
      .setProtectedHeader({ typ: 'JWT', alg: this.#alg, ...header })
      .sign(await importPKCS8(this.#key, this.#alg));
  }
}

async function openBundle(...certificates: Certificate[]): Promise<TokenRegistry> {
  return TokenRegistry.open({ rootCertBundle: await fileOf(certificates.map(({ pem }) => pem).join('\n')) });
}

const RSA = ['rsa:2048'];

test('the keys of a bundle are known by thumbprint, by fingerprint, and without a name', async () => {
  const [ec, rsa] = [await Certificate.create('ec'), await Certificate.create('rsa', { key: RSA, ca: true })];
  const registry = await openBundle(ec, rsa);
  for (const one of [ec, rsa]) {
    const names = [{ kid: thumbprint(one.publicKey) }, { kid: fingerprint(one.publicKey) }, {}, { x5c: [one.der] }];
    for (const header of names) await registry.admits(await one.sign(registry.clock.now, header));
    await registry.refuses(await one.sign(registry.clock.now, { kid: 'another' }), 'an unknown name');
  }
  const stranger = await Certificate.create('ec');
  await registry.refuses(await stranger.sign(registry.clock.now, {}), 'a stranger of that subject');
  await registry.refuses(await stranger.sign(registry.clock.now, { x5c: [stranger.der] }), 'with its certificate');
  await registry.refuses(await stranger.sign(registry.clock.now, { x5c: [ec.der] }), 'with another’s certificate');
  registry.assertSilent();
});

test('a chain is followed up to the bundle', async () => {
  const root = await Certificate.create('root', { ca: true });
  const between = await Certificate.create('between', { issuer: root, ca: true, key: RSA });
  const leaf = await Certificate.create('leaf', { issuer: between });
  const child = await Certificate.create('child', { issuer: root });
  const registry = await openBundle(root);
  const { now } = registry.clock;
  await registry.admits(await child.sign(now, { x5c: [child.der] }));
  await registry.admits(await child.sign(now, { x5c: [child.der, root.der] }));
  await registry.admits(await child.sign(now, { x5c: [child.der], kid: 'whatever' }));
  await registry.admits(await leaf.sign(now, { x5c: [leaf.der, between.der] }));
  await registry.admits(await leaf.sign(now, { x5c: [leaf.der, between.der, root.der] }));
  await registry.refuses(await leaf.sign(now, { x5c: [leaf.der, root.der, between.der] }), 'out of order');
  await registry.refuses(await leaf.sign(now, { x5c: [leaf.der] }), 'a link is missing');
  await registry.refuses(await leaf.sign(now, { x5c: [between.der, leaf.der] }), 'the first is not the signer’s');
  await registry.refuses(await leaf.sign(now, { x5c: [child.der] }), 'another’s certificate');
  await registry.refuses(await leaf.sign(now, {}), 'no certificate');
  const long = Array.from({ length: 9 }, () => between.der);
  await registry.refuses(await leaf.sign(now, { x5c: [leaf.der, ...long] }), 'too long');
  await registry.refuses(await leaf.sign(now, { x5c: [leaf.der, between.der, 'canary'] }), 'a link that is none');
});

test('only a certificate authority of ours vouches for others', async () => {
  const root = await Certificate.create('root', { ca: true });
  const impostor = await Certificate.create('root', { ca: true });
  const user = await Certificate.create('user', { issuer: root });
  const noSigner = await Certificate.create('no-signer', { issuer: root, ca: true, keyUsage: 'digitalSignature' });
  const lone = await Certificate.create('lone');
  const registry = await openBundle(root, lone);
  // What is made from here on is valid for it too.
  registry.clock.pass(60);
  const { now } = registry.clock;
  const chains: readonly (readonly [issuer: Certificate, between: readonly Certificate[]])[] = [
    [impostor, []],
    [impostor, [impostor]],
    [impostor, [root]],
    [user, [user]],
    [user, [user, root]],
    [noSigner, [noSigner]],
    [lone, []],
    [lone, [lone]],
  ];
  for (const [issuer, between] of chains) {
    const leaf = await Certificate.create('leaf', { issuer });
    await registry.refuses(await leaf.sign(now, { x5c: [leaf, ...between].map(({ der }) => der) }), 'no authority');
  }
  const jwks = await TokenRegistry.open({ jwks: await fileOf({ keys: [root.publicKey.export({ format: 'jwk' })] }) });
  const leaf = await Certificate.create('leaf', { issuer: root });
  await registry.admits(await leaf.sign(now, { x5c: [leaf.der] }));
  jwks.clock.now = now;
  await jwks.refuses(await leaf.sign(now, { x5c: [leaf.der, root.der] }), 'no bundle');
});

test('every certificate of a chain has to be valid at the time', async () => {
  const root = await Certificate.create('root', { ca: true, days: 20 });
  const between = await Certificate.create('between', { issuer: root, ca: true, days: 10 });
  const brief = await Certificate.create('brief', { issuer: root, days: 5 });
  const leaf = await Certificate.create('leaf', { issuer: between, days: 30 });
  const child = await Certificate.create('child', { issuer: root, days: 30 });
  const registry = await openBundle(root);
  const chains = [
    [5, brief, [brief.der]],
    [10, leaf, [leaf.der, between.der]],
    [20, child, [child.der]],
  ] as const;
  const { now } = registry.clock;
  for (const [days, one, x5c] of chains) {
    registry.clock.now = now - 2 * DAY * 1000;
    await registry.refuses(await one.sign(registry.clock.now, { x5c }), 'not yet valid');
    registry.clock.now = now + (days * DAY - 600) * 1000;
    const token = await one.sign(registry.clock.now, { x5c });
    await registry.admits(token);
    // Its certificate ends before it does, though it was seen before.
    registry.clock.pass(1200);
    await registry.refuses(token, 'expired with its certificate');
    await registry.refuses(await one.sign(registry.clock.now, { x5c }), 'expired');
  }
});

test('a renewed authority vouches for what the old one has signed, and another one of its key does not', async () => {
  const old = await Certificate.create('root', { ca: true, days: 1 });
  const leaf = await Certificate.create('leaf', { issuer: old });
  const renewed = await Certificate.create('root', { ca: true, like: old });
  const renamed = await Certificate.create('another', { ca: true, like: old });
  const [both, other] = [await openBundle(old, renewed), await openBundle(renamed)];
  const { now } = both.clock;
  await other.refuses(await leaf.sign(now, { x5c: [leaf.der] }), 'another name');
  both.clock.pass(2 * DAY);
  await both.admits(await leaf.sign(both.clock.now, { x5c: [leaf.der] }));
});

test('what is no text is not taken for a certificate, however long it says that it is', async () => {
  const { anchors } = parseBundle((await Certificate.create('root', { ca: true })).pem);
  let asked = false;
  const endless = {
    get length() {
      asked = true;
      return 1;
    },
  };
  for (const x5c of [[endless], [7], [null], 'AA==', {}, []])
    assert.equal(keyOfChain(x5c, anchors, Date.now()), undefined);
  assert.ok(!asked);
});

test('a bundle is read again when it changes', async () => {
  const [old, fresh] = [await Certificate.create('old'), await Certificate.create('fresh')];
  const path = await fileOf(old.pem);
  const registry = await TokenRegistry.open({ rootCertBundle: path });
  const token = await old.sign(registry.clock.now, {});
  await registry.admits(token);
  await fileOf(fresh.pem, path);
  registry.clock.pass(1);
  await registry.refuses(token, 'of a removed certificate');
  await registry.admits(await fresh.sign(registry.clock.now, {}));
});

test('a bundle that is none, or that holds a weak key, is refused by the number of the certificate', async () => {
  const good = await Certificate.create('good');
  const weak = await Certificate.create('weak', { key: ['rsa:1024'] });
  await assert.rejects(openBundle(good, weak), /certificate \(number 2\) whose key is an RSA key of 1024 bits/);
  const broken = `${good.pem}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
  const cases = [
    ['', /has no certificate in PEM/],
    ['canary', /has no certificate in PEM/],
    [broken, /has a certificate that cannot be read \(number 2\)/],
  ] as const;
  for (const [content, message] of cases) {
    await assert.rejects(TokenRegistry.open({ rootCertBundle: await fileOf(content) }), message);
  }
});

test('a bundle and a set of keys count together', async () => {
  const [one, other] = [await Certificate.create('one'), await Certificate.create('other')];
  const jwks = await fileOf({ keys: [{ ...other.publicKey.export({ format: 'jwk' }), kid: 'other' }] });
  const registry = await TokenRegistry.open({ rootCertBundle: await fileOf(one.pem), jwks });
  await registry.admits(await one.sign(registry.clock.now, { kid: thumbprint(one.publicKey) }));
  await registry.admits(await other.sign(registry.clock.now, { kid: 'other' }));
});

test.run();
