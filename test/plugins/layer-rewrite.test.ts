// `layer/rewrite`: what becomes of a URL, byte for byte, and of what is none. That a store takes the signature of a
// URL that was rewritten is in `test/clients/redirects.test.ts`.
import assert from 'node:assert/strict';
import { definePlugin, type LayerAnswer, type LayerHandler, type LayerStore, type Plugin } from 'koa-registry';
import { redirect } from 'koa-registry/plugins/layer/redirect';
import { rewrite } from 'koa-registry/plugins/layer/rewrite';
import { suite } from 'uvu';
import { z } from 'zod';
import { answered, refused } from '../http/suite/answers.js';
import { pushBlob } from '../support/content.js';
import { BARE, openRegistry } from '../support/registry.js';
import { keyOf, layerOf, problemsOf, requestFor, urlBy, withHandler } from './layer-redirects-fixture.js';

type Settings = Omit<NonNullable<Parameters<typeof rewrite>[0]>, 'handler'>;

/** A handler whose members the test gives. */
const made = definePlugin({
  kind: 'layer',
  name: 'made',
  options: z.strictObject({ handler: z.custom<LayerHandler>() }),
  create: ({ handler }) => handler,
});

const answering = (answer: LayerAnswer | undefined): Plugin<'layer'> => made({ handler: { resolve: () => answer } });

const to = (url: string) => answering({ redirect: url });

const test = suite('layer/rewrite');

/** Every byte of it may be under the signature. */
const QUERY = '?X-Amz-Date=1&x=%2F%2f+%20~a=b&&sig=a%3d%3D?#/frag';

for (const [what, settings, before, after] of [
  ['the scheme', { scheme: 'https' }, 'http://store:9000/b/k', 'https://store:9000/b/k'],
  ['the host, with its port', { host: 'cdn.example' }, 'http://store:9000/b/k', 'http://cdn.example/b/k'],
  ['the port', { host: 'cdn.example:8443' }, 'https://store/b/k', 'https://cdn.example:8443/b/k'],
  ['the port to that of the scheme', { host: 'store:443' }, 'https://store:9000/b', 'https://store:443/b'],
  ['an IPv6 host', { host: '[::1]:80' }, 'http://[2001:db8::1]:9000/b/k', 'http://[::1]:80/b/k'],
  ['credentials with the host', { host: 'cdn.example' }, 'http://u:p@store/b/k', 'http://cdn.example/b/k'],
  ['a prefix away', { trimPathPrefix: '/b' }, 'http://store/b/k', 'http://store/k'],
  ['a prefix away that is all', { trimPathPrefix: '/b/k' }, 'http://store/b/k', 'http://store'],
  ['a prefix away, slash or not', { trimPathPrefix: '/b/' }, 'http://store/b/k', 'http://store/k'],
  ['a prefix in', { addPathPrefix: '/files/' }, 'http://store/b/k', 'http://store/files/b/k'],
  ['a prefix in, where there is no path', { addPathPrefix: '/files' }, 'http://store', 'http://store/files'],
  ['odd paths as they are', { host: 'x' }, 'HTTP://S/%2F//a/./b/../c%7e~', 'HTTP://x/%2F//a/./b/../c%7e~'],
  [
    'all of it',
    { scheme: 'https', host: 'cdn.example', trimPathPrefix: '/b', addPathPrefix: '/files' },
    'http://store:9000/b/k%20k',
    'https://cdn.example/files/k%20k',
  ],
] as const satisfies readonly (readonly [string, Settings, string, string])[]) {
  test(`changes ${what}, and no byte of the query`, async () => {
    for (const query of ['', QUERY]) {
      await withHandler(rewrite({ handler: to(before + query), ...settings }), async (handler) => {
        for (const method of ['GET', 'HEAD'] as const) {
          assert.equal(await urlBy(handler, layerOf('abc'), requestFor(method)), after + query);
        }
      });
    }
  });
}

test('what is no redirect passes as it is', async () => {
  for (const answer of [undefined, { headers: { 'X-Accel-Redirect': '/b/k' } }]) {
    await withHandler(rewrite({ handler: answering(answer), host: 'cdn.example' }), async (handler) => {
      assert.equal(await handler.resolve(layerOf('abc'), requestFor()), answer);
    });
  }
});

test('a path that does not begin with what is taken off is a failure, which does not tell the query', async () => {
  for (const url of ['https://store/c/k', 'https://store/bb/k', 'https://store', 'https://store?/b/k', 'https://b/k']) {
    const plugin = rewrite({ handler: to(`${url}?signature=canary-url`), trimPathPrefix: '/b' });
    await withHandler(plugin, async (handler) => {
      await assert.rejects(
        async () => handler.resolve(layerOf('abc'), requestFor()),
        ({ message }: Error) => /does not begin with "\/b"/.test(message) && !message.includes('canary'),
      );
    });
  }
});

test('so is what is no absolute URL', async () => {
  for (const url of ['/b/k?canary', 'ftp://store/b/k?canary', 'https:///b?canary', 'canary']) {
    await withHandler(rewrite({ handler: to(url), scheme: 'https' }), async (handler) => {
      await assert.rejects(
        async () => handler.resolve(layerOf('abc'), requestFor()),
        ({ message }: Error) => /no absolute http or https URL/.test(message) && !message.includes('canary'),
      );
    });
  }
});

test('without a handler the URLs are those of the driver', async () => {
  const url: LayerStore['url'] = async (key, { method, expires }) => `http://store/b/${key}?${method}-${expires}`;
  await withHandler(rewrite({ scheme: 'https', host: 'cdn.example', trimPathPrefix: '/b' }), async (handler) => {
    const layer = layerOf('abc', { url });
    assert.equal(await urlBy(handler, layer), `https://cdn.example/${layer.key}?GET-1200000`);
    await assert.rejects(async () => handler.resolve(layerOf('abc'), requestFor()), /no URLs of its own/);
  });
});

test('check: fails where the handler’s does, or where a URL of the driver could not be rewritten', async () => {
  const at = (prefix: string): LayerStore => ({ url: async (key) => `http://store${prefix}/${key}?signature=canary` });
  await withHandler(rewrite({ trimPathPrefix: '/b' }), async (rewriting) => {
    await rewriting.check?.(at('/b'));
    await assert.rejects(async () => rewriting.check?.({}), /no URLs of its own/);
    await assert.rejects(async () => rewriting.check?.({ url: async () => undefined }), /cannot sign/);
  });
  await withHandler(rewrite({ trimPathPrefix: '/b' }), async (rewriting) => {
    await assert.rejects(async () => rewriting.check?.(at('/c')), /does not begin with "\/b"/);
  });
});

test('check: fails where the URLs of a handler without a check of its own could not be rewritten', async () => {
  const handler = redirect({ baseUrl: 'http://store/b' });
  await withHandler(rewrite({ handler, trimPathPrefix: '/b' }), async (rewriting) => rewriting.check?.({}));
  await withHandler(rewrite({ handler, trimPathPrefix: '/nope' }), async (rewriting) => {
    await assert.rejects(async () => rewriting.check?.({}), /does not begin with "\/nope"/);
  });
});

test('check: what the handler makes of a blob that nobody has is no failure, unless it is such a URL', async () => {
  const resolves: readonly LayerHandler['resolve'][] = [
    () => undefined,
    () => ({ headers: { 'X-File': '/a' } }),
    () => Promise.reject(new Error('no such blob')),
    () => assert.fail('no such blob'),
  ];
  for (const resolve of resolves) {
    await withHandler(rewrite({ handler: made({ handler: { resolve } }), trimPathPrefix: '/b' }), async (handler) =>
      handler.check?.({}),
    );
  }
});

test('check: hands on the signal and what the driver can do, and asks for a blob as a client would', async () => {
  const { signal } = new AbortController();
  const path = (key: string) => key;
  const checked: object[] = [];
  const asked: Parameters<LayerHandler['resolve']>[] = [];
  const check: LayerHandler['check'] = async (given) => void checked.push(given);
  const resolve = (...given: (typeof asked)[number]) => void asked.push(given);
  const handler = made({ handler: { resolve, check } });
  await withHandler(rewrite({ handler, scheme: 'https' }), async (rewriting) => {
    await rewriting.check?.({ path, signal });
    await rewriting.check?.({});
  });
  assert.deepEqual(checked, [{ path, signal }, {}]);
  const [[layer, request], [other, unsigned]] = asked as [(typeof asked)[number], (typeof asked)[number]];
  const { key, descriptor } = layer;
  assert.deepEqual([layer.path, layer.url], [path, undefined]);
  assert.equal(other.path, undefined);
  assert.equal(key, keyOf(descriptor.digest));
  assert.deepEqual(request, { method: 'GET', client: '192.0.2.1', headers: {}, signal });
  assert.equal(unsigned.signal.aborted, false);
});

test('the handler is closed with it', async () => {
  let closed = 0;
  const close = async () => void closed++;
  const handler = made({ handler: { resolve: () => undefined, close } });
  await withHandler(rewrite({ handler, scheme: 'https' }), async () => assert.equal(closed, 0));
  assert.equal(closed, 1);
});

test('options that are wrong, or change nothing, are refused, and so are those of the handler', async () => {
  const at = 'layer.rewrite';
  const host = `${at}.host must be a host, or "host:port"`;
  const path = (option: string) => `${at}.${option} must be a path as it stands in a URL, such as "/layers"`;
  for (const [settings, problem] of [
    [{}, `${at} changes nothing: say scheme, host, trimPathPrefix or addPathPrefix`],
    [
      { trimPathPrefix: '/b', addPathPrefix: '/b/' },
      `${at} changes nothing: say scheme, host, trimPathPrefix or addPathPrefix`,
    ],
    [{ host: 'https://cdn.example' }, host],
    [{ host: 'cdn.example/b' }, host],
    [{ host: 'user@cdn.example' }, host],
    [{ host: 'cdn.example:99999' }, host],
    [{ host: '' }, host],
    [{ trimPathPrefix: 'b' }, path('trimPathPrefix')],
    [{ trimPathPrefix: '/b?c' }, path('trimPathPrefix')],
    [{ addPathPrefix: '/b/../c' }, path('addPathPrefix')],
    [{ addPathPrefix: '/b/%2e%2e' }, path('addPathPrefix')],
    [{ addPathPrefix: '/b c' }, path('addPathPrefix')],
    [{ addPathPrefix: '/b#' }, path('addPathPrefix')],
  ] as const) {
    assert.deepEqual(await problemsOf(rewrite(settings)), [problem], JSON.stringify(settings));
  }
  const handler = redirect({ baseUrl: 'nowhere' });
  assert.deepEqual(await problemsOf(rewrite({ handler, scheme: 'https' })), [
    `${at}.handler.redirect.baseUrl must be an http or https URL`,
  ]);
});

for (const onFailure of ['stream', 'unavailable'] as const) {
  test(`a URL that cannot be rewritten: ${onFailure}, and one line of the log, without the query`, async () => {
    const layer = rewrite({ handler: to('https://store/c/k?signature=canary-url'), trimPathPrefix: '/b' });
    const at = await openRegistry(BARE, { layer, offload: { onFailure } });
    const path = `/v2/team/app/blobs/${await pushBlob(at, 'team/app', 'abc')}`;
    for (let round = 0; round < 3; round++) {
      const answer = await at.send('GET', path);
      if (onFailure === 'unavailable') refused(answer, 503, 'UNAVAILABLE');
      else assert.equal(answered(answer, 200).body.toString(), 'abc');
    }
    assert.equal(at.log.filter(({ message }) => message.startsWith('the layer handler fails')).length, 1);
    const said = at.log.map(({ fields, message }) => `${message} ${JSON.stringify(fields)} ${String(fields.err)}`);
    assert.ok(said.some((line) => line.includes('does not begin with "/b"')));
    assert.ok(!said.some((line) => line.includes('canary')));
    await at.close();
  });
}

test.run();
