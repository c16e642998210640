// Which URLs a manifest may name: whatever would lead a client into somebody's network, or with credentials, is refused.
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { type ForeignUrlRules, ForeignUrls } from '../../lib/services/foreign-urls.js';

const problemOf = (url: string, rules: Partial<ForeignUrlRules> = {}) =>
  new ForeignUrls({ deny: [], internalHosts: [], ...rules }).problemOf(url);

test('a URL of a public host is allowed', () => {
  for (const url of [
    'https://mcr.microsoft.com/v2/windows/nanoserver/blobs/sha256:abc',
    'http://go.microsoft.com/fwlink/?linkid=837858',
    'https://cdn.example:8443/a/b?c=d%20e&f=g',
    'HTTPS://CDN.example/a',
    'https://8.8.8.8/layer',
    'https://[2a00:1450::1]/layer',
    'https://[::ffff:8.8.8.8]/layer',
    'https://sub.internal.example.com/layer',
  ]) {
    assert.equal(problemOf(url), undefined, url);
  }
});

test('a scheme other than http and https, and what is no URL at all, is refused', () => {
  for (const url of [
    'ftp://cdn.example/a',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'data:text/plain,a',
    'gopher://cdn.example/',
    '//cdn.example/a',
    '/a/b',
    'cdn.example/a',
    'https:cdn.example/a',
    'https:/cdn.example/a',
    'https:///cdn.example/a',
    'https://',
    'https://:80/',
    '',
    ' https://cdn.example/a',
    'https://cdn.example/a b',
    'https://cdn.example/a\n',
    'ht\ttps://cdn.example/a',
    'https://cdn.example\\@evil.example/',
    'https:\\\\cdn.example/a',
    'https://cdn.example/a\r\nSet-Cookie: a=b',
    'https://cdn.example/"',
    'https://ex\u0430mple.com/',
    'https://cdn.example:99999/',
    `https://cdn.example/${'a'.repeat(2048)}`,
  ]) {
    assert.match(problemOf(url) ?? '', /^must (?:be an http or https URL|not be longer)/, url);
  }
});

test('credentials and fragments are refused', () => {
  for (const url of [
    'https://user:pass@cdn.example/',
    'https://user@cdn.example/',
    'https://@cdn.example/',
    'https://:@cdn.example/',
  ]) {
    assert.equal(problemOf(url), 'must not have credentials', url);
  }
  assert.equal(problemOf('https://cdn.example/a#b'), 'must not have a fragment');
});

const INTERNAL = [
  'http://127.0.0.1/',
  'http://127.1/',
  'http://0x7f.1/',
  'http://2130706433/',
  'http://0177.0.0.1/',
  'http://127.0.0.1./',
  'http://0/',
  'http://0.0.0.0:5000/',
  'http://10.0.0.7/a',
  'http://100.64.0.1/',
  'http://172.31.255.255/',
  'http://192.168.1.1/',
  'http://169.254.169.254/latest/meta-data/',
  'http://198.18.0.1/',
  'http://224.0.0.1/',
  'http://255.255.255.255/',
  'http://[::]/',
  'http://[::1]/',
  'http://[0:0:0:0:0:0:0:1]:80/',
  'http://[::ffff:127.0.0.1]/',
  'http://[::7f00:1]/',
  'http://[::ffff:10.0.0.7]/',
  'http://[64:ff9b::7f00:1]/',
  'http://[2002:7f00:1::]/',
  'http://[fd00::1]/',
  'http://[fe80::1]/',
  'http://[ff02::1]/',
  'http://localhost/',
  'http://LOCALHOST:8080/',
  'http://localhost./',
  'http://a.localhost/',
  'http://registry/',
  'http://vault.internal/',
  'http://metadata.google.internal/computeMetadata/v1/',
  'http://printer.local/',
  'http://nas.home.arpa/',
  'http://kubernetes.default.svc/',
  'http://vault.service.consul/',
  'http://1.0.0.127.in-addr.arpa/',
  'http://a.test/',
  'http://localhost../',
  'http://[3fff::1]/',
  'http://168.63.129.16/',
];

test('an internal host is refused, however it is spelled', () => {
  for (const url of INTERNAL) assert.equal(problemOf(url), 'must not be on an internal host', url);
});

test('no pattern allows an internal host', () => {
  for (const allow of [
    [/./],
    [/^https?:\/\//],
    [/^http:\/\/[^/]+\//],
    [/^https?:\/\/[a-z0-9.]+\//, /^https?:\/\/\w+/],
  ]) {
    for (const url of INTERNAL) assert.notEqual(problemOf(url, { allow }), undefined, `${url} ${allow}`);
  }
});

test('internal hosts are allowed by their name, their address or their network, and no others', () => {
  const internalHosts = ['127.0.0.1', '10.0.0.0/8', 'fd00::/8', 'cdn.corp', 'registry'];
  for (const url of [
    'http://127.0.0.1:5001/a',
    'http://2130706433/a',
    'http://10.20.30.40/a',
    'http://[fd00::7]/a',
    'https://CDN.corp/a',
    'https://cdn.corp./a',
    'http://registry:5000/a',
  ]) {
    assert.equal(problemOf(url, { internalHosts }), undefined, url);
  }
  for (const url of ['http://127.0.0.2/', 'http://11.0.0.1.corp/', 'http://a.cdn.corp/', 'http://[fc00::1]/']) {
    assert.equal(problemOf(url, { internalHosts }), 'must not be on an internal host', url);
  }
  const allow = [/^http:\/\/127\.0\.0\.1:5001\//];
  assert.equal(problemOf('http://127.0.0.1:5001/a', { allow, internalHosts }), undefined);
  assert.equal(problemOf('http://127.0.0.1:5002/a', { allow, internalHosts }), 'is not allowed');
  assert.equal(problemOf('http://u:p@127.0.0.1:5001/a', { allow, internalHosts }), 'must not have credentials');
});

test('where patterns are given, nothing else is allowed; what is denied is denied', () => {
  const allow = [/^https:\/\/mcr\.microsoft\.com\//];
  assert.equal(problemOf('https://mcr.microsoft.com/a', { allow }), undefined);
  assert.equal(problemOf('https://cdn.example/a', { allow }), 'is not allowed');
  assert.equal(problemOf('https://mcr.microsoft.com/a', { allow: [] }), 'is not allowed');
  assert.equal(problemOf('https://mcr.microsoft.com/a', { allow, deny: [/mcr/] }), 'is denied');
});

test('a denied URL stays denied, however it is spelled', () => {
  const deny = [/^https:\/\/evil\.example\//];
  for (const url of [
    'https://evil.example/x',
    'HTTPS://evil.example/x',
    'https://EVIL.example/x',
    'https://evil.example:443/x',
    'https://evil.example./x',
    'https://%65vil.example/x',
    'https://evil.example',
    'https://evil.example/a/../x',
  ]) {
    assert.equal(problemOf(url, { deny }), 'is denied', url);
  }
  assert.equal(problemOf('https://not-evil.example/x', { deny }), undefined);
});

test('what is allowed as it is written has to be allowed as it is meant', () => {
  const allow = [/^https:\/\/cdn\.example\/public\//];
  assert.equal(problemOf('https://cdn.example/public/a', { allow }), undefined);
  assert.equal(problemOf('https://cdn.example/public/../private/a', { allow }), 'is not allowed');
});

test.run();
