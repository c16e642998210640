// `notification/webhook` over TLS: whom it believes, and who believes it. The certificates are made by openssl.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { startPlugin } from 'koa-registry';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { runProcess } from '../support/process.js';
import { suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { failureOf, Listener, stopListeners, withSink, write } from './notification-webhook-listener.js';

const test = suiteNeeding('notification/webhook: TLS', ['openssl']);
test.after.each(stopListeners);

/** The files of a certificate and its key, and what is in them. */
interface Certificate {
  readonly file: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

async function certificate(name: string, extension: string, issuer?: Certificate): Promise<Certificate> {
  const folder = tempFolder();
  const [file, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  await runProcess('openssl', [
    ...['req', '-x509', '-subj', `/CN=${name}`, '-addext', extension, '-days', '2', '-out', file],
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile],
    ...(issuer ? ['-CA', issuer.file, '-CAkey', issuer.keyFile] : []),
  ]);
  return { file, keyFile, cert: await readFile(file, 'utf8'), key: await readFile(keyFile, 'utf8') };
}

let authority: Certificate;
let stranger: Certificate;
let server: Certificate;
let named: Certificate;
let client: Certificate;

test.before(async () => {
  authority = await certificate('Authority', 'keyUsage=keyCertSign');
  stranger = await certificate('Stranger', 'keyUsage=keyCertSign');
  server = await certificate('server', 'subjectAltName=IP:127.0.0.1', authority);
  named = await certificate('named', 'subjectAltName=DNS:listener.test', authority);
  client = await certificate('client', 'extendedKeyUsage=clientAuth', authority);
});

test('an authority of one’s own, as a file and as text', async () => {
  const listener = await Listener.start({ cert: server.cert, key: server.key });
  for (const ca of [authority.file, authority.cert]) {
    await withSink(webhook({ url: listener.url, tls: { ca } }), async (sink) => {
      await write(sink);
      await write(sink);
    });
  }
  assert.equal(listener.received.length, 4);
  assert.equal(listener.connections, 2);
});

test('a listener for whom nobody vouches gets nothing', async () => {
  const listener = await Listener.start({ cert: server.cert, key: server.key });
  for (const options of [{}, { tls: {} }, { tls: { ca: stranger.cert } }]) {
    const plugin = webhook({ url: listener.url, ...options });
    assert.match((await failureOf(plugin)).message, /cannot be reached: .*certificate/);
    await withSink(plugin, (sink) => assert.rejects(async () => sink.check?.(), /cannot be reached: .*certificate/));
  }
  assert.equal(listener.received.length, 0);
  await withSink(webhook({ url: listener.url, tls: { rejectUnauthorized: false } }), (sink) => write(sink));
  assert.equal(listener.received.length, 1);
});

test('a certificate has to have the name of the host, or the one that the options say', async () => {
  const listener = await Listener.start({ cert: named.cert, key: named.key });
  const ca = authority.cert;
  assert.match((await failureOf(webhook({ url: listener.url, tls: { ca } }))).message, /does not match/);
  await withSink(webhook({ url: listener.url, tls: { ca, servername: 'listener.test' } }), async (sink) => {
    await sink.check?.();
    await write(sink);
  });
  assert.equal(listener.received.length, 1);
});

test('a listener that wants to know who it is', async () => {
  const listener = await Listener.start({
    ...{ cert: server.cert, key: server.key, ca: authority.cert },
    ...{ requestCert: true, rejectUnauthorized: true },
  });
  const ca = authority.cert;
  assert.match((await failureOf(webhook({ url: listener.url, tls: { ca } }))).message, /cannot be reached/);
  assert.equal(listener.received.length, 0);
  const names: unknown[] = [];
  listener.usually = (response, { socket }) => {
    names.push((socket as TLSSocket).getPeerCertificate().subject.CN);
    response.end();
  };
  const files = { cert: client.file, key: client.keyFile };
  for (const own of [files, { cert: client.cert, key: client.key }]) {
    await withSink(webhook({ url: listener.url, tls: { ca, ...own } }), (sink) => write(sink));
  }
  assert.deepEqual(names, ['client', 'client']);
});

test('what is no certificate and no key is told at the start, without a word of it', async () => {
  const url = 'https://127.0.0.1:1';
  const broken = join(tempFolder(), 'broken.pem');
  await writeFile(broken, 'canary: no PEM');
  const wrong = [
    [{ ca: '/canary/nowhere.pem' }, /^tls\.ca: no PEM, and not the path of a file that can be read \(ENOENT\)$/],
    [{ cert: client.file, key: 'canary'.repeat(100) }, /^tls\.key: no PEM.*\(ENAMETOOLONG\)$/],
    [{ cert: broken, key: client.keyFile }, /^tls: ca, cert or key is not PEM/],
    [{ cert: client.file, key: server.keyFile }, /^tls: .* do not belong together$/],
  ] as const;
  for (const [tls, message] of wrong) {
    await assert.rejects(startPlugin(webhook({ url, tls })), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(!`${error} ${error.cause}`.includes('canary'));
      return true;
    });
  }
});

test.run();
