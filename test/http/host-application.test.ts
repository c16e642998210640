// The registry as a guest: what is not its own goes on to the host, and what is the host's it leaves alone.
import assert from 'node:assert/strict';
import type { Middleware } from 'koa';
import { definePlugin } from 'koa-registry';
import { test } from 'uvu';
import { z } from 'zod';
import { digestOf } from '../../lib/model/index.js';
import { RegistryClient } from '../support/registry-client.js';
import { ERROR, type HostOptions, withHost } from './host-service.js';

const BLOB = Buffer.from('content');

/** Fails in a way that nobody foresaw. */
const buggy = definePlugin({
  kind: 'auth',
  name: 'buggy',
  options: z.strictObject({}),
  create: () => ({
    authorize: ({ required }) => {
      if (required.some(({ name }) => name === 'bug')) throw new TypeError('a secret');
      return { granted: [] };
    },
  }),
});

/** The host's own page, which says what the request looked like when it came there. */
const page: Middleware = (ctx) => {
  ctx.status = 203;
  ctx.body = { path: ctx.path, headers: Object.keys(ctx.response.headers), compress: 'compress' in ctx };
};

async function seenByHost(url: string, method = 'GET'): Promise<unknown> {
  const answer = await fetch(url, { method, redirect: 'manual' });
  assert.equal(answer.status, 203, `${method} ${url}`);
  assert.equal(answer.headers.get('Docker-Distribution-API-Version'), null);
  assert.equal(answer.headers.get('X-Request-Id'), null);
  return method === 'HEAD' ? undefined : answer.json();
}

test("paths that are not the registry's go to next(), untouched", async () => {
  const others = [
    '/',
    '/v2foo',
    '/v2foo/a/tags/list',
    '/v',
    '/v1/',
    '/v3/',
    '/V2/',
    '/a/v2/',
    '/portal',
    '/favicon.ico',
  ];
  await withHost({ after: [page] }, async ({ url }) => {
    for (const path of others) {
      assert.deepEqual(await seenByHost(url + path), { path, headers: [], compress: false });
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']) await seenByHost(`${url}/elsewhere`, method);
    for (const path of ['/v2', '/v2/', '/v2?x=1']) assert.equal((await fetch(url + path)).status, 200, path);
  });
});

test("with a prefix only what is below it is the registry's", async () => {
  const others = [
    '/',
    '/v2/',
    '/portal',
    '/portal/',
    '/portal/v2foo',
    '/portalv2/',
    '/portal/x',
    '/xportal/v2/',
    '/Portal/v2/',
  ];
  await withHost({ options: { prefix: '/portal' }, after: [page] }, async ({ url }) => {
    for (const path of others) {
      assert.deepEqual(await seenByHost(url + path), { path, headers: [], compress: false });
    }
    for (const path of ['/portal/v2', '/portal/v2/']) assert.equal((await fetch(url + path)).status, 200, path);
  });
});

test("what is the registry's never goes to next()", async () => {
  await withHost({ after: [page] }, async ({ url }) => {
    for (const path of ['/v2/nothing', '/v2/A/tags/list', '/v2/a/blobs/x', '/v2//', '/v2/%', '/v2/../x/y']) {
      const answer = await fetch(url + path.replace('..', '%2e%2e%2f'));
      assert.notEqual(answer.status, 203, path);
      assert.ok(answer.status >= 400 && answer.status < 500, `${path}: ${answer.status}`);
      assert.equal(answer.headers.get('Content-Type'), 'application/json');
    }
  });
});

test('the state of the host is left alone, and what the host has set before does not show', async () => {
  const seen: unknown[] = [];
  const host: Middleware = async (ctx, next) => {
    ctx.state.user = { name: 'x' };
    ctx.status = 418;
    ctx.body = 'the host was here';
    ctx.set('X-Host', 'kept');
    await next();
    seen.push({ ...ctx.state });
  };
  await withHost({ before: [host], options: { delete: { enabled: true } } }, async ({ url }) => {
    const client = new RegistryClient(url);
    const digest = await client.pushBlob('a', BLOB);
    const blob = `${url}/v2/a/blobs/${digest}`;
    const cases: readonly (readonly [path: string, init: RequestInit, status: number, body: string])[] = [
      [`${url}/v2/`, {}, 200, '{}'],
      [blob, {}, 200, 'content'],
      [blob, { method: 'HEAD' }, 200, ''],
      [blob, { headers: { Range: 'bytes=0-2' } }, 206, 'con'],
      [blob, { headers: { 'If-None-Match': `"${digest}"` } }, 304, ''],
      [`${url}/v2/a/blobs/uploads/`, { method: 'POST' }, 202, ''],
      [blob, { method: 'DELETE' }, 202, ''],
    ];
    for (const [path, init, status, body] of cases) {
      const answer = await fetch(path, init);
      assert.deepEqual([answer.status, await answer.text()], [status, body], `${init.method ?? 'GET'} ${path}`);
      assert.equal(answer.headers.get('X-Host'), 'kept');
      assert.equal(answer.headers.get('Content-Type')?.startsWith('text/') ?? false, false);
    }
    for (const state of seen) assert.deepEqual(state, { user: { name: 'x' } });
  });
});

test('an error handler of the host is not needed by the registry, and not kept from its own errors', async () => {
  const caught: unknown[] = [];
  const handler: Middleware = async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      caught.push(error);
      ctx.status = 599;
      ctx.body = 'handled';
    }
  };
  const broken: Middleware = () => {
    throw new Error('of the host');
  };
  await withHost({ before: [handler], after: [broken] }, async ({ url, errors }) => {
    assert.equal((await fetch(`${url}/v2/a/manifests/none`)).status, 404);
    assert.deepEqual(caught, []);
    const answer = await fetch(`${url}/elsewhere`);
    assert.deepEqual([answer.status, await answer.text()], [599, 'handled']);
    assert.equal(caught.length, 1);
    assert.deepEqual(errors, []);
  });
});

test("a client's mistake is no event; a bug is one, answered without a word of it", async () => {
  await withHost({ options: { auth: buggy() } }, async ({ url, errors, lines }) => {
    for (const path of ['/v2/a/manifests/none', '/v2/A/tags/list', '/v2/a/blobs/sha256:x', '/v2/a/tags/list?n=x']) {
      assert.ok((await fetch(url + path)).status < 500);
    }
    assert.deepEqual(errors, []);
    const answer = await fetch(`${url}/v2/bug/manifests/x`);
    assert.equal(answer.status, 500);
    assert.deepEqual(await answer.json(), { errors: [{ code: 'UNKNOWN', message: 'unknown error' }] });
    assert.deepEqual(
      errors.map(({ message }) => message),
      ['a secret'],
    );
    const [line] = lines.filter(({ level }) => level === ERROR);
    assert.match(JSON.stringify(line), /a secret/);
    assert.equal(line?.requestId, answer.headers.get('X-Request-Id'));
  });
});

const FORWARDED = {
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'registry.example',
  'X-Forwarded-Prefix': '/outer',
  'X-Request-Id': 'given-by-the-proxy',
};

test('what a proxy says counts only where the host trusts it', async () => {
  for (const proxy of [false, true]) {
    const options: HostOptions = { proxy };
    await withHost(options, async ({ url }) => {
      const answer = await fetch(`${url}/v2/a/blobs/uploads/`, { method: 'POST', headers: FORWARDED });
      const location = answer.headers.get('Location') ?? '';
      const root = proxy ? 'https://registry.example/outer' : url;
      assert.ok(location.startsWith(`${root}/v2/a/blobs/uploads/`), location);
      assert.equal(answer.headers.get('X-Request-Id') === 'given-by-the-proxy', proxy);
    });
  }
});

test('a digest in a path may have its colon escaped', async () => {
  await withHost({}, async ({ url }) => {
    await new RegistryClient(url).pushBlob('a', BLOB);
    const answer = await fetch(`${url}/v2/a/blobs/${encodeURIComponent(digestOf(BLOB))}`);
    assert.equal(await answer.text(), 'content');
  });
});

test.run();
