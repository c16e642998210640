// `notification/webhook`: what is sent, and what becomes of each answer. The listeners are real ones.
import assert from 'node:assert/strict';
import { subtle } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { OptionsError, SinkGoneError, startPlugin } from 'koa-registry';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { suite } from 'uvu';
import { password } from '../support/credentials.js';
import {
  answer,
  endlessBody,
  eventOf,
  failureOf,
  halfBody,
  halfHead,
  hang,
  hangUp,
  Listener,
  reset,
  speakNonsense,
  stopListeners,
  withSink,
  write,
} from './notification-webhook-listener.js';

const test = suite('notification/webhook');
test.after.each(stopListeners);

type WebhookOptions = Parameters<typeof webhook>[0];

const V1 = 'application/vnd.docker.distribution.events.v1+json';
const V2 = 'application/vnd.docker.distribution.events.v2+json';

/** What a listener gets. */
async function sent(options: Partial<WebhookOptions> = {}, events = [eventOf()]) {
  const listener = await Listener.start();
  await withSink(webhook({ url: listener.url, ...options }), (sink) => write(sink, events));
  assert.equal(listener.received.length, 1);
  return listener.received[0] ?? assert.fail();
}

test('events are posted in one envelope, in order and whole', async () => {
  const events = [eventOf(), eventOf({ actor: {} }), eventOf({ target: { repository: 'a', tag: '1.0 – ü 漢字' } })];
  const { method, headers, body } = await sent({}, events);
  assert.equal(method, 'POST');
  assert.deepEqual(JSON.parse(body.toString('utf8')), { events });
  assert.equal(headers['content-type'], V2);
  assert.equal(headers['content-length'], String(body.length));
  assert.equal(headers['user-agent'], 'koa-registry');
});

test('the media type goes by its older name where that is wanted', async () => {
  assert.equal((await sent({ mediaType: 'v1' })).headers['content-type'], V1);
});

test('the query of the URL is sent', async () => {
  const listener = await Listener.start();
  await withSink(webhook({ url: `${listener.url}?channel=a%20b` }), (sink) => write(sink));
  assert.equal(listener.received[0]?.url, '/events?channel=a%20b');
});

test('headers are sent, as texts and as lists', async () => {
  const { headers } = await sent({
    headers: { Authorization: [`Bearer ${password('token')}`], 'X-Several': ['one', 'two'], 'user-agent': 'mine' },
  });
  assert.equal(headers.authorization, `Bearer ${password('token')}`);
  assert.equal(headers['x-several'], 'one, two');
  assert.equal(headers['user-agent'], 'mine');
});

test('a signature is that of the bytes, also as WebCrypto reckons it', async () => {
  const secret = password('hmac');
  const { headers, body } = await sent({ hmac: { secret } });
  const [, hex = ''] = /^sha256=([\da-f]{64})$/.exec(String(headers['x-hub-signature-256'])) ?? [];
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await subtle.importKey('raw', Buffer.from(secret), algorithm, false, ['verify']);
  assert.equal(await subtle.verify('HMAC', key, Buffer.from(hex, 'hex'), body), true);
  assert.equal(await subtle.verify('HMAC', key, Buffer.from(hex, 'hex'), Buffer.concat([body, body])), false);
});

test('a signature stands where the options say, and nowhere without a secret', async () => {
  const named = await sent({ hmac: { secret: password('hmac'), header: 'X-Signed' } });
  assert.match(String(named.headers['x-signed']), /^sha256=/);
  assert.equal(named.headers['x-hub-signature-256'], undefined);
  assert.equal((await sent()).headers['x-hub-signature-256'], undefined);
});

test('many messages go over one connection', async () => {
  const listener = await Listener.start();
  listener.next(answer(204), answer(200, 'a body that nobody needs'), answer(202, '', { 'X-More': 'headers' }));
  await withSink(webhook({ url: listener.url }), async (sink) => {
    for (let count = 0; count < 50; count++) await write(sink);
  });
  assert.equal(listener.received.length, 50);
  assert.equal(listener.connections, 1);
});

test('messages that are written at once go one after another, too', async () => {
  const listener = await Listener.start();
  const events = Array.from({ length: 10 }, () => eventOf());
  await withSink(webhook({ url: listener.url }), async (sink) => {
    await Promise.all(events.map((event) => write(sink, [event])));
  });
  assert.deepEqual(listener.accepted, events);
  assert.equal(listener.connections, 1);
});

const UNANSWERED = { reset, 'hung up': hangUp, 'nonsense for an answer': speakNonsense, 'half a head': halfHead };

for (const [what, behaviour] of Object.entries(UNANSWERED)) {
  test(`${what}: not delivered, and the next write finds another connection`, async () => {
    const listener = await Listener.start();
    await withSink(webhook({ url: listener.url }), async (sink) => {
      await write(sink);
      listener.next(behaviour);
      await assert.rejects(write(sink), /^Error: the listener cannot be reached: ./);
      await write(sink);
    });
    assert.equal(listener.received.length, 3);
    assert.equal(listener.connections, 2);
  });
}

test('an answer that switches protocols is none', async () => {
  const listener = await Listener.start();
  listener.next((_response, { socket }) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  });
  await withSink(webhook({ url: listener.url }), async (sink) => {
    await assert.rejects(write(sink), /cannot be reached/);
    await write(sink);
  });
});

for (const status of [400, 401, 404, 413, 429, 500, 503]) {
  test(`${status}: not delivered, on the same connection`, async () => {
    const listener = await Listener.start();
    listener.next(answer(status, 'why\nnot'));
    await withSink(webhook({ url: listener.url }), async (sink) => {
      await assert.rejects(write(sink), { name: 'Error', message: `the listener answers ${status}: why not` });
      await write(sink);
    });
    assert.equal(listener.connections, 1);
  });
}

for (const status of [301, 302, 307, 308]) {
  test(`${status}: not followed`, async () => {
    const [listener, elsewhere] = [await Listener.start(), await Listener.start()];
    listener.next(answer(status, '', { Location: elsewhere.url }));
    const message = `the listener answers ${status}, and redirects are not followed`;
    assert.equal((await failureOf(webhook({ url: listener.url }))).message, message);
    assert.equal(elsewhere.received.length, 0);
  });
}

test('410: the sink wants no more', async () => {
  const listener = await Listener.start();
  listener.next(answer(410, 'moved out'));
  const error = await failureOf(webhook({ url: listener.url }));
  assert.ok(error instanceof SinkGoneError);
  assert.equal(error.message, 'the listener answers 410: moved out');
});

const UNFINISHED = {
  'breaks off': halfBody(200),
  'is never over': endlessBody(200, 1),
  'is too long': answer(200, 'x'.repeat(1 << 20)),
};

for (const [how, behaviour] of Object.entries(UNFINISHED)) {
  test(`2xx with a body that ${how}: delivered, and the next write finds another connection`, async () => {
    const listener = await Listener.start();
    listener.next(behaviour);
    await withSink(webhook({ url: listener.url }), async (sink) => {
      await write(sink);
      await write(sink);
    });
    assert.equal(listener.received.length, 2);
    assert.equal(listener.connections, 2);
  });
}

test('500 with a body that is not over: not delivered, and what came of it is told', async () => {
  const listener = await Listener.start();
  listener.next(halfBody(500), endlessBody(500, 32 * 1024));
  const plugin = webhook({ url: listener.url });
  assert.match((await failureOf(plugin)).message, /^the listener answers 500(: half of it)?$/);
  assert.equal((await failureOf(plugin)).message, `the listener answers 500: ${'x'.repeat(200)}`);
});

test('an answer to a message that was not read to its end keeps nobody waiting', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.pause();
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    // More than the kernel takes for somebody who does not read.
    const long = eventOf({ target: { repository: 'x'.repeat(32 << 20) } });
    await withSink(webhook({ url: `http://127.0.0.1:${port}` }), async (sink) => {
      await write(sink, [long]);
      await write(sink);
    });
    assert.equal(sockets.length, 2);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

test('a write whose time is over rejects with the reason, and the next one finds another connection', async () => {
  const listener = await Listener.start();
  listener.next(hang);
  await withSink(webhook({ url: listener.url }), async (sink) => {
    const patience = new AbortController();
    const reason = new Error('no longer');
    const writing = sink.write([eventOf()], { signal: patience.signal });
    while (listener.received.length === 0) await new Promise(setImmediate);
    patience.abort(reason);
    await assert.rejects(writing, reason);
    await assert.rejects(sink.write([eventOf()], { signal: patience.signal }), reason);
    await write(sink);
  });
  assert.equal(listener.received.length, 2);
  assert.equal(listener.connections, 2);
});

test('check looks without being an event to anybody', async () => {
  const listener = await Listener.start();
  await withSink(webhook({ url: listener.url }), async (sink) => {
    await sink.check?.();
    await sink.check?.({ signal: new AbortController().signal });
    await assert.rejects(async () => sink.check?.({ signal: AbortSignal.abort(new Error('no longer')) }), /no longer/);
    await listener.stop();
    await assert.rejects(async () => sink.check?.(), /cannot be reached: connect ECONNREFUSED/);
    await listener.comeBack();
    await sink.check?.();
  });
  assert.equal(listener.received.length, 0);
});

test('a host of several addresses, none of which answers, has a reason', async () => {
  const listener = await Listener.start();
  await listener.stop();
  const error = await failureOf(webhook({ url: `http://localhost:${listener.port}` }));
  assert.match(error.message, /^the listener cannot be reached: .*ECONNREFUSED/);
});

test('it may be closed twice, and takes a message under way with it', async () => {
  const listener = await Listener.start();
  listener.next(hang);
  const { instance } = await startPlugin(webhook({ url: listener.url }));
  const writing = assert.rejects(write(instance), /cannot be reached/);
  while (listener.received.length === 0) await new Promise(setImmediate);
  await instance.close?.();
  await instance.close?.();
  await writing;
});

test('what is said of a failure has none of what only the listener should know', async () => {
  const listener = await Listener.start();
  const secrets = ['path', 'query', 'token', 'list', 'hmac'].map(password);
  const [path, query, token, list, secret = ''] = secrets;
  const options = {
    url: `http://127.0.0.1:${listener.port}/${path}?key=${query}`,
    headers: { Authorization: `Bearer ${token}`, 'X-Keys': ['a', `${list}`] },
    hmac: { secret },
  };
  const plugin = webhook(options);
  listener.usually = (response, { url, headers }) =>
    response.writeHead(500).end(`${secret} ${token} ${query} ${url} ${inspect(headers)} and so on`);
  const failures = [await failureOf(plugin)];
  await listener.stop();
  failures.push(await failureOf(plugin));
  const said = inspect([plugin, JSON.stringify(plugin), failures], { depth: Number.POSITIVE_INFINITY });
  assert.match(said, /the listener answers 500: .*\[secret\]/);
  for (const each of secrets) assert.ok(!said.includes(each), said);
});

test('what is said of a failure has no part of the path or the query either, as it is sent or as it is read', async () => {
  const listener = await Listener.start();
  const parts = [`T0é${password('segment')}`, `a b/${password('value')}`, password('alone'), `${password('plus')} x`];
  const [segment = '', value = '', alone = '', plus = ''] = parts;
  const query = `key=${encodeURIComponent(value)}&${alone}&plus=${plus.replace(' ', '+')}`;
  const url = `http://127.0.0.1:${listener.port}/services/T0/${encodeURIComponent(segment)}/%zz?${query}`;
  const asSent = [encodeURIComponent(segment), encodeURIComponent(value), plus.replace(' ', '+')];
  for (const part of [...parts, ...asSent]) {
    listener.next(answer(500, `there is no ${part} at T0`));
    const { message } = await failureOf(webhook({ url }));
    assert.equal(message, 'the listener answers 500: there is no [secret] at T0');
  }
});

test('an excerpt of an answer is one line of what can be printed', async () => {
  const listener = await Listener.start();
  listener.next(answer(500, `\u0000a\u001b[31mb\r\n\t\u202ec ${'ü'.repeat(500)}`));
  const { message } = await failureOf(webhook({ url: listener.url }));
  const said = message.slice('the listener answers 500: '.length);
  assert.ok(said.startsWith('a [31mb c ü'), said);
  assert.equal(said.length, 200);
});

test('the options of the delivery are handed back', async () => {
  const ignore = { mediaTypes: ['a/b'], actions: ['pull' as const], repositories: ['x/**'] };
  const options = {
    name: 'mine',
    batch: 7,
    timeout: '2s',
    threshold: 3,
    backoff: '1s',
    maxBackoff: '1m',
    maxAttempts: 9,
  };
  const url = 'http://127.0.0.1:1';
  await withSink(webhook({ url, ...options, ignore, ignoredMediaTypes: ['c/d'] }), async ({ delivery }) => {
    assert.deepEqual(delivery, {
      ...{ name: 'mine', batch: 7, timeout: 2_000, threshold: 3, backoff: 1_000, maxBackoff: 60_000, maxAttempts: 9 },
      ignore: { ...ignore, mediaTypes: ['a/b', 'c/d'] },
    });
  });
  await withSink(webhook({ url }), async ({ delivery = {} }) => {
    assert.equal('name' in delivery, false);
    assert.equal(delivery.batch, 1);
    assert.equal(delivery.timeout, 1_000);
  });
});

const WRONG: readonly (readonly [options: object, problem: RegExp])[] = [
  [{ url: 'ftp://x' }, /url: must be an http or https URL/],
  [{ url: `http://ann:${password('url')}@x` }, /url: must be .* without credentials/],
  [{ url: 'http://x#y' }, /url: must be/],
  [{ url: 'http:x' }, /url: must be/],
  [{ headers: { 'Content-Type': 'text/plain' } }, /headers.Content-Type: is not for you to say/],
  [{ headers: { host: 'x' } }, /headers.host: is not for you to say/],
  [{ headers: { 'a b': 'x' } }, /headers\["a b"\]: must be the name of a header/],
  [{ headers: { a: `${password('value')}\r\nb: c` } }, /headers\.a: must be the value of a header/],
  [{ headers: { a: [`${password('value')}\n`] } }, /headers\.a/],
  [{ headers: { a: 'x', A: 'y' } }, /headers.A: is there twice/],
  [
    { headers: { 'x-hub-signature-256': 'x' }, hmac: { secret: password('hmac') } },
    /hmac\.header: is one of "headers"/,
  ],
  [{ hmac: { secret: '' } }, /hmac\.secret/],
  [{ tls: {} }, /tls: has no effect without an https URL/],
  [{ url: 'https://x', tls: { cert: 'c.pem' } }, /tls: cert and key go together/],
  [{ mediaType: 'v3' }, /mediaType/],
  [{ treshold: 3 }, /treshold: unknown option, did you mean "threshold"/],
];

for (const [options, problem] of WRONG) {
  test(`refused: ${JSON.stringify(options).replaceAll(password(''), '')}`, async () => {
    const wrong = webhook({ url: 'http://127.0.0.1:1', ...options });
    await assert.rejects(startPlugin(wrong), (error) => {
      assert.ok(error instanceof OptionsError);
      assert.match(error.message, problem);
      assert.ok(!error.message.includes(password('')), error.message);
      return true;
    });
  });
}

test.run();
