// The published suite for layer handlers over every built-in one, with the stores and the front servers that
// they work with.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { definePlugin, pluginOf } from 'koa-registry';
import { type LayerPlaces, type LayerSetup, layerHandlerSuite } from 'koa-registry/conformance';
import { accel } from 'koa-registry/plugins/layer/accel';
import { cloudfront } from 'koa-registry/plugins/layer/cloudfront';
import { delegate } from 'koa-registry/plugins/layer/delegate';
import { redirect } from 'koa-registry/plugins/layer/redirect';
import { rewrite } from 'koa-registry/plugins/layer/rewrite';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { suite, type Test } from 'uvu';
import { z } from 'zod';
import { until } from '../support/cluster.js';
import { startNginx } from '../support/nginx.js';
import { runProcess } from '../support/process.js';
import { announcing, suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';
import { layerOf, requestFor } from './layer-redirects-fixture.js';
import { pluginOn } from './storage-s3-fixture.js';

type Open = (places: LayerPlaces) => LayerSetup | Promise<LayerSetup>;

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

const GUIDE = readFileSync(join(ROOT, 'plugins/README.md'), 'utf8');

/** The blocks of a language in a part of the guide. */
function blocksOf(language: string, section: string): string[] {
  return [...section.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, block = '']) => block,
  );
}

/** A host of the internet (RFC 5737), for whom addresses matter. */
const CLIENT = { 'X-Forwarded-For': '203.0.113.7' };

const covered = new Set<string>();

/** Runs the suite over a setup of a built-in handler. */
function cover(name: string, what: string, open: Open, makeTest: (title: string) => Test = suite): void {
  covered.add(name);
  const title = `layer/${name}: conformance, ${what}`;
  const test = makeTest(title);
  layerHandlerSuite(announcing(test, title), open);
  test.run();
}

cover('delegate', 'a store with signed URLs', () => ({ layer: delegate({ expires: '1m' }) }));

cover('redirect', 'keys below a path', ({ origin }) => ({ layer: redirect({ baseUrl: `${origin}/` }) }));

cover('rewrite', 'another host for signed URLs', ({ origin }) => ({
  layer: rewrite({ host: `localhost:${new URL(origin).port}` }),
}));

cover('rewrite', 'another scheme, host and path for those of a redirect', ({ origin }) => {
  const handler = redirect({ baseUrl: 'https://internal.example/layers' });
  return { layer: rewrite({ handler, scheme: 'http', host: new URL(origin).host, trimPathPrefix: '/layers' }) };
});

const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();

/** The place of a CDN that looks at no signature: what is in the URLs has tests of its own. */
function cdn({ origin: baseUrl }: LayerPlaces) {
  return { baseUrl, keyPairId: 'K2JCJMDEHXQW5F', privateKey };
}

cover('cloudfront', 'a canned policy', (places) => ({ layer: cloudfront(cdn(places)) }));

cover('cloudfront', 'a custom policy with the address of the client', (places) => ({
  layer: cloudfront({ ...cdn(places), policy: 'custom' }),
  headers: CLIENT,
}));

/** Where a store is that only says so. */
const STORE = 'https://store.example/';

/** A handler that sends the client to the store, and is not at work before it does. */
const onceRead = definePlugin({
  kind: 'layer',
  name: 'once-read',
  options: z.strictObject({ handler: pluginOf('layer') }),
  create: async ({ handler }, host) => {
    const started = await host.start(handler);
    const isSentToStore = async () => {
      const layer = layerOf('nobody has this', { url: async () => STORE });
      const answer = await started.resolve(layer, requestFor('GET', CLIENT['X-Forwarded-For']));
      return answer !== undefined && 'redirect' in answer && answer.redirect === STORE;
    };
    await until(isSentToStore, 'a client within AWS is sent to the store');
    return started;
  },
});

/** Follows a redirect to the suite's own store, which signs its URLs; only a client that is elsewhere may be sent to CloudFront. */
const followToStore: NonNullable<LayerSetup['follow']> = async ({ headers: { location } }, { method, headers }) => {
  const url = new URL(String(location));
  const isClient = !Object.keys(headers).includes('X-Forwarded-For');
  const signedBy = isClient ? 'conformance-signature' : 'Key-Pair-Id';
  assert.ok(url.searchParams.has(signedBy), `a URL without ${signedBy}`);
  const answer = await fetch(url, { method, headers });
  const body = new Uint8Array(await answer.arrayBuffer());
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body };
};

cover('cloudfront', 'a client within AWS, who goes to the store', async (places) => {
  const ipRangesUrl = join(tempFolder(), 'ip-ranges.json');
  const prefix = { ip_prefix: '203.0.113.0/24', region: 'eu-central-1', service: 'EC2' };
  await writeFile(ipRangesUrl, JSON.stringify({ prefixes: [prefix], ipv6_prefixes: [] }));
  const handler = cloudfront({ ...cdn(places), ipFilteredBy: 'aws', ipRangesUrl });
  return { layer: onceRead({ handler }), headers: CLIENT, follow: followToStore };
});

/** The nginx of the catalogue, before a registry and with its folder. */
function nginxBlock(registry: string, folder: string, port: number): string {
  const [, section = ''] = GUIDE.split('### layer/accel\n');
  const [block = assert.fail('no block for nginx')] = blocksOf('nginx', section);
  return [
    ['listen 80;', `listen 127.0.0.1:${port};`],
    ['127.0.0.1:5000', new URL(registry).host],
    ['/srv/registry', folder],
  ].reduce((text, [from = '', to = '']) => {
    assert.ok(text.includes(from), `${from} is not in the block`);
    return text.replace(from, to);
  }, block);
}

cover(
  'accel',
  'behind nginx as the catalogue shows it',
  async ({ registry }) => {
    const rootDirectory = tempFolder();
    const nginx = await startNginx((port) => nginxBlock(registry, rootDirectory, port));
    return { layer: accel(), storage: filesystem({ rootDirectory }), front: nginx.url, close: nginx.stop };
  },
  (title) => suiteNeeding(title, ['nginx']),
);

cover('accel', 'X-Sendfile, as the front server gets it', () => ({
  layer: accel({ header: 'X-Sendfile' }),
  storage: filesystem({ rootDirectory: tempFolder() }),
  headers: { 'X-Sendfile-Type': 'X-Sendfile' },
}));

let server: S3Server;

cover(
  'delegate',
  'S3',
  () => ({ layer: delegate(), storage: pluginOn(server) }),
  (title) => {
    const test = suiteNeeding(title, ['versitygw']);
    test.before(async () => {
      server = await startVersitygw();
    });
    test.after(() => server?.stop());
    return test;
  },
);

const test = suite('layer: conformance');

test('every built-in handler passes the suite', () => {
  const folder = fileURLToPath(new URL('../../plugins/layer/', import.meta.url));
  const files = readdirSync(folder).filter((name) => name.endsWith('.js'));
  assert.deepEqual(files.map((name) => name.replace(/\.js$/, '')).sort(), [...covered].sort());
});

test('the handler that the guide writes passes the suite, run as it is written there', async () => {
  const folder = tempFolder();
  await mkdir(join(folder, 'node_modules'));
  await symlink(ROOT, join(folder, 'node_modules/koa-registry'));
  await symlink(join(ROOT, 'node_modules/zod'), join(folder, 'node_modules/zod'));
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  const [, section = ''] = GUIDE.split('## Writing a layer plugin\n');
  for (const block of blocksOf('js', section.split('\n## ')[0] ?? '')) {
    const [, file = assert.fail('a block without the name of its file')] = /^\/\/ (\S+)\n/.exec(block) ?? [];
    await writeFile(join(folder, file), block);
  }
  const output = await runProcess(process.execPath, ['--test-reporter=tap', join(folder, 'layer-mine.test.js')]);
  assert.match(output, /^# pass \d\d$/m);
  assert.match(output, /^# fail 0$/m);
});

test.run();
