// What must stay an orderly answer although a plugin, an option or a client makes it hard.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import {
  type AuthHandler,
  Challenge,
  DriverError,
  definePlugin,
  type Grant,
  type LayerAnswer,
  type LayerHandler,
  OptionsError,
  registry,
  type StorageDriver,
  secret,
  startPlugin,
} from 'koa-registry';
import { memory } from 'koa-registry/plugins/storage/memory';
import { z } from 'zod';
import { digestOf, pushBlob } from '../support/content.js';
import { BARE } from '../support/registry.js';
import { answered, empty, refused, withQuery } from './suite/answers.js';
import { type Suite, wireSuite } from './suite/index.js';

const elsewhere = definePlugin({
  kind: 'layer',
  name: 'elsewhere',
  options: z.strictObject({ redirect: z.string() }),
  create: ({ redirect }): LayerHandler => ({ resolve: () => ({ redirect }) }),
});

const foreign = definePlugin({
  kind: 'auth',
  name: 'foreign',
  options: z.strictObject({}),
  create: (): AuthHandler => ({
    authorize: () => {
      throw new Challenge('Basic realm="内部"');
    },
  }),
});

const ill = definePlugin({
  kind: 'storage',
  name: 'ill',
  options: z.strictObject({ password: secret(z.string()) }),
  create: async ({ password }): Promise<StorageDriver> => {
    const { instance } = await startPlugin(memory());
    const check = async () => {
      throw new DriverError('unavailable', '', { cause: new Error(`no entry with ${password}`) });
    };
    return Object.assign(Object.create(instance), { check }) as StorageDriver;
  },
});

/** Sends a body in chunks of a mebibyte for as long as the other side takes it; answers what came back. */
async function sendWithoutLength(port: number, path: string, mebibytes: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    answer += text;
  });
  socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
  const piece = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(1 << 20, 'x'), Buffer.from('\r\n')]);
  for (let sent = 0; sent < mebibytes; sent += 1) if (!socket.write(piece)) await once(socket, 'drain');
  socket.write('0\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await once(socket, 'close');
  return answer;
}

/** Handlers as somebody might write them who has no compiler to ask. */
const careless = (answer: unknown) => ({
  auth: definePlugin({
    kind: 'auth',
    name: 'careless',
    options: z.strictObject({}),
    create: () => ({ authorize: () => answer as Grant }),
  })(),
  layer: definePlugin({
    kind: 'layer',
    name: 'careless',
    options: z.strictObject({}),
    create: () => ({ resolve: () => answer as LayerAnswer }),
  })(),
});

const hardeningSuite: Suite = (test, open) => {
  test('an auth handler that answers no grant has granted nothing', async () => {
    for (const answer of [undefined, null, false, true, 'yes', {}, { granted: true }, { allowed: false }]) {
      const at = await open({ auth: careless(answer).auth });
      refused(await at.send('POST', '/v2/r/blobs/uploads/'), 500, 'UNKNOWN');
      assert.match(String(at.errors[0]), /no Grant/);
    }
  });

  test('a layer handler that answers neither a redirect nor headers does not make a blob empty', async () => {
    for (const answer of [{}, { url: 'https://cdn.example/' }, { redirect: 7 }]) {
      const at = await open({ layer: careless(answer).layer });
      const digest = await pushBlob(at, 'r', 'abc').catch(() => digestOf('abc'));
      assert.equal(answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200).body.toString(), 'abc');
    }
  });

  test('asking for the health starts the plugins', async () => {
    const at = await open();
    await at.registry.health();
    await at.registry.ready();
    assert.equal((await at.registry.health()).ok, true);
    const unasked = registry({ storage: memory() });
    for (let turn = 0; turn < 100 && !(await unasked.health()).ok; turn += 1) await new Promise(setImmediate);
    assert.equal((await unasked.health()).ok, true);
    await unasked.close();
  });

  test('closing lets an upload that is under way end, and takes no other', async () => {
    const at = await open();
    const session = at.within(empty(await at.send('POST', '/v2/r/blobs/uploads/'), 202).headers.location);
    const request = at.begin('PATCH', session, { headers: { 'Content-Length': '6' } });
    await request.write(Buffer.from('abc'));
    for (let turn = 0; turn < 500; turn += 1) {
      if ((await at.send('GET', session)).headers.range === '0-2') break;
    }
    const closing = at.registry.close();
    refused(await at.send('GET', '/v2/'), 503, 'UNAVAILABLE');
    request.request.end('def');
    assert.equal((await request.answer).headers.range, '0-5');
    await closing;
  });

  test('a redirect that Node cannot send is a failure of the handler, and its error is kept by nobody', async () => {
    const offload = { onFailure: 'unavailable' } as const;
    const at = await open({ layer: elsewhere({ redirect: 'https://cdn.example/€' }), offload });
    const digest = await pushBlob(at, 'r', 'abc');
    const answer = await at.send('GET', `/v2/r/blobs/${digest}`);
    refused(answer, 503, 'UNAVAILABLE');
    assert.equal(answer.headers['cache-control'], undefined);
    assert.equal(answer.headers.etag, undefined);
  });

  test('a challenge that Node cannot send is a 500 in the envelope', async () => {
    const at = await open({ auth: foreign() });
    const answer = await at.send('GET', '/v2/');
    refused(answer, 500, 'UNKNOWN');
    assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
  });

  test('headers that Node cannot send are found at start-up', () => {
    for (const headers of [{ 'x-a': 'b\nc' }, { 'x a': 'b' }, { '': 'b' }, { 'x-a': '€' }]) {
      assert.throws(
        () => registry({ storage: memory(), http: { headers } }),
        (error) => error instanceof OptionsError && error.problems.every(({ path }) => path.startsWith('http.headers')),
      );
    }
  });

  test('a prefix that takes in /v2, or leads elsewhere, is found at start-up', () => {
    for (const prefix of ['/v2', '/portal/v2/', '/../x', '/x/.']) {
      assert.throws(
        () => registry({ storage: memory(), prefix }),
        (error) => error instanceof OptionsError && error.problems.every(({ path }) => path === 'prefix'),
      );
    }
  });

  test('a factory that was not called is no plugin to start', async () => {
    await assert.rejects(startPlugin(memory as unknown as ReturnType<typeof memory>), /has to be called/);
  });

  test('the health report tells the cause, without secrets', async () => {
    const at = await open({ storage: ill({ password: 'swordfish' }) });
    await at.send('GET', '/v2/');
    const { ok, checks } = await at.registry.health();
    assert.equal(ok, false);
    assert.match(String(checks.storage), /no entry with \[secret\]/);
  });

  test('a PUT whose length is not that of its range says where the session stands', async () => {
    const at = await open();
    const session = at.within(empty(await at.send('POST', '/v2/r/blobs/uploads/'), 202).headers.location);
    const headers = { 'Content-Range': '0-9' };
    const target = withQuery(session, { digest: digestOf('abc') });
    const answer = await at.send('PUT', target, { headers, body: 'abc' });
    refused(answer, 400, 'SIZE_INVALID');
    assert.equal(answer.headers.range, '0-0');
    empty(
      await at.send('PUT', withQuery(at.within(answer.headers.location), { digest: digestOf('abc') }), { body: 'abc' }),
      201,
    );
  });

  test('a manifest without length that never seems to end is 413, and the connection serves on', async () => {
    const at = await open();
    const answer = await sendWithoutLength(at.port, '/v2/r/manifests/x', 24);
    const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    assert.deepEqual(statuses, ['413', '200']);
  });
};

wireSuite('hardening', BARE, hardeningSuite);
