// `auth/token`: keys in a file and at a URL, that come and go while the registry runs, and what is told
// and kept while they cannot be had.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { startPlugin } from 'koa-registry';
import { token } from 'koa-registry/plugins/auth/token';
import { suite } from 'uvu';
import { refused } from '../http/suite/answers.js';
import { TokenIssuer } from '../support/tokens.js';
import {
  closeAll,
  fileOf,
  KeyServer,
  serving,
  signaturesDuring,
  TO_US,
  type TokenOptions,
  TokenRegistry,
} from './auth-token-registry.js';

const PULL = 'repository:a:pull';
const COOLDOWN = 30;
const MAX_AGE = 600;

/** What the plugin warned of and told. */
function told({ lines }: TokenRegistry): string[] {
  return lines.map(({ msg }) => msg);
}

const LOST = 'keys of tokens cannot be read again, those read before serve on';
const FOUND = 'keys of tokens are read again';

async function keyPairs(): Promise<[TokenIssuer, TokenIssuer]> {
  return [await TokenIssuer.create(), await TokenIssuer.create()];
}

const bad = suite('auth/token: bad keys');
bad.after.each(closeAll);

bad('what must not be among public keys is refused by its name', async () => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const rsa = await generateKeyPair('RS256', { extractable: true, modulusLength: 2048 });
  const jwk = await exportJWK(privateKey);
  const short = { kty: 'RSA', e: 'AQAB', n: Buffer.alloc(128, 0xff).toString('base64url') };
  const wrong: readonly (readonly [key: object, message: RegExp])[] = [
    [{ kty: 'oct', k: 'canary', kid: 'shared' }, /key "shared" is symmetric/],
    [{ ...jwk, kid: 'mine' }, /key "mine" is a private key/],
    [{ ...(await exportJWK(rsa.privateKey)) }, /key number 2 is a private key/],
    [{ ...short, kid: 'short' }, /key "short" is an RSA key of 1024 bits: at least 2048 are needed/],
    [{ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'odd' }, /key "odd" cannot be read/],
    [{ kty: 'EC' }, /key number 2 cannot be read/],
  ];
  const good = await TokenIssuer.create();
  for (const [key, message] of wrong) {
    const jwks = await fileOf({ keys: [...good.jwks.keys, key] });
    await assert.rejects(TokenRegistry.open({ jwks }), (error: Error) => {
      assert.match(error.message, message);
      return !/canary/.test(error.message) && !error.message.includes(String(jwk.d));
    });
  }
});

bad('a file that is something else is not quoted', async () => {
  const others = [
    'canary',
    '-----BEGIN PRIVATE KEY-----\ncanary',
    '[]',
    '{}',
    '{"keys":{}}',
    '{"keys":["canary"]}',
    '',
  ];
  for (const content of [...others, { keys: Array.from({ length: 101 }, () => ({ kty: 'EC' })) }]) {
    await assert.rejects(TokenRegistry.open({ jwks: await fileOf(content) }), (error: Error) => {
      return /is not JSON|is no JSON Web Key Set/.test(error.message) && !/canary|BEGIN/.test(String(error.stack));
    });
  }
  await assert.rejects(TokenRegistry.open({ jwks: await fileOf(`"${'x'.repeat(1 << 20)}"`) }), /has 1048578 bytes/);
});

bad('keys that are for something else are passed over', async () => {
  const issuer = await TokenIssuer.create();
  const [jwk] = issuer.jwks.keys;
  const others = [
    { kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA', use: 'enc' },
    { kty: 'future', kid: 'x' },
  ];
  const encryption = [
    { ...jwk, use: 'enc' },
    { ...jwk, key_ops: ['deriveKey'] },
    { ...jwk, alg: 'ECDH-ES' },
  ];
  const registry = await TokenRegistry.open({ jwks: await fileOf({ keys: [...others, ...encryption, jwk] }) });
  await registry.admits(await issuer.sign(PULL));
  const useless = await fileOf({ keys: [...others, ...encryption] });
  await assert.rejects(TokenRegistry.open({ jwks: useless }), /no key that could verify a token/);
});

bad.run();

const file = suite('auth/token: keys in a file');
file.after.each(closeAll);

file('a changed file is seen within a second, for tokens that were seen before too', async () => {
  const [old, fresh] = await keyPairs();
  const path = await fileOf(old.jwks);
  const registry = await TokenRegistry.open({ jwks: path });
  const [oldToken, freshToken] = [await old.sign(PULL), await fresh.sign(PULL)];
  await registry.admits(oldToken);
  await registry.refuses(freshToken);
  await fileOf({ keys: [...old.jwks.keys, ...fresh.jwks.keys] }, path);
  registry.clock.pass(1);
  await registry.admits(freshToken);
  await registry.admits(oldToken);
  await fileOf(fresh.jwks, path);
  await registry.admits(oldToken);
  registry.clock.pass(1);
  await registry.refuses(oldToken);
  await registry.admits(freshToken);
});

file('a broken file changes nothing but what is told', async () => {
  const [old, fresh] = await keyPairs();
  const path = await fileOf(old.jwks);
  const registry = await TokenRegistry.open({ jwks: path });
  const token = await old.sign(PULL);
  for (const content of ['{"keys":', { keys: [{ kty: 'oct', k: 'AA', kid: 'shared' }] }]) {
    await registry.handler.check?.();
    await fileOf(content, path);
    registry.clock.pass(1);
    await registry.admits(token);
    await registry.admits(await old.sign(PULL));
    registry.clock.pass(1);
    await registry.admits(token);
    await assert.rejects(async () => registry.handler.check?.(), { code: 'UNAVAILABLE' });
    refused(await registry.send(await fresh.sign(PULL)), 503, 'UNAVAILABLE');
    assert.deepEqual(told(registry).slice(-1), [LOST]);
    await fileOf(old.jwks, path);
    registry.clock.pass(1);
    await registry.admits(token);
  }
  assert.deepEqual(told(registry), [LOST, FOUND, LOST, FOUND]);
  await rm(path);
  registry.clock.pass(1);
  await registry.admits(token);
  await assert.rejects(async () => registry.handler.check?.(), { code: 'UNAVAILABLE' });
  await fileOf(fresh.jwks, path);
  registry.clock.pass(1);
  await registry.admits(await fresh.sign(PULL));
  await registry.refuses(token);
  registry.assertSilent();
});

file('a file without a key lets nobody in any more', async () => {
  const [old] = await keyPairs();
  const path = await fileOf(old.jwks);
  const registry = await TokenRegistry.open({ jwks: path });
  await registry.admits(await old.sign(PULL));
  await fileOf({ keys: [] }, path);
  registry.clock.pass(1);
  await registry.refuses(await old.sign(PULL));
  await registry.handler.check?.();
});

file.run();

const url = suite('auth/token: keys at a URL');
url.after.each(closeAll);

async function openUrl(server: KeyServer, options: Partial<TokenOptions> = {}): Promise<TokenRegistry> {
  return TokenRegistry.open({ jwksUrl: `http://127.0.0.1:${server.port}/keys?key=canary`, ...options });
}

url('keys are fetched once, and again when they are old', async () => {
  const [old, fresh] = await keyPairs();
  const server = await KeyServer.start(serving(old.jwks));
  const registry = await openUrl(server);
  const long = { exp: Math.floor(registry.clock.now / 1000) + 10_000 };
  const token = await old.sign(PULL, long);
  for (let index = 0; index < 5; index++) await registry.admits(token);
  assert.equal(server.asked, 1);
  registry.clock.pass(MAX_AGE - 1);
  server.answer = serving(fresh.jwks);
  await registry.admits(token);
  assert.equal(server.asked, 1);
  registry.clock.pass(1);
  await registry.refuses(token, 'of a removed key');
  await registry.admits(await fresh.sign(PULL, long));
  assert.equal(server.asked, 2);
});

url('keys that are fetched again and are the same leave what was verified with them', async () => {
  const [old] = await keyPairs();
  const server = await KeyServer.start(serving(old.jwks));
  const registry = await openUrl(server);
  const token = await old.sign(PULL, { exp: Math.floor(registry.clock.now / 1000) + 10_000 });
  await registry.admits(token);
  registry.clock.pass(MAX_AGE);
  assert.equal(await signaturesDuring(() => registry.admits(token)), 0);
  assert.equal(server.asked, 2);
});

url('an unknown key is looked for at once, and then not again for a while', async () => {
  const [old, fresh] = await keyPairs();
  const server = await KeyServer.start(serving(old.jwks));
  const registry = await openUrl(server);
  const token = await fresh.sign(PULL);
  await registry.refuses(token, 'within the cooldown');
  assert.equal(server.asked, 1);
  registry.clock.pass(COOLDOWN);
  await Promise.all(Array.from({ length: 5 }, () => registry.refuses(token, 'not there yet')));
  assert.equal(server.asked, 2);
  server.answer = serving({ keys: [...old.jwks.keys, ...fresh.jwks.keys] });
  await registry.refuses(token, 'within the cooldown');
  registry.clock.pass(COOLDOWN);
  await registry.admits(token);
  await registry.admits(await old.sign(PULL));
  assert.equal(server.asked, 3);
});

url('only a key that is not known is looked for', async () => {
  const [old, fresh] = await keyPairs();
  const server = await KeyServer.start(serving(old.jwks));
  const registry = await openUrl(server);
  registry.clock.pass(COOLDOWN);
  await registry.refuses(await fresh.sign(PULL, {}, { kid: undefined }), 'without a name');
  await registry.refuses(await fresh.sign(PULL, {}, { kid: old.kid }), 'by another name');
  await registry.refuses(await old.sign(PULL, { aud: 'another' }), 'for another');
  await registry.refuses('canary', 'no token');
  assert.equal(server.asked, 1);
});

url('while the URL cannot be reached known keys serve on, and of unknown ones nothing can be said', async () => {
  const [old, fresh] = await keyPairs();
  const server = await KeyServer.start(serving(old.jwks));
  const { port } = server;
  const registry = await openUrl(server);
  const long = { exp: Math.floor(registry.clock.now / 1000) + 100_000 };
  const token = await old.sign(PULL, long);
  await server.stop();
  registry.clock.pass(MAX_AGE);
  await registry.admits(token);
  await registry.admits(await old.sign(PULL, { ...long, jti: 'another' }));
  for (let index = 0; index < 3; index++) {
    const answer = await registry.send(await fresh.sign(PULL, long));
    refused(answer, 503, 'UNAVAILABLE');
    assert.match(String(answer.headers['retry-after']), /^\d+$/);
    assert.equal(answer.headers['www-authenticate'], undefined);
    registry.clock.pass(COOLDOWN);
    await registry.admits(token);
  }
  await assert.rejects(async () => registry.handler.check?.(), { code: 'UNAVAILABLE' });
  assert.deepEqual(told(registry), [LOST]);
  server.answer = serving({ keys: [...old.jwks.keys, ...fresh.jwks.keys] });
  await server.listen(port);
  registry.clock.pass(COOLDOWN);
  await registry.handler.check?.();
  await registry.admits(await fresh.sign(PULL, long));
  assert.deepEqual(told(registry), [LOST, FOUND]);
  registry.assertSilent();
});

url('an answer that is no set of keys is like none', async () => {
  const [old, fresh] = await keyPairs();
  const server = await KeyServer.start(serving(old.jwks));
  const registry = await openUrl(server);
  const answers = [
    serving('<html>canary</html>'),
    serving({ keys: [{ kty: 'oct', k: 'AA' }] }),
    serving(`{"keys":[],"filler":"${'x'.repeat(1 << 20)}"}`),
    (_: unknown, response: ServerResponse) => void response.writeHead(500).end(JSON.stringify(fresh.jwks)),
    (_: unknown, response: ServerResponse) => void response.writeHead(204).end(),
    (_: unknown, response: ServerResponse) => void response.socket?.destroy(),
  ];
  for (const answer of answers) {
    server.answer = answer;
    registry.clock.pass(COOLDOWN);
    refused(await registry.send(await fresh.sign(PULL)), 503, 'UNAVAILABLE');
    await registry.admits(await old.sign(PULL));
    await assert.rejects(openUrl(server), /^Error: jwksUrl http:\/\/127\.0\.0\.1:\d+\/keys /);
  }
  assert.deepEqual(told(registry), [LOST]);
  assert.ok(!JSON.stringify(registry.lines).includes('canary'));
});

url('a body without an end is not read to its end', async () => {
  const server = await KeyServer.start((_request, response) => {
    const piece = 'x'.repeat(1 << 16);
    const more = () => {
      while (!response.destroyed && response.write(piece));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  });
  await assert.rejects(openUrl(server), /answers more than 1048576 bytes/);
});

url('a redirect is not followed, wherever it leads', async () => {
  const [old] = await keyPairs();
  const target = await KeyServer.start(serving(old.jwks));
  for (const status of [301, 302, 303, 307, 308]) {
    for (const Location of [`http://127.0.0.1:${target.port}/keys`, '/other', 'file:///etc/passwd']) {
      const server = await KeyServer.start((_request, response) => void response.writeHead(status, { Location }).end());
      await assert.rejects(openUrl(server), new RegExp(`answers ${status}, not 200; redirects are not followed`));
      assert.equal(server.asked, 1);
    }
  }
  assert.equal(target.asked, 0);
});

url('a server that is too slow is given up, and nobody waits for it twice', async () => {
  const [old] = await keyPairs();
  const silent = await KeyServer.start(() => undefined);
  const halting = await KeyServer.start((_request, response) => void response.write('{"keys":['));
  const tiring = await KeyServer.start(serving(old.jwks));
  const registry = await openUrl(tiring);
  const token = await old.sign(PULL, { exp: Math.floor(registry.clock.now / 1000) + 10_000 });
  await registry.admits(token);
  tiring.answer = () => undefined;
  registry.clock.pass(MAX_AGE);
  const patience = /jwksUrl .* has not answered within 5000 ms/;
  const first = registry.admits(token);
  await Promise.all([assert.rejects(openUrl(silent), patience), assert.rejects(openUrl(halting), patience), first]);
  registry.clock.pass(COOLDOWN);
  const asked = new Promise<void>((resolve) => {
    tiring.answer = () => resolve();
  });
  // The answer is there while the server still thinks.
  await registry.admits(token);
  await asked;
  assert.equal(tiring.asked, 3);
});

url('a registry that closes does not wait for keys', async () => {
  const closing = new AbortController();
  const server = await KeyServer.start(() => closing.abort(new Error('closed by the test')));
  const plugin = token({ ...TO_US, jwksUrl: `http://127.0.0.1:${server.port}/keys` });
  await assert.rejects(startPlugin(plugin, { signal: closing.signal }), /closed by the test/);
});

url.run();
