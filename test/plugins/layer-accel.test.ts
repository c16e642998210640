// layer/accel without a front server: what it answers to whom, and what it has against its options and its storage.
// What front servers make of it is seen in test/clients/accel.test.ts.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import {
  type Layer,
  type LayerAnswer,
  type LayerHandler,
  type LayerRequest,
  OptionsError,
  parseDigest,
  parseRepositoryName,
  startPlugin,
} from 'koa-registry';
import { accel } from 'koa-registry/plugins/layer/accel';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { suite } from 'uvu';
import { content, pushBlob } from '../support/content.js';
import { BARE, openRegistry } from '../support/registry.js';
import { tempFolder } from '../support/temp-folder.js';

const test = suite('layer/accel');

type Options = NonNullable<Parameters<typeof accel>[0]>;

const KEY = 'docker/registry/v2/blobs/sha256/ab/abcd/data';
const SIZE = 1000;

async function handler(options?: Options): Promise<LayerHandler> {
  return (await startPlugin(accel(options))).instance;
}

function layer(path?: (key: string) => string): Layer {
  const digest = parseDigest(`sha256:${'ab'.repeat(32)}`);
  const descriptor = { mediaType: 'application/octet-stream', digest, size: SIZE };
  return { repository: parseRepositoryName('team/app'), descriptor, key: KEY, ...(path && { path }) };
}

function request(headers: LayerRequest['headers'] = {}): LayerRequest {
  return { method: 'GET', client: '127.0.0.1', headers, signal: new AbortController().signal };
}

const NGINX = { 'x-sendfile-type': 'X-Accel-Redirect' };
const OTHERS = { 'x-sendfile-type': 'X-Sendfile' };

/** Where a storage with files has one. */
const onDisk = (key: string) => `/srv/registry/${key}`;

const YEAR = 'max-age=31536000';

async function headersFor(
  options: Options | undefined,
  headers: LayerRequest['headers'],
  path: ((key: string) => string) | undefined = onDisk,
) {
  const answer: LayerAnswer | undefined = await (await handler(options)).resolve(layer(path), request(headers));
  return answer === undefined ? undefined : (answer as { headers: object }).headers;
}

test('nginx is told the location and the key in it, and not to keep what may be an error of its own', async () => {
  const Vary = 'x-sendfile-type';
  assert.deepEqual(await headersFor(undefined, NGINX), { 'X-Accel-Redirect': `/registry-blobs/${KEY}`, Vary });
  for (const location of ['/', '/a/b/']) {
    assert.deepEqual(await headersFor({ location }, NGINX), { 'X-Accel-Redirect': location + KEY, Vary });
  }
});

test('the others are told the path, the storage’s or that below root, and that the file may be kept', async () => {
  const rest = { Vary: 'x-sendfile-type', 'Cache-Control': YEAR };
  const header = 'X-Sendfile';
  assert.deepEqual(await headersFor({ header }, OTHERS), { [header]: `/srv/registry/${KEY}`, ...rest });
  for (const root of ['/mnt/blobs', '/mnt/blobs/']) {
    for (const path of [onDisk, (key: string) => key]) {
      assert.deepEqual(await headersFor({ header, root }, OTHERS, path), { [header]: `/mnt/blobs/${KEY}`, ...rest });
    }
    const answer = await (await handler({ header, root })).resolve(layer(), request(OTHERS));
    assert.deepEqual(answer, { headers: { [header]: `/mnt/blobs/${KEY}`, ...rest } });
  }
});

test('a path is sent as the bytes of its name', async () => {
  const headers = await headersFor({ header: 'X-Sendfile', root: '/a b/ü€' }, OTHERS);
  const sent = Buffer.from((headers as Record<string, string>)['X-Sendfile'] ?? '', 'latin1');
  assert.equal(sent.toString('utf8'), `/a b/ü€/${KEY}`);
});

test('only who announces the very header gets it, in any case', async () => {
  assert.ok(await headersFor(undefined, { 'x-sendfile-type': 'x-accel-redirect' }));
  for (const headers of [
    {},
    OTHERS,
    { 'x-sendfile-type': '' },
    { 'x-sendfile-type': 'X-Sendfile, X-Accel-Redirect' },
  ]) {
    assert.equal(await headersFor(undefined, headers), undefined, JSON.stringify(headers));
  }
});

test('the announcement may stand in another header, or need not be there', async () => {
  const announcedBy = 'X-Front';
  assert.equal(await headersFor({ announcedBy }, NGINX), undefined);
  assert.deepEqual(await headersFor({ announcedBy }, { 'x-front': 'X-Accel-Redirect' }), {
    'X-Accel-Redirect': `/registry-blobs/${KEY}`,
    Vary: 'x-front',
  });
  assert.deepEqual(await headersFor({ announcedBy: false }, {}), { 'X-Accel-Redirect': `/registry-blobs/${KEY}` });
});

test('a range beyond the end is left to the registry, and every other to the front server', async () => {
  for (const range of [`bytes=${SIZE}-`, 'bytes=-0', 'bytes=5-4']) {
    assert.equal(await headersFor(undefined, { ...NGINX, range }), undefined, range);
    assert.equal(await headersFor({ announcedBy: false }, { range }), undefined, range);
  }
  for (const range of ['bytes=0-', 'bytes=-1', `bytes=${SIZE - 1}-`, 'bytes=0-1,4-5', 'lines=1']) {
    assert.ok(await headersFor(undefined, { ...NGINX, range }), range);
  }
});

test('a storage without files is found at the start, and whoever asks all the same gets no header', async () => {
  const sendfile = { header: 'X-Sendfile' } as const;
  const inBucket = (key: string) => `prefix/${key}`;
  const inOddFolder = (key: string) => `/50%/${key}`;
  for (const [options, path, problem] of [
    [{}, undefined, /does not keep blobs in files/],
    [{}, inBucket, /does not keep blobs in files/],
    [sendfile, undefined, /needs the path of a file/],
    [sendfile, inBucket, /needs the path of a file/],
    [sendfile, inOddFolder, /contains "%"/],
  ] as const) {
    const accelerator = await handler(options);
    await assert.rejects(async () => accelerator.check?.({ ...(path && { path }) }), problem);
    const announced = request(options === sendfile ? OTHERS : NGINX);
    await assert.rejects(async () => accelerator.resolve(layer(path), announced), problem);
  }
  for (const [options, path] of [
    [{}, onDisk],
    [{}, inOddFolder],
    [sendfile, onDisk],
    [{ ...sendfile, root: '/srv' }, undefined],
  ] as const) {
    await (await handler(options)).check?.({ ...(path && { path }) });
  }
});

test('options that make no sense are refused', async () => {
  const wrong: readonly [options: object, problem: RegExp][] = [
    [{ header: 'X-LIGHTTPD-send-file' }, /layer\.accel\.header/],
    [{ location: 'registry-blobs/' }, /layer\.accel\.location: must be a path such as/],
    [{ location: '/registry-blobs' }, /layer\.accel\.location/],
    [{ location: '/a?b/' }, /layer\.accel\.location/],
    [{ location: '//' }, /layer\.accel\.location/],
    [{ header: 'X-Sendfile', root: 'blobs' }, /layer\.accel\.root: must be an absolute path/],
    [{ root: '/srv' }, /layer\.accel\.root: is for X-Sendfile/],
    [{ header: 'X-Sendfile', location: '/blobs/' }, /layer\.accel\.location: is for X-Accel-Redirect/],
    [{ announcedBy: 'a b' }, /layer\.accel\.announcedBy: must be the name of a header, or false/],
    [{ announcedBy: '' }, /layer\.accel\.announcedBy: must be the name of a header, or false/],
    [{ announcedBy: true }, /layer\.accel\.announcedBy: must be the name of a header, or false/],
    [{ loction: '/a/' }, /loction/],
  ];
  for (const [options, problem] of wrong) {
    await assert.rejects(handler(options as Options), (error) => {
      assert.ok(error instanceof OptionsError);
      assert.match(error.message, problem);
      return true;
    });
  }
});

for (const [header, announced] of [
  ['X-Accel-Redirect', NGINX],
  ['X-Sendfile', OTHERS],
] as const) {
  test(`${header}: where there are no files the registry sends the bytes, and says so once`, async () => {
    const at = await openRegistry(BARE, { layer: accel({ header }) });
    try {
      const bytes = content(SIZE);
      const digest = await pushBlob(at, 'team/app', bytes);
      for (let time = 0; time < 2; time++) {
        const { status, headers, body } = await at.send('GET', `/v2/team/app/blobs/${digest}`, { headers: announced });
        assert.equal(status, 200);
        assert.equal(headers[header.toLowerCase()], undefined);
        assert.ok(body.equals(bytes));
      }
      const warnings = at.log.filter(({ message }) => message.startsWith('the layer handler fails'));
      assert.equal(warnings.length, 1);
      assert.match((await at.registry.health()).checks.layer ?? '', /layer\/accel: /);
    } finally {
      await at.close();
    }
  });
}

test('whoever forges the announcement gets nothing, and takes nothing from others', async () => {
  const root = tempFolder();
  const storage = () => filesystem({ rootDirectory: root });
  const at = await openRegistry({ ...BARE, storage }, { layer: accel({ header: 'X-Sendfile' }) });
  try {
    const bytes = content(SIZE);
    const digest = await pushBlob(at, 'team/app', bytes);
    const get = (headers: Record<string, string>) => at.send('GET', `/v2/team/app/blobs/${digest}`, { headers });
    const forged = await get({ 'X-Sendfile-Type': 'X-Sendfile' });
    assert.equal(forged.status, 200);
    assert.equal(forged.body.length, 0);
    const hex = digest.slice('sha256:'.length);
    const path = join(root, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
    assert.equal(forged.headers['x-sendfile'], path);
    assert.equal(forged.headers.vary, 'x-sendfile-type');
    const honest = await get({});
    assert.ok(honest.body.equals(bytes));
    assert.equal(honest.headers['x-sendfile'], undefined);
    const elsewhere = `/v2/team/other/blobs/${digest}`;
    const refused = await at.send('GET', elsewhere, { headers: { 'X-Sendfile-Type': 'X-Sendfile' } });
    assert.equal(refused.status, 404);
    assert.equal(refused.headers['x-sendfile'], undefined);
  } finally {
    await at.close();
  }
});

test('that no front server has announced itself is said once', async () => {
  const root = tempFolder();
  const at = await openRegistry({ ...BARE, storage: () => filesystem({ rootDirectory: root }) }, { layer: accel() });
  try {
    const digest = await pushBlob(at, 'team/app', content(SIZE));
    const told = () => at.log.filter(({ message }) => message.startsWith('no front server has announced itself'));
    await at.send('GET', `/v2/team/app/blobs/${digest}`, { headers: { 'X-Sendfile-Type': 'X-Accel-Redirect' } });
    assert.equal(told().length, 0);
    for (let time = 0; time < 2; time++) await at.send('GET', `/v2/team/app/blobs/${digest}`);
    assert.equal(told().length, 1);
    assert.equal(told()[0]?.level, 'info');
  } finally {
    await at.close();
  }
});

test.run();
