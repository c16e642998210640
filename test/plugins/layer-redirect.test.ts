// `layer/redirect`: where a base URL leads, what is no base URL, and that a plain file server behind it is enough.
import assert from 'node:assert/strict';
import { redirect } from 'koa-registry/plugins/layer/redirect';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { suite } from 'uvu';
import { answered } from '../http/suite/answers.js';
import { content, digestOf, pushBlob } from '../support/content.js';
import { startNginx } from '../support/nginx.js';
import { BARE, openRegistry, startStorage } from '../support/registry.js';
import { suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { keyOf, layerOf, problemsOf, requestFor, urlBy, withHandler } from './layer-redirects-fixture.js';

const test = suite('layer/redirect');

const KEY = keyOf(digestOf('abc'));

for (const [baseUrl, expected] of [
  ['https://cdn.example', `https://cdn.example/${KEY}`],
  ['https://cdn.example/', `https://cdn.example/${KEY}`],
  ['http://cdn.example:8080/images/eu//', `http://cdn.example:8080/images/eu/${KEY}`],
  ['https://cdn.example/a b/ü', `https://cdn.example/a%20b/%C3%BC/${KEY}`],
  ['https://CDN.example/a/../b', `https://cdn.example/b/${KEY}`],
  ['http://[::1]:5000/x', `http://[::1]:5000/x/${KEY}`],
] as const) {
  test(`${baseUrl} is before the key, for GET and HEAD`, async () => {
    await withHandler(redirect({ baseUrl }), async (handler) => {
      for (const method of ['GET', 'HEAD'] as const) {
        assert.equal(await urlBy(handler, layerOf('abc'), requestFor(method)), expected);
      }
    });
  });
}

test('what the driver says of the object does not count: the root directory is not in the URL', async () => {
  const store = { path: (key: string) => `root/${key}`, url: () => assert.fail('asked') };
  await withHandler(redirect({ baseUrl: 'https://cdn.example' }), async (handler) => {
    assert.equal(await urlBy(handler, layerOf('abc', store)), `https://cdn.example/${KEY}`);
  });
});

test('a base URL that is none, or could not be followed by a key, is refused without its password', async () => {
  const clear = ['must be without credentials, query and fragment'];
  const none = ['must be an http or https URL'];
  for (const [baseUrl, messages] of [
    ['cdn.example', none],
    ['/images', none],
    ['ftp://cdn.example', none],
    ['', none],
    ['https://cdn.example/?a=b', clear],
    ['https://cdn.example/#a', clear],
    ['https://user:canary-password@cdn.example/', clear],
  ] as const) {
    const problems = await problemsOf(redirect({ baseUrl }));
    assert.deepEqual(
      problems,
      messages.map((message) => `layer.redirect.baseUrl ${message}`),
      baseUrl,
    );
  }
});

test.run();

const served = suiteNeeding('layer/redirect: nginx serves the files', ['nginx']);

served('a client gets a blob whole, in part, and its length, and the registry reads none of it', async () => {
  const rootDirectory = tempFolder();
  const front = await startNginx(
    (port) => `server { listen 127.0.0.1:${port}; location /images/ { alias ${rootDirectory}/; } }`,
  );
  const driver = await startStorage(filesystem({ rootDirectory }));
  const opened: string[] = [];
  const open: typeof driver.open = (key, options) => {
    opened.push(key);
    return driver.open(key, options);
  };
  const layer = redirect({ baseUrl: `${front.url}/images` });
  const at = await openRegistry(BARE, { driver: { ...driver, open }, layer });
  const bytes = content(300_000);
  const path = `/v2/team/app/blobs/${await pushBlob(at, 'team/app', bytes)}`;
  opened.length = 0;

  answered(await at.send('GET', path), 307);
  const whole = await fetch(at.origin + path);
  assert.ok(whole.redirected && whole.status === 200);
  assert.ok(bytes.equals(Buffer.from(await whole.arrayBuffer())));
  const part = await fetch(at.origin + path, { headers: { Range: 'bytes=1000-1999' } });
  assert.equal(part.status, 206);
  assert.ok(bytes.subarray(1000, 2000).equals(Buffer.from(await part.arrayBuffer())));
  const head = await fetch(at.origin + path, { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), '300000');
  assert.deepEqual(opened, []);
  await at.close();
  await front.stop();
});

served.run();
