// A registry behind nginx: below a path that nginx keeps or takes off, told of it by headers, by
// options, or not at all because it answers relative URLs. nginx corrects no `Location` here
// (`proxy_redirect off`), so that whatever a client is told comes from the registry.
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import Koa from 'koa';
import { type Registry, type RegistryOptions, registry } from 'koa-registry';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { pino } from 'pino';
import * as assert from 'uvu/assert';
import { makeImage } from '../support/images.js';
import { type KoaService, listen } from '../support/koa-service.js';
import { type Nginx, startNginx } from '../support/nginx.js';
import { digestLike, readLayout } from '../support/oci-layout.js';
import { randomImage } from '../support/random-image.js';
import { RegistryClient } from '../support/registry-client.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

const MEBIBYTE = 1 << 20;
const FORWARDED = `proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Prefix /portal;`;

/** One way to put a registry below `/portal` of a proxy. */
interface Setting {
  readonly name: string;
  /** Whether the registry gets to see `/portal`. */
  readonly keepsPath: boolean;
  /** What nginx tells the registry. */
  readonly headers: string;
  /** Koa's `app.proxy`. */
  readonly trusted: boolean;
  readonly relative: boolean;
  readonly options: (front: Nginx) => Omit<RegistryOptions, 'storage'>;
}

const SETTINGS: readonly Setting[] = [
  {
    name: 'path taken off, X-Forwarded-Prefix',
    keepsPath: false,
    headers: FORWARDED,
    trusted: true,
    relative: false,
    options: () => ({}),
  },
  {
    name: 'path taken off, X-Forwarded-Prefix, relativeUrls',
    keepsPath: false,
    headers: FORWARDED,
    trusted: true,
    relative: true,
    options: () => ({ http: { relativeUrls: true } }),
  },
  {
    name: 'path taken off, http.host',
    keepsPath: false,
    headers: '',
    trusted: false,
    relative: false,
    options: ({ url }) => ({ http: { host: `${url}/portal` } }),
  },
  {
    name: 'path kept, Host',
    keepsPath: true,
    headers: 'proxy_set_header Host $http_host;',
    trusted: false,
    relative: false,
    options: () => ({ prefix: '/portal' }),
  },
  {
    name: 'path kept, relativeUrls',
    keepsPath: true,
    headers: '',
    trusted: false,
    relative: true,
    options: () => ({ prefix: '/portal', http: { relativeUrls: true } }),
  },
  {
    name: 'path kept, http.host',
    keepsPath: true,
    headers: '',
    trusted: false,
    relative: false,
    options: ({ url }) => ({ prefix: '/portal', http: { host: url } }),
  },
];

/** What stands between a client and a registry. */
interface Chain {
  readonly front: Nginx;
  close(): Promise<void>;
}

/** `/portal/` is the registry's; the root's `/v2/`, where every client begins, leads there too. */
function proxy(port: number, upstream: string, { keepsPath, headers }: Setting, buffering = 'on'): string {
  const inner = keepsPath ? '/portal' : '';
  return `server {
  listen 127.0.0.1:${port};
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_request_buffering ${buffering};
  proxy_redirect off;
  ${headers}
  location /portal/ { proxy_pass ${upstream}${inner}/; }
  location /v2/ { proxy_pass ${upstream}${inner}/v2/; }
}`;
}

async function startChain(
  setting: Setting,
  configure = (port: number, upstream: string) => proxy(port, upstream, setting),
): Promise<Chain> {
  const service: KoaService = await listen();
  const front = await startNginx((port) => configure(port, service.url));
  const images: Registry = registry({
    ...setting.options(front),
    storage: filesystem({ rootDirectory: tempFolder() }),
    logger: pino({ level: 'silent' }),
  });
  const app = new Koa({ proxy: setting.trusted });
  app.use(images);
  service.serve(app);
  const close = async () => {
    await front.stop();
    await service.close();
    await images.close();
  };
  return { front, close };
}

for (const setting of SETTINGS) {
  const test = suiteNeeding(`nginx, ${setting.name}`, ['nginx']);
  let chain: Chain;
  let client: RegistryClient;

  test.before(async () => {
    chain = await startChain(setting);
    client = new RegistryClient(`${chain.front.url}/portal`);
  });
  test.after(() => chain.close());

  test('every Location and Link leads a client back through the proxy', async () => {
    const image = randomImage({ layers: [3 * MEBIBYTE, 1000, 0, 5] });
    for (const tag of ['a', 'b', 'c']) await client.pushImage('team/image', tag, image);
    assert.equal(await client.pullWhole('team/image', 'b'), new Map([[image.digest, image.bytes], ...image.blobs]));

    const start = `${setting.relative ? '' : chain.front.url}/portal/v2/team/image/`;
    assert.ok(client.locations.length > 20, 'each upload and each push says where');
    for (const location of client.locations) assert.ok(location.startsWith(start), location);

    const page = await client.request('team/image/tags/list?n=2', { statuses: [200] });
    const [, link = ''] = /^<(.+)>; rel="next"$/.exec(page.headers.get('Link') ?? '') ?? [];
    assert.ok(link.startsWith(`${start}tags/list?`), link);
    const next = await client.request(new URL(link, page.url).href, { statuses: [200] });
    assert.equal(((await next.json()) as { tags: string[] }).tags, ['c']);
  });

  test('a chunk out of order is told where to go on', async () => {
    const bytes = randomBytes(3000);
    const at = await client.patchUpload(await client.startUpload('team/chunks'), bytes.subarray(0, 1000), 0);
    const init = { method: 'PATCH', body: bytes.subarray(2000), headers: { 'Content-Range': '2000-2999' } };
    const refused = await client.request(at, { ...init, statuses: [416] });
    assert.is(refused.headers.get('Range'), '0-999');
    const again = new URL(refused.headers.get('Location') ?? '', refused.url).href;
    await client.finishUpload(await client.patchUpload(again, bytes.subarray(1000), 1000), digestLike(bytes));
    assert.ok((await client.pullBlob('team/chunks', digestLike(bytes)))?.equals(bytes));
  });

  test('a part of a blob is a part of a blob', async () => {
    const bytes = randomBytes(2 * MEBIBYTE);
    const digest = await client.pushBlob('team/ranges', bytes);
    const headers = { Range: `bytes=${MEBIBYTE}-${MEBIBYTE + 9}` };
    const part = await client.request(`team/ranges/blobs/${digest}`, { headers, statuses: [206] });
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(MEBIBYTE, MEBIBYTE + 10)));
  });

  test.run();

  const withSkopeo = suiteNeeding(`nginx, ${setting.name}, skopeo`, ['nginx', 'skopeo', 'umoci']);

  withSkopeo('an image comes back as it was', async () => {
    const { front, close } = await startChain(setting);
    const [source, target] = [tempFolder(), tempFolder()];
    await makeImage(source);
    const image = `docker://${front.host}/team/image:1`;
    await skopeo('copy', '--quiet', '--dest-tls-verify=false', `oci:${source}:latest`, image);
    await skopeo('copy', '--quiet', '--src-tls-verify=false', image, `oci:${target}:latest`);
    assert.equal(await readLayout(target), await readLayout(source));
    await close();
  });

  withSkopeo.run();
}

const buffering = suiteNeeding('nginx, request buffering', ['nginx']);
const [STRIPPED, , , KEPT, RELATIVE] = SETTINGS as [Setting, Setting, Setting, Setting, Setting];

buffering('on: a body without a length arrives', async () => {
  const { front, close } = await startChain(KEPT);
  const client = new RegistryClient(`${front.url}/portal`);
  const bytes = randomBytes(5 * MEBIBYTE);
  const digest = await client.pushBlob('large', bytes, 'stream');
  assert.ok((await client.pullBlob('large', digest))?.equals(bytes));
  await close();
});

buffering('off: a body is stored while it is being sent', async () => {
  const { front, close } = await startChain(STRIPPED, (port, upstream) => proxy(port, upstream, STRIPPED, 'off'));
  const client = new RegistryClient(`${front.url}/portal`);
  const bytes = randomBytes(8 * MEBIBYTE);
  const at = await client.startUpload('large');
  let arrived = () => {};
  const untilArrived = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(new Uint8Array(bytes.subarray(0, 6 * MEBIBYTE)));
      await untilArrived;
      controller.enqueue(new Uint8Array(bytes.subarray(6 * MEBIBYTE)));
      controller.close();
    },
  });
  const sent = client.request(at, { method: 'PATCH', body, statuses: [202] });
  await Promise.race([sent, untilSomethingIsThere(client, at)]);
  arrived();
  const { headers, url } = await sent;
  assert.is(headers.get('Range'), `0-${bytes.length - 1}`);
  await client.finishUpload(new URL(headers.get('Location') ?? '', url).href, digestLike(bytes));
  assert.ok((await client.pullBlob('large', digestLike(bytes)))?.equals(bytes));
  await close();
});

/** Asks for a session until it has received something. */
async function untilSomethingIsThere(client: RegistryClient, at: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    const { headers } = await client.request(at, { statuses: [204] });
    if (headers.get('Range') !== '0-0') return;
    await delay(50);
  }
  throw new Error('the first part of the body does not reach the registry before the rest is sent');
}

buffering.run();

const names = suiteNeeding('nginx, what clients are told', ['nginx']);

names('where nginx ends TLS, a client is sent to https', async () => {
  const { front, close } = await startChain({ ...STRIPPED, headers: FORWARDED.replace('$scheme', 'https') });
  const client = new RegistryClient(`${front.url}/portal`);
  const answer = await client.request('a/blobs/uploads/', { method: 'POST', statuses: [202] });
  const location = answer.headers.get('Location') ?? '';
  assert.ok(location.startsWith(`https://${front.host}/portal/v2/a/blobs/uploads/`), location);
  await close();
});

names('a host name of its own, whose proxy puts the path on and takes it off Location', async () => {
  const ownHost = (port: number, upstream: string) => `server {
    listen 127.0.0.1:${port};
    client_max_body_size 0;
    location /v2/ { proxy_pass ${upstream}/portal/v2/; proxy_redirect /portal/ /; }
  }`;
  const { front, close } = await startChain(RELATIVE, ownHost);
  const client = new RegistryClient(front.url);
  const image = randomImage({ layers: [2 * MEBIBYTE, 10, 0, 5] });
  await client.pushImage('team/image', '1', image);
  assert.equal(await client.pullWhole('team/image', '1'), new Map([[image.digest, image.bytes], ...image.blobs]));
  for (const location of client.locations) assert.ok(location.startsWith(`${front.url}/v2/team/image/`), location);
  await close();
});

names.run();
