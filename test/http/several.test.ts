// Several registries in one application share nothing but the port.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import mount from 'koa-mount';
import { type Registry, registry } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pino } from 'pino';
import { suite } from 'uvu';
import { digestOf, index, OCI_INDEX } from '../support/content.js';
import { type Answer, type RequestOptions, send } from '../support/http-client.js';
import { json } from './suite/answers.js';

const test = suite('several registries');

const logger = pino({ level: 'silent' });
const options = () => ({ storage: memory(), delete: { enabled: true }, logger });

/** Four registries, each mounted in another way. */
const BASES = ['/one', '/two', '/three', '/four'] as const;

type Base = (typeof BASES)[number];

interface Host {
  readonly registries: Readonly<Record<Base, Registry>>;
  readonly origin: string;
  send(method: string, path: string, options?: RequestOptions): Promise<Answer>;
}

const closers: (() => Promise<unknown>)[] = [];

test.after.each(async () => {
  for (const close of closers.splice(0)) await close();
});

async function start(): Promise<Host> {
  const registries = {
    '/one': registry({ ...options(), prefix: '/one' }),
    '/two': registry({ ...options(), prefix: '/two' }),
    '/three': registry(options()),
    '/four': registry(options()),
  };
  const app = new Koa();
  app.use(registries['/one']).use(registries['/two']).use(mount('/three', registries['/three']));
  app.use(new Router().all('/four/v2{/*path}', registries['/four']).routes());
  app.use((ctx) => {
    ctx.body = 'the application';
  });
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  closers.push(async () => {
    server.close();
    server.closeAllConnections();
    await Promise.all(Object.values(registries).map((images) => images.close()));
  });
  return {
    registries,
    origin: `http://127.0.0.1:${port}`,
    send: (method, path, more) => send(port, method, path, more),
  };
}

function push(host: Host, base: Base): Promise<Answer> {
  const headers = { 'Content-Type': OCI_INDEX };
  return host.send('PUT', `${base}/v2/r/manifests/latest`, { body: index([]), headers });
}

async function statuses(host: Host, method: string, path: string): Promise<number[]> {
  return Promise.all(BASES.map(async (base) => (await host.send(method, base + path)).status));
}

test('each has its own content', async () => {
  const host = await start();
  assert.equal((await push(host, '/two')).status, 201);
  assert.deepEqual(await statuses(host, 'GET', '/v2/r/manifests/latest'), [404, 200, 404, 404]);
  assert.deepEqual(await statuses(host, 'GET', `/v2/r/manifests/${digestOf(index([]))}`), [404, 200, 404, 404]);
  assert.deepEqual(json(await host.send('GET', '/one/v2/_catalog')), { repositories: [] });
});

test('what one deletes stays in the others', async () => {
  const host = await start();
  for (const base of BASES) await push(host, base);
  await host.send('DELETE', '/three/v2/r/manifests/latest');
  assert.deepEqual(await statuses(host, 'GET', '/v2/r/manifests/latest'), [200, 200, 404, 200]);
});

test('each answers with its own address', async () => {
  const host = await start();
  for (const base of BASES) {
    const { headers } = await host.send('POST', `${base}/v2/r/blobs/uploads/`);
    assert.ok(headers.location?.startsWith(`${host.origin}${base}/v2/r/blobs/uploads/`), headers.location);
  }
});

test('an upload of one is unknown to the others, with its state or without', async () => {
  const host = await start();
  const { headers } = await host.send('POST', '/one/v2/r/blobs/uploads/');
  const session = String(headers.location).slice(`${host.origin}/one`.length);
  assert.deepEqual(await statuses(host, 'GET', session), [204, 404, 404, 404]);
  assert.deepEqual(await statuses(host, 'GET', session.split('?')[0] ?? ''), [204, 404, 404, 404]);
});

test('a blob is not mounted across registries', async () => {
  const host = await start();
  const mounting = `/v2/q/blobs/uploads/?mount=${digestOf('abc')}&from=r`;
  await host.send('POST', `/one/v2/r/blobs/uploads/?digest=${digestOf('abc')}`, { body: 'abc' });
  assert.deepEqual(await statuses(host, 'POST', mounting), [201, 202, 202, 202]);
  assert.deepEqual(await statuses(host, 'POST', mounting.replace('&from=r', '')), [201, 202, 202, 202]);
});

test('read-only is each one’s own', async () => {
  const host = await start();
  host.registries['/four'].readOnly = true;
  assert.deepEqual(await statuses(host, 'POST', '/v2/r/blobs/uploads/'), [202, 202, 202, 405]);
});

test('one that is closed leaves the others be', async () => {
  const host = await start();
  await host.registries['/one'].close();
  assert.deepEqual(await statuses(host, 'GET', '/v2/'), [503, 200, 200, 200]);
});

test('what is of none of them is the application’s', async () => {
  const host = await start();
  for (const path of ['/', '/one', '/one/', '/onev2/', '/one/v1/', '/v2/', '/four/', '/three/', '/ones/v2/']) {
    assert.equal((await host.send('GET', path)).body.toString(), 'the application', path);
  }
});

test.run();
