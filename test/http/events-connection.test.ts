// What is told of requests that share a connection: each has its own, though what they have in common is kept once.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import mount from 'koa-mount';
import { type AuthHandler, definePlugin, type Registry, type RegistryEvent, registry } from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { pino } from 'pino';
import { suite } from 'uvu';
import { z } from 'zod';
import { digestOf } from '../support/content.js';

const test = suite('events of one connection');

/** Whoever says who it is, is believed. */
const named = definePlugin({
  kind: 'auth',
  name: 'named',
  options: z.strictObject({}),
  create: (): AuthHandler => ({
    authorize: ({ ctx, required, optional }) => ({
      actor: { name: ctx.get('X-Actor') },
      granted: [...required, ...optional],
    }),
  }),
});

const BLOB = 'a blob';
const DIGEST = digestOf(BLOB);

/** What a request says, and is to be told. */
interface Asked {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly base: string;
  readonly repository: string;
  readonly actor: string;
  readonly agent: string;
  readonly host: string;
}

const FIRST: Asked = { method: 'GET', base: '/one', repository: 'a', actor: 'ann', agent: 'x', host: 'one.test' };

/** Each differs from {@link FIRST} in one thing. */
const OTHERS: readonly Asked[] = [
  { ...FIRST, method: 'HEAD' },
  { ...FIRST, base: '/two' },
  { ...FIRST, repository: 'b' },
  { ...FIRST, actor: 'bob' },
  { ...FIRST, agent: 'y' },
  { ...FIRST, host: 'two.test' },
];

test('what differs between two requests is told of each, and of two registries each tells its own', async () => {
  const told: RegistryEvent[] = [];
  const options = () => ({ storage: memory(), auth: named(), logger: pino({ level: 'silent' }) });
  const registries = [1, 2].map(() => registry({ ...options(), notifications: { includeHead: true } }));
  for (const images of registries) images.events.on('*', (event) => told.push(event));
  const [images, others] = registries as [Registry, Registry];
  const app = new Koa();
  // Behind one address, where a header decides: only the source of their events tells the two apart.
  app.use(mount('/one', (ctx, next) => (ctx.get('X-Other') ? others : images)(ctx, next)));
  app.use(mount('/two', images));
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  const ask = async ({ method, base, repository, actor, agent: name, host }: Asked, other = '') => {
    const place = method === 'POST' ? `uploads/?digest=${DIGEST}` : DIGEST;
    const headers = { 'X-Actor': actor, 'User-Agent': name, Host: host, ...(other && { 'X-Other': other }) };
    const path = `${base}/v2/${repository}/blobs/${place}`;
    const asked = request({ port, host: '127.0.0.1', agent, method, path, headers });
    asked.end(method === 'POST' ? BLOB : undefined);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    ports.add(answer.socket.localPort);
    await answer.resume().toArray();
    assert.equal(answer.statusCode, method === 'POST' ? 201 : 200, path);
  };
  try {
    for (const other of ['', 'yes']) await ask({ ...FIRST, method: 'POST' }, other);
    await ask({ ...FIRST, method: 'POST', repository: 'b' });
    const pushes = 3;
    const pulls = OTHERS.flatMap((asked) => [FIRST, asked, FIRST]);
    for (const asked of pulls) await ask(asked);
    await ask(FIRST, 'yes');
    await new Promise(setImmediate);
    const expected = [...pulls, FIRST].map(({ method, base, repository, actor, agent: name, host }) => ({
      url: `http://${host}${base}/v2/${repository}/blobs/${DIGEST}`,
      repository,
      actor,
      method,
      useragent: name,
      host,
      addr: `127.0.0.1:${[...ports][0]}`,
    }));
    const got = told.slice(pushes).map(({ target, actor, request: { method, useragent, host, addr } }) => ({
      url: target.url,
      repository: target.repository,
      actor: actor.name,
      method,
      useragent,
      host,
      addr,
    }));
    assert.deepEqual(got, expected);
    assert.equal(ports.size, 1, 'all of it went over one connection');
    const [before, other] = told.slice(-2);
    assert.notEqual(other?.source.instanceID, before?.source.instanceID);
    assert.equal(new Set(told.map(({ request: { id } }) => id)).size, told.length);
  } finally {
    agent.destroy();
    server.close();
    await Promise.all(registries.map((images) => images.close()));
  }
});

test.run();
