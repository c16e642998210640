// Scopes, as the token specification writes them; and media types, which are compared everywhere.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import {
  formatScopes,
  isMediaType,
  isNonDistributable,
  mediaTypeOf,
  OCI_IMAGE,
  parseScopes,
  type Scope,
  sameScope,
} from '../../lib/model/index.js';

const on = (name: string, ...actions: string[]): Scope[] =>
  actions.map((action) => ({ type: 'repository', name, action }));

test('a scope is read into one entry for each action', () => {
  assert.deepEqual(parseScopes('repository:library/alpine:pull'), on('library/alpine', 'pull'));
  assert.deepEqual(parseScopes('repository:a:pull,push,delete'), on('a', 'pull', 'push', 'delete'));
  assert.deepEqual(parseScopes('registry:catalog:*'), [{ type: 'registry', name: 'catalog', action: '*' }]);
  assert.deepEqual(parseScopes('repository(plugin):a:pull'), on('a', 'pull'), 'a class of resources is left aside');
  assert.deepEqual(parseScopes('repository:host:5000/a:pull'), on('host:5000/a', 'pull'), 'a name may have a colon');
  assert.deepEqual(parseScopes('repository:a:,pull,,push,'), on('a', 'pull', 'push'));
});

test('what is no scope of a registry gives none', () => {
  for (const text of ['', ':', '::', 'repository', 'repository:a', 'repository:a:', 'user:a:pull', 'a:b:c']) {
    assert.deepEqual(parseScopes(text), [], text);
  }
  assert.deepEqual(parseScopes(`repository(${'x'.repeat(1 << 20)}`), []);
});

test('scopes of one resource are joined, in the order of their first mention and each action once', () => {
  assert.equal(formatScopes([]), '');
  assert.equal(
    formatScopes([...on('a', 'pull'), ...on('b', 'pull'), ...on('a', 'push', 'pull')]),
    'repository:a:pull,push repository:b:pull',
  );
  assert.equal(
    formatScopes([{ type: 'registry', name: 'a', action: '*' }, ...on('a', 'pull')]),
    'registry:a:* repository:a:pull',
  );
});

test('what is written can be read again', () => {
  for (const scopes of [on('a', 'pull'), on('a/b-c', 'pull', 'push'), on('a', 'delete', '*', 'pull')]) {
    assert.deepEqual(parseScopes(formatScopes(scopes)), scopes);
  }
});

test('two scopes are the same only in type, name and action', () => {
  const scope: Scope = { type: 'repository', name: 'a', action: 'pull' };
  assert.equal(sameScope(scope, { ...scope }), true);
  assert.equal(sameScope(scope, { ...scope, type: 'registry' }), false);
  assert.equal(sameScope(scope, { ...scope, name: 'A' }), false);
  assert.equal(sameScope(scope, { ...scope, action: '*' }), false);
});

test('a media type is type/subtype of bounded length, without parameters', () => {
  const longest = `${'a'.repeat(127)}/${'b'.repeat(127)}`;
  for (const text of [OCI_IMAGE, 'a/b', 'text/plain', 'application/vnd.x!#$&^_.+-1', longest]) {
    assert.equal(isMediaType(text), true, text);
  }
  const bad = ['', '/', 'a', 'a/', '/b', 'a/b/c', 'a b/c', 'a/b;c=d', '*/*', '-a/b', 'a/.b', 'a/b\n', 'ä/b'];
  for (const text of [...bad, `a${longest}`, `${longest}b`, 'a/'.repeat(1 << 18)]) {
    assert.equal(isMediaType(text), false, JSON.stringify(text.slice(0, 40)));
  }
});

test('the media type of a header is in lower case and without parameters', () => {
  assert.equal(mediaTypeOf(undefined), undefined);
  for (const empty of ['', ' ', ';', ' ; charset=utf-8']) assert.equal(mediaTypeOf(empty), undefined);
  assert.equal(mediaTypeOf('Application/JSON'), 'application/json');
  assert.equal(mediaTypeOf(' application/json ;charset=utf-8;x="a;b"'), 'application/json');
});

test('only layers that may live elsewhere are non-distributable', () => {
  const elsewhere = [
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
  ];
  for (const mediaType of elsewhere) assert.equal(isNonDistributable(mediaType), true, mediaType);
  const ours = ['application/vnd.oci.image.layer.v1.tar+gzip', `x${elsewhere[0]}`, OCI_IMAGE, ''];
  for (const mediaType of ours) assert.equal(isNonDistributable(mediaType), false, mediaType);
});

test.run();
