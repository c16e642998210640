// Where `Location` and `Link` lead: as the options say, as the request came, and as a proxy says, but
// only where the application trusts it.
import assert from 'node:assert/strict';
import mount from 'koa-mount';
import { suite } from 'uvu';
import { index, pushManifest } from '../support/content.js';
import { BARE, type Mount, type OpenOptions, type OpenRegistry, openRegistry } from '../support/registry.js';

const test = suite('urls');

const PREFIXED: Mount = { name: 'prefix', base: '/portal', options: { prefix: '/portal' } };
const MOUNTED: Mount = {
  name: 'koa-mount',
  base: '/team',
  attach: (app, registry) => void app.use(mount('/team', registry)),
};

const opened: OpenRegistry[] = [];

test.after.each(async () => {
  for (const at of opened.splice(0)) await at.close();
});

async function open(options: OpenOptions = {}, where: Mount = BARE): Promise<OpenRegistry> {
  const at = await openRegistry(where, options);
  opened.push(at);
  return at;
}

/** What precedes `/v2/` in a `Location`, for a request with these headers. */
async function rootOf(at: OpenRegistry, headers: Record<string, string> = {}): Promise<string> {
  const { headers: answered } = await at.send('POST', '/v2/r/blobs/uploads/', { headers });
  const { location = '' } = answered;
  assert.match(location, /\/v2\/r\/blobs\/uploads\/[\da-f-]{36}\?_state=[\w-]+$/);
  return location.slice(0, location.indexOf('/v2/r/'));
}

test('the host that the client used, with its port', async () => {
  const at = await open();
  assert.equal(await rootOf(at), at.origin);
  assert.equal(await rootOf(at, { Host: 'registry.example' }), 'http://registry.example');
  assert.equal(await rootOf(at, { Host: 'registry.example:5000' }), 'http://registry.example:5000');
  assert.equal(await rootOf(at, { Host: '[::1]:5000' }), 'http://[::1]:5000');
});

test('http.host, with and without a path, whatever the request says', async () => {
  for (const [host, root] of [
    ['https://registry.example', 'https://registry.example'],
    ['https://registry.example/', 'https://registry.example'],
    ['https://registry.example:8443', 'https://registry.example:8443'],
    ['https://registry.example/images', 'https://registry.example/images'],
    ['https://registry.example/images/', 'https://registry.example/images'],
  ] as const) {
    const forged = { Host: 'evil.example', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Prefix': '/evil' };
    assert.equal(await rootOf(await open({ http: { host } }), forged), root);
    assert.equal(await rootOf(await open({ http: { host }, proxy: true }), forged), root);
    assert.equal(await rootOf(await open({ http: { host } }, PREFIXED)), `${root}/portal`);
    assert.equal(await rootOf(await open({ http: { host } }, MOUNTED)), `${root}/team`);
  }
});

test('relativeUrls leave scheme and host out, and keep every part of the path', async () => {
  const http = { relativeUrls: true };
  assert.equal(await rootOf(await open({ http })), '');
  assert.equal(await rootOf(await open({ http }, PREFIXED)), '/portal');
  assert.equal(await rootOf(await open({ http }, MOUNTED)), '/team');
  assert.equal(
    await rootOf(await open({ http: { ...http, host: 'https://a.example/images' } }, MOUNTED)),
    '/images/team',
  );
  assert.equal(await rootOf(await open({ http, proxy: true }), { 'X-Forwarded-Prefix': '/outer' }), '/outer');
});

test('Link is made as Location is', async () => {
  for (const [options, root] of [
    [{ http: { relativeUrls: true } }, ''],
    [{ http: { host: 'https://a.example/images' } }, 'https://a.example/images'],
  ] as const) {
    const at = await open(options, PREFIXED);
    for (const tag of ['a', 'b']) await pushManifest(at, 'r', index([]), tag);
    const { link } = (await at.send('GET', '/v2/r/tags/list?n=1')).headers;
    assert.equal(link, `<${root}/portal/v2/r/tags/list?last=a&n=1>; rel="next"`);
  }
});

test('the metadata document names the same root', async () => {
  const at = await open({ http: { host: 'https://a.example/images' }, metadata: { enabled: true } }, PREFIXED);
  const { body } = await at.send('GET', '/');
  assert.equal(JSON.parse(body.toString()).endpoints.v2.root, 'https://a.example/images/portal/v2/');
});

/** What a proxy says, and the root that follows where it is believed. The port of `Host` is the proxy's own. */
const PROXIED: readonly (readonly [headers: Record<string, string>, root: string])[] = [
  [{ 'X-Forwarded-Proto': 'https' }, 'https://inner.example'],
  [{ 'X-Forwarded-Host': 'outer.example' }, 'http://outer.example'],
  [{ 'X-Forwarded-Host': 'outer.example:8080' }, 'http://outer.example:8080'],
  [{ 'X-Forwarded-Host': 'outer.example, middle.example' }, 'http://outer.example'],
  [{ 'X-Forwarded-Proto': 'https, http', 'X-Forwarded-Host': 'outer.example' }, 'https://outer.example'],
  [{ 'X-Forwarded-Host': 'outer.example', 'X-Forwarded-Port': '8080' }, 'http://outer.example:8080'],
  [{ 'X-Forwarded-Host': 'outer.example:81', 'X-Forwarded-Port': '8080' }, 'http://outer.example:81'],
  [{ 'X-Forwarded-Proto': 'https', 'X-Forwarded-Port': '443' }, 'https://inner.example'],
  [{ 'X-Forwarded-Proto': 'http', 'X-Forwarded-Port': '80' }, 'http://inner.example'],
  [{ 'X-Forwarded-Proto': 'https', 'X-Forwarded-Port': '80' }, 'https://inner.example:80'],
  [{ 'X-Forwarded-Port': 'evil' }, 'http://inner.example'],
  [{ 'X-Forwarded-Prefix': '/outer' }, 'http://inner.example/outer'],
  [{ 'X-Forwarded-Prefix': '/outer/deep/' }, 'http://inner.example/outer/deep'],
  [{ 'X-Forwarded-Prefix': '/' }, 'http://inner.example'],
  [{ 'X-Forwarded-Prefix': 'outer' }, 'http://inner.example'],
  [{ 'X-Forwarded-Prefix': '//evil.example' }, 'http://inner.example'],
  [{ 'X-Forwarded-Prefix': '/a b' }, 'http://inner.example'],
  [{ Forwarded: 'for=10.0.0.1;proto=https;host=outer.example' }, 'https://outer.example'],
  [{ Forwarded: 'Proto=HTTPS; Host="outer.example:8443"' }, 'https://outer.example:8443'],
  [{ Forwarded: 'proto=https;host=outer.example, proto=http;host=middle.example' }, 'https://outer.example'],
  [{ Forwarded: 'for=10.0.0.1' }, 'http://inner.example'],
  [{ Forwarded: 'host=evil.example/x;proto=javascript' }, 'http://inner.example'],
  [{ Forwarded: 'host="evil.example\\"x"' }, 'http://inner.example'],
];

test('what a proxy says counts where the application trusts it', async () => {
  const at = await open({ proxy: true });
  for (const [headers, root] of PROXIED) {
    assert.equal(await rootOf(at, { Host: 'inner.example', ...headers }), root, JSON.stringify(headers));
  }
});

test('none of it is believed otherwise', async () => {
  const at = await open();
  for (const [headers] of PROXIED) {
    assert.equal(await rootOf(at, { Host: 'inner.example', ...headers }), 'http://inner.example');
  }
});

test('a prefix that a proxy took off stands before that of the mount', async () => {
  for (const where of [PREFIXED, MOUNTED]) {
    const at = await open({ proxy: true }, where);
    const headers = { Host: 'inner.example', 'X-Forwarded-Prefix': '/outer' };
    assert.equal(await rootOf(at, headers), `http://inner.example/outer${where.base}`);
  }
});

test('an absolute request target is answered as its path is', async () => {
  for (const where of [BARE, PREFIXED]) {
    const at = await open({}, where);
    const { status } = await at.sendRaw('GET', `${at.origin}${where.base}/v2/`);
    assert.equal(status, 200);
  }
});

test.run();
