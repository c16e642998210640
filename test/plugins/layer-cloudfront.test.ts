// `layer/cloudfront`: its options and its key, what it signs and for whom, and where the bytes then come from.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { OptionsError, redact, startPlugin } from 'koa-registry';
import { cloudfront } from 'koa-registry/plugins/layer/cloudfront';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { suite } from 'uvu';
import { content, pushBlob } from '../support/content.js';
import { BARE, type OpenOptions, type OpenRegistry, openRegistry } from '../support/registry.js';
import { tempFolder } from '../support/temp-folder.js';
import {
  BASE_URL,
  bucketOf,
  CLIENT,
  type CloudFrontOptions,
  closeAll,
  closeLater,
  DURATION,
  KEY,
  OURS,
  PEM,
  permitted,
  privateKey,
  publicKey,
  type Store,
  TestHandler,
} from './layer-cloudfront-fixture.js';
import { startOrigin } from './layer-cloudfront-origin.js';

const options = suite('layer/cloudfront: options');
options.after.each(closeAll);

/** What is said of wrong options. */
async function problems(given: object): Promise<string> {
  const plugin = cloudfront({ ...OURS, ...given } as CloudFrontOptions);
  const error = await startPlugin(plugin).then(
    () => assert.fail(`${inspect(given)} is let through`),
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof OptionsError);
  assert.doesNotMatch(inspect(error), /canary|PRIVATE KEY/);
  return error.message;
}

options('what cannot be is refused by its name', async () => {
  const wrong: readonly (readonly [given: object, message: RegExp])[] = [
    ...['', 'ftp://cdn.example', 'https://me:canary@cdn.example', 'https://cdn.example/?a=canary', 'https://a#'].map(
      (baseUrl) => [{ baseUrl }, /baseUrl: must be an http or https URL without credentials/] as const,
    ),
    [{ keyPairId: 'a&b' }, /keyPairId: must be the ID of a public key/],
    [{ duration: '500ms' }, /duration: must be at least 1s/],
    [{ duration: '53w' }, /duration: must be at most 52w/],
    [{ policy: 'wildcard' }, /policy/],
    [{ ipFilteredBy: 'awsregion' }, /awsRegion: required with/],
    [{ ipFilteredBy: 'awsregion', awsRegion: ' , ' }, /awsRegion: required with/],
    [{ ipFilteredBy: 'aws', awsRegion: ['eu-west-1'] }, /awsRegion: has no effect without/],
    [{ ipRangesUrl: 'https://me:canary@ranges.example' }, /ipRangesUrl: must be an http or https URL/],
    [{ ipRangesUrl: 'file:///ranges.json' }, /ipRangesUrl: must be an http or https URL/],
    [{ updateFrequency: '1ms' }, /updateFrequency: must be at least 1s/],
    [{ updateFrequency: '2w' }, /updateFrequency: must be at most 1w/],
    [{ rootDirectory: 'a' }, /rootDirectory: unknown option/],
  ];
  for (const [given, message] of wrong) assert.match(await problems(given), message);
});

const SMALL = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
const CURVE = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;

/** What begins as a key and is none that CloudFront could know. */
const NO_KEYS: readonly string[] = [
  SMALL.export(pkcs8).toString(),
  CURVE.export(pkcs8).toString(),
  publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  privateKey.export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'canary' }).toString(),
  '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n',
];

options('a text that is no RSA private key is refused before anything starts', async () => {
  for (const text of [...NO_KEYS, '', 'canary\ncanary']) {
    assert.match(await problems({ privateKey: text }), /privateKey: must be an RSA private key of 2048 bits or more/);
  }
});

options('a key is found in a file, in either form', async () => {
  const file = join(tempFolder(), 'key.pem');
  for (const type of ['pkcs1', 'pkcs8'] as const) {
    await writeFile(file, privateKey.export({ type, format: 'pem' }));
    permitted(await (await TestHandler.open({ privateKey: file })).url());
  }
});

options('a file without a key keeps the plugin from starting, and is not quoted', async () => {
  const file = join(tempFolder(), 'key.pem');
  for (const text of [...NO_KEYS, '', 'canary']) {
    await writeFile(file, text);
    await assert.rejects(TestHandler.open({ privateKey: file }), (error: Error) => {
      assert.doesNotMatch(inspect(error), /canary|PRIVATE KEY-/);
      return /^privateKey: the file does not hold an RSA private key/.test(error.message);
    });
  }
});

options('what may be a key without its first line is not quoted as a path', async () => {
  const [, body = ''] = /KEY-----\n(.+)\n/.exec(PEM) ?? [];
  for (const text of [body, `${join(tempFolder(), 'canary')}`, `${body}${'canary'.repeat(1000)}`]) {
    await assert.rejects(TestHandler.open({ privateKey: text }), (error: Error) => {
      assert.ok(!inspect(error).includes(body) && !inspect(error).includes('canary'));
      return /^privateKey: no PEM, and not the path of a file that can be read \(E\w+\)$/.test(error.message);
    });
  }
});

options('a log shows no key', () => {
  const shown = redact(cloudfront.definition.options, OURS);
  assert.deepEqual(shown, { ...OURS, privateKey: '[secret]' });
});

options.run();

const signed = suite('layer/cloudfront: what is signed');
signed.after.each(closeAll);

function secondsFrom(now: number, duration = DURATION): number {
  return Math.ceil((now + duration) / 1000);
}

signed('a canned policy is signed as CloudFront verifies it', async () => {
  const test = await TestHandler.open();
  test.now = 1_700_000_000_001;
  const expected = { resource: `${BASE_URL}/${KEY}`, expires: 1_700_001_201 };
  assert.deepEqual(permitted(await test.url()), expected);
  assert.equal(await test.url(CLIENT, {}, 'HEAD'), await test.url(), 'HEAD needs no signature of its own');
});

signed('a custom policy names the client and nobody else', async () => {
  const test = await TestHandler.open({ policy: 'custom', duration: '90s' });
  for (const [client, sourceIp] of [
    [CLIENT, `${CLIENT}/32`],
    ['8.8.4.4', '8.8.4.4/32'],
    [`::ffff:${CLIENT}`, `${CLIENT}/32`],
    ['0:0:0:0:0:FFFF:cb00:7109', '203.0.113.9/32'],
    ['172.32.0.1', '172.32.0.1/32'],
    ['223.255.255.255', '223.255.255.255/32'],
  ] as const) {
    const expected = { resource: `${BASE_URL}/${KEY}`, expires: secondsFrom(test.now, 90_000), sourceIp };
    assert.deepEqual(permitted(await test.url(client)), expected);
  }
});

signed('where CloudFront cannot see the address, the registry streams', async () => {
  const test = await TestHandler.open({ policy: 'custom' });
  const own = ['127.0.0.1', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.7.7', '169.254.1.1', '100.64.0.1'];
  const others = ['2001:db8::1', '::1', 'fe80::1%eth0', '::ffff:10.0.0.1', '::ffff:7f00:1', '0.0.0.0', '239.1.1.1'];
  for (const client of [...own, ...others, '', 'unknown', '203.0.113.9:4711', '203.0.113']) {
    assert.equal(await test.redirect(client), undefined, client);
  }
  const canned = await TestHandler.open();
  for (const client of [...own, ...others, 'unknown']) permitted(await canned.url(client));
});

signed('the path is the name that the object has in the bucket', async () => {
  const cases: readonly (readonly [given: object, store: Store, path: string])[] = [
    [{}, {}, `/${KEY}`],
    [{}, bucketOf('a/root'), `/a/root/${KEY}`],
    [{}, bucketOf('/srv/registry'), `/${KEY}`],
    [{ originPath: '/a/root/' }, bucketOf('a/root'), `/${KEY}`],
    [{ originPath: 'a' }, bucketOf('a/root'), `/root/${KEY}`],
    [{ originPath: 'docker' }, {}, KEY.slice('docker'.length)],
    [{ baseUrl: 'http://cdn.example:8080/v1/' }, bucketOf('root'), `/root/${KEY}`],
    [{ baseUrl: 'cdn.example/a%20b' }, {}, `/${KEY}`],
    [{}, bucketOf('Ü 100%?#+&/x'), `/%C3%9C%20100%25%3F%23%2B%26/x/${KEY}`],
  ];
  const bases: Readonly<Record<string, string>> = {
    'http://cdn.example:8080/v1/': 'http://cdn.example:8080/v1',
    'cdn.example/a%20b': 'https://cdn.example/a%20b',
  };
  for (const [given, store, path] of cases) {
    const test = await TestHandler.open(given);
    const base = 'baseUrl' in given ? bases[String(given.baseUrl)] : BASE_URL;
    assert.equal(permitted(await test.url(CLIENT, store)).resource, `${base}${path}`);
    await test.handler.check?.(store);
  }
});

signed('an origin path that is not the beginning of the name is found by check()', async () => {
  const test = await TestHandler.open({ originPath: 'a/root' });
  const other = /originPath "a\/root" is not where the store is: "a\/rooted\/docker/;
  await assert.rejects(async () => test.handler.check?.(bucketOf('a/rooted')), other);
  await assert.rejects(async () => test.redirect(CLIENT, bucketOf('a/rooted')), other);
  await assert.rejects(async () => test.handler.check?.({}), /is not where the store is: "docker/);
});

signed('check() needs nobody who asks', async () => {
  await (await TestHandler.open({ policy: 'custom' })).handler.check?.(bucketOf('root'));
});

signed('one signature serves until a tenth of its duration is over', async () => {
  const test = await TestHandler.open();
  const first = await test.url('203.0.113.1');
  test.now += DURATION / 10;
  assert.equal(await test.url('203.0.113.2'), first);
  test.now += 1;
  const second = await test.url();
  assert.equal(permitted(second).expires, secondsFrom(test.now));
  test.now -= DURATION;
  assert.equal(permitted(await test.url()).expires, secondsFrom(test.now), 'of a clock that was set back');
});

signed('a signature with an address serves only that one', async () => {
  const test = await TestHandler.open({ policy: 'custom' });
  const first = await test.url('203.0.113.1');
  assert.equal(permitted(await test.url('203.0.113.2')).sourceIp, '203.0.113.2/32');
  assert.equal(await test.url('203.0.113.1'), first);
  assert.equal(await test.url('::ffff:203.0.113.1', {}, 'HEAD'), first);
});

signed.run();

const wire = suite('layer/cloudfront: in a registry');
wire.after.each(closeAll);

const LAYER = content(100_000, 5);

async function open(given: Partial<CloudFrontOptions>, more: OpenOptions = {}): Promise<[OpenRegistry, string]> {
  const at = await openRegistry(BARE, { layer: cloudfront({ ...OURS, ...given }), ...more });
  closeLater(() => at.close());
  return [at, `/v2/team/app/blobs/${await pushBlob(at, 'team/app', LAYER)}`];
}

/** Neither a log line nor an error has anything of a signature. */
function assertSilent({ log, errors }: OpenRegistry): void {
  assert.doesNotMatch(
    inspect([log, errors], { depth: null, maxStringLength: null }),
    /Signature=|Policy=|PRIVATE KEY-/,
  );
  assert.deepEqual(errors, []);
}

wire('the address in the policy is the one that a trusted proxy tells', async () => {
  const [at, path] = await open({ policy: 'custom' }, { proxy: true });
  const headers = { 'X-Forwarded-For': CLIENT };
  for (const method of ['GET', 'HEAD']) {
    const answer = await at.send(method, path, { headers });
    assert.equal(answer.status, 307);
    assert.equal(answer.body.length, 0);
    assert.equal(permitted(answer.headers.location ?? '').sourceIp, `${CLIENT}/32`);
  }
  const direct = await at.send('GET', path);
  assert.equal(direct.status, 200, 'a client of the loopback interface');
  assert.ok(direct.body.equals(LAYER));
  assertSilent(at);
});

wire('nobody is believed who is no trusted proxy', async () => {
  const [at, path] = await open({ policy: 'custom' });
  const answer = await at.send('GET', path, { headers: { 'X-Forwarded-For': CLIENT } });
  assert.equal(answer.status, 200);
  assert.ok(answer.body.equals(LAYER));
});

wire('a wrong origin path costs a warning, and the registry streams', async () => {
  const [at, path] = await open({ originPath: 'elsewhere' });
  for (let turn = 0; turn < 2; turn++) assert.ok((await at.send('GET', path)).body.equals(LAYER));
  const warnings = at.log.filter(({ level, message }) => level === 'warn' && /layer handler/.test(message));
  assert.equal(warnings.length, 1);
  assert.match(inspect(warnings), /originPath "elsewhere" is not where the store is/);
});

wire('a signed URL leads to the bytes, and one that was changed does not', async () => {
  const rootDirectory = tempFolder();
  const origin = await startOrigin(rootDirectory);
  closeLater(() => origin.close());
  const { instance: driver, close } = await startPlugin(filesystem({ rootDirectory, fsync: false }));
  closeLater(close);
  const [at, path] = await open({ baseUrl: origin.url }, { driver });
  const { status, headers } = await at.send('GET', path);
  assert.equal(status, 307);
  const location = headers.location ?? '';
  const bytes = await (await fetch(location)).arrayBuffer();
  assert.ok(Buffer.from(bytes).equals(LAYER));
  const head = await fetch(location, { method: 'HEAD' });
  assert.equal(head.headers.get('Content-Length'), String(LAYER.length));
  const changes: readonly (readonly [from: RegExp, to: string])[] = [
    [/\/data\?/, '/datb?'],
    [/Expires=\d/, 'Expires=9'],
    [/Signature=(.{20})/, 'Signature=AAAAAAAAAAAAAAAAAAAA'],
  ];
  for (const [from, to] of changes) {
    const changed = location.replace(from, to);
    assert.notEqual(changed, location);
    assert.equal((await fetch(changed)).status, 403);
  }
  assert.deepEqual(origin.journal, ['GET 200', 'HEAD 200', 'GET 403', 'GET 403', 'GET 403']);
  assertSilent(at);
});

wire.run();
