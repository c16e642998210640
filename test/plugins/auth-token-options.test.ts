// `auth/token`: what its options may be, and that everything which is wrong with them is said at once.
import assert from 'node:assert/strict';
import { fromConfig, OptionsError, registry, startPlugin } from 'koa-registry';
import { token } from 'koa-registry/plugins/auth/token';
import { memory } from 'koa-registry/plugins/storage/memory';
import { test } from 'uvu';
import { TokenIssuer } from '../support/tokens.js';
import { closeAll, fileOf, REALM, TO_US, TokenRegistry } from './auth-token-registry.js';

test.after.each(closeAll);

/** What is wrong with options, as `path: message`, without the plugin's own path. */
function problems(options: object): string[] {
  try {
    registry({ storage: memory(), auth: token(options as Parameters<typeof token>[0]) });
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    return error.problems.map(({ path, message }) => `${path.replace('auth.token.', '')}: ${message}`);
  }
  return [];
}

const NO_KEYS = 'rootCertBundle: is required, unless there is jwks or jwksUrl';
const NO_REALM = 'realm: is required, unless autoRedirect is on';

test('where tokens come from and how they are verified has to be said', () => {
  assert.deepEqual(problems({ ...TO_US, jwks: 'keys.json' }), []);
  assert.deepEqual(problems({ ...TO_US, rootCertBundle: 'root.pem', jwks: 'keys.json', jwksUrl: 'http://a/b' }), []);
  assert.deepEqual(problems(TO_US), [NO_KEYS]);
  const { realm, ...local } = TO_US;
  assert.deepEqual(problems({ ...local, jwks: 'keys.json' }), [NO_REALM]);
  assert.deepEqual(problems({ ...local, jwks: 'keys.json', autoRedirect: true }), []);
  assert.deepEqual(problems({ ...local, realm, jwks: 'keys.json', autoRedirect: true }), []);
});

test('all that is missing is said at once', () => {
  const found = problems({});
  for (const start of ['realm: ', 'service: ', 'issuer: ', 'rootCertBundle: ']) {
    assert.equal(found.filter((line) => line.startsWith(start)).length, 1, `${start}\n${found.join('\n')}`);
  }
});

test('what cannot be meant is refused by its name', () => {
  const wrong: readonly (readonly [options: object, problem: RegExp])[] = [
    [{ realm: 'auth.example' }, /^realm: must be a URL/],
    [{ realm: 'ftp://auth.example/' }, /^realm: must be a URL/],
    [{ service: '' }, /^service: /],
    [{ service: 'a\r\nb' }, /^service: must be printable/],
    [{ issuer: '' }, /^issuer: must not be empty/],
    [{ jwks: '' }, /^jwks: must not be empty/],
    [{ jwksUrl: 'file:///etc/passwd' }, /^jwksUrl: must be a URL/],
    [{ signingAlgorithms: [] }, /^signingAlgorithms: must name at least one/],
    [{ signingAlgorithms: ['ES256', 'HS256'] }, /^signingAlgorithms\[1\]: must be one of RS256, .*EdDSA$/],
    [{ signingAlgorithms: ['none'] }, /^signingAlgorithms\[0\]: must be one of/],
    [{ leeway: '2h' }, /^leeway: must be at most 1h/],
    [{ jwksCooldown: 0 }, /^jwksCooldown: must be at least 1s/],
    [{ jwksMaxAge: '10ms' }, /^jwksMaxAge: must be at least 1s/],
    [{ autoRedirectPath: 'auth' }, /^autoRedirectPath: must be the path of a URL/],
    [{ autoRedirectPath: '/a"b' }, /^autoRedirectPath: must be the path of a URL/],
    [{ rootcert: 'a' }, /^rootcert: unknown option/],
  ];
  for (const [options, problem] of wrong) {
    const [first = '', ...more] = problems({ ...TO_US, jwks: 'keys.json', ...options });
    assert.match(first, problem);
    assert.deepEqual(more, []);
  }
});

test('a URL holds no password, and no message shows one', () => {
  for (const option of ['realm', 'jwksUrl']) {
    const found = problems({ ...TO_US, jwks: 'keys.json', [option]: 'https://user:canary-url@auth.example/keys' });
    assert.deepEqual(found, [`${option}: must not contain a name or a password`]);
  }
});

test('distribution’s configuration of it is understood', async () => {
  const issuer = await TokenIssuer.create();
  const section = { realm: REALM, service: 'a', issuer: 'b', jwks: await fileOf(issuer.jwks), autoredirect: false };
  const document = {
    storage: { inmemory: null },
    auth: { token: { ...section, autoredirectpath: '/auth', signingalgorithms: ['ES256'] } },
  };
  const { auth } = fromConfig(document, [memory, token]);
  assert.ok(auth !== undefined);
  await (await startPlugin(auth)).close();
  const bundle = { ...section, jwks: undefined, rootcertbundle: '/root.pem' };
  fromConfig({ ...document, auth: { token: bundle } }, [memory, token]);
});

test('keys that cannot be had keep the registry from starting, and the reason says which', async () => {
  const missing = `${await fileOf('')}-missing`;
  await assert.rejects(TokenRegistry.open({ jwks: missing }), (error: Error) => {
    return error.message.startsWith(`jwks "${missing}" `) && error.message.includes('ENOENT');
  });
  await assert.rejects(TokenRegistry.open({ rootCertBundle: missing }), /^Error: rootCertBundle ".*ENOENT/);
  const empty = await fileOf({ keys: [] });
  await assert.rejects(TokenRegistry.open({ jwks: empty }), /no key that could verify a token/);
});

test.run();
