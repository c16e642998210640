// `storage/s3` between a driver and a real server: how many requests a call takes, and what happens when
// an answer is lost, or is not what it seems.
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { type StorageDriver, startPlugin } from 'koa-registry';
import { content } from '../support/content.js';
import { suiteNeeding } from '../support/requires.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';
import {
  assertContent,
  fails,
  inPieces,
  MIB,
  pluginOn,
  recordingLogger,
  saying,
  strike,
  until,
  withProxied,
  withProxy,
} from './storage-s3-fixture.js';
import type { Fate, StagedAnswer, StoreProxy } from './storage-s3-proxy.js';

let server: S3Server;

const test = suiteNeeding('storage/s3: faults', ['versitygw']);
test.before(async () => {
  server = await startVersitygw();
});
test.after(() => server.stop());

const TWO_PARTS = content(5 * MIB + 1000);

/** The operations that a call takes. */
async function costOf(proxy: StoreProxy, call: () => Promise<unknown>): Promise<readonly string[]> {
  proxy.operations.length = 0;
  await call();
  return [...proxy.operations];
}

test('a call takes no more requests than it has to', async () => {
  await withProxied(server, async (driver, proxy) => {
    const cost = (call: () => Promise<unknown>) => costOf(proxy, call);
    const small = Buffer.from('small');
    assert.deepEqual(await cost(() => driver.put('a/link', small)), ['PutObject']);
    assert.deepEqual(await cost(() => driver.get('a/link')), ['GetObject']);
    assert.deepEqual(await cost(() => driver.stat('a/link')), ['GetObject']);
    assert.deepEqual(await cost(() => driver.url?.('a/link', { method: 'GET', expires: 1000 }) ?? fail()), []);
    assert.deepEqual(await cost(() => collect(driver, 'a')), ['ListObjectsV2']);
    assert.deepEqual(await cost(() => driver.append('u/data', 0, inPieces(small))), ['ListObjectsV2', 'PutObject']);
    const oneCopy = ['ListObjectsV2', 'CopyObject', 'DeleteObject'];
    assert.deepEqual(await cost(() => driver.commit('u/data', 'b/data')), oneCopy);
    const parts = ['ListObjectsV2', 'PutObject', 'PutObject'];
    assert.deepEqual(await cost(() => driver.append('v/data', 0, inPieces(TWO_PARTS))), parts);
    assert.deepEqual(await cost(() => driver.commit('v/data', 'b/two')), [
      'ListObjectsV2',
      'CreateMultipartUpload',
      'UploadPartCopy',
      'UploadPartCopy',
      'CompleteMultipartUpload',
      'DeleteObject',
      'DeleteObject',
    ]);
    assert.deepEqual(await cost(() => assertContent(driver, 'b/two', TWO_PARTS)), ['GetObject']);
  });
});

function fail(): never {
  throw new Error('there is no url');
}

async function collect(driver: StorageDriver, key: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of driver.list(key)) names.push(name);
  return names;
}

test('a part whose answer is lost is known for our own when it is tried again', async () => {
  await withProxied(server, async (driver, proxy) => {
    for (const offset of [0, 10]) {
      strike(proxy, 'PutObject', 'lose-answer');
      const bytes = content(20).subarray(offset, offset + 10);
      assert.equal(await driver.append('u/data', offset, inPieces(bytes)), offset + 10);
      assert.deepEqual(proxy.operations, [
        'ListObjectsV2',
        ...(offset > 0 ? ['GetObject'] : []),
        'PutObject',
        'PutObject',
        'HeadObject',
      ]);
      proxy.operations.length = 0;
    }
    await driver.commit('u/data', 'b/data');
    await assertContent(driver, 'b/data', content(20));
  });
});

for (const operation of ['CreateMultipartUpload', 'UploadPartCopy', 'CompleteMultipartUpload', 'DeleteObject']) {
  for (const fate of ['lose-answer', 'lose-request'] as const) {
    test(`a commit succeeds though ${operation} meets ${fate}`, async () => {
      await withProxied(server, async (driver, proxy) => {
        await driver.append('u/data', 0, inPieces(TWO_PARTS));
        strike(proxy, operation, fate);
        await driver.commit('u/data', 'b/data');
        await assertContent(driver, 'b/data', TWO_PARTS);
        await fails('not-found', driver.stat('u/data'));
      });
    });
  }
}

const LATE_ERROR = {
  status: 200,
  body: '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code><Message>late</Message></Error>',
};

for (const operation of ['CopyObject', 'UploadPartCopy', 'CompleteMultipartUpload']) {
  test(`an error within a 200 to ${operation} is one: tried again, or unavailable, and nothing is lost`, async () => {
    await withProxied(
      server,
      async (driver, proxy) => {
        const bytes = operation === 'CopyObject' ? content(1000) : TWO_PARTS;
        await driver.append('u/data', 0, inPieces(bytes));
        proxy.decide = (asked) => (asked === operation ? LATE_ERROR : 'pass');
        await fails('unavailable', driver.commit('u/data', 'b/data'));
        await fails('not-found', driver.stat('b/data'));
        if (operation !== 'CopyObject') assert.ok(proxy.operations.includes('AbortMultipartUpload'));
        strike(proxy, operation, LATE_ERROR);
        await driver.commit('u/data', 'b/data');
        await assertContent(driver, 'b/data', bytes);
      },
      { maxRetries: 1 },
    );
  });
}

for (const [title, size] of [
  ['one part', 1000],
  ['several parts', TWO_PARTS.length],
] as const) {
  test(`a commit of ${title} that somebody appends to meanwhile publishes nothing`, async () => {
    await withProxied(server, async (driver, proxy) => {
      const bytes = content(size + 500);
      await driver.append('u/data', 0, inPieces(bytes.subarray(0, size)));
      let appending: Promise<number> | undefined;
      proxy.decide = async (operation): Promise<Fate> => {
        if (!/Copy$|^CopyObject$/.test(operation)) return 'pass';
        appending ??= driver.append('u/data', size, inPieces(bytes.subarray(size)));
        await appending;
        return 'pass';
      };
      await fails('offset-conflict', driver.commit('u/data', 'b/data'));
      await fails('not-found', driver.stat('b/data'));
      await driver.commit('u/data', 'b/data');
      await assertContent(driver, 'b/data', bytes);
    });
  });
}

test('an object that cannot be deleted among many fails the call', async () => {
  await withProxied(server, async (driver, proxy) => {
    for (const name of ['a', 'b', 'c']) await driver.put(`d/${name}`, Buffer.from(name));
    const body =
      '<DeleteResult><Error><Key>d/b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>';
    strike(proxy, 'DeleteObjects', { status: 200, body });
    await assert.rejects(driver.remove('d'), saying(/AccessDenied/));
    await driver.remove('d');
    await fails('not-found', driver.stat('d'));
  });
});

test('a refused credential, a throttled or failing store are unavailable, never absent', async () => {
  await withProxied(
    server,
    async (driver, proxy) => {
      await driver.put('a', Buffer.from('a'));
      for (const status of [401, 403, 404, 429, 500, 503]) {
        proxy.decide = () => ({ status, body: '' });
        await fails('unavailable', driver.get('a'));
        await fails('unavailable', driver.stat('a'));
        await fails('unavailable', collect(driver, 'x'));
        await fails('unavailable', driver.append('u', 0, inPieces(content(1))));
      }
    },
    { maxRetries: 0 },
  );
});

test('a silent store is unavailable when the time is up', async () => {
  await withProxied(
    server,
    async (driver, proxy) => {
      proxy.decide = () => 'hold';
      await fails('unavailable', driver.get('a'));
    },
    { maxRetries: 0, requestTimeout: 100 },
  );
});

test('a write that meets the removal of what stands beside it is tried again', async () => {
  await withProxied(
    server,
    async (driver, proxy) => {
      const body =
        '<Error><Code>ExistingObjectIsDirectory</Code><Message>Existing Object is a directory.</Message></Error>';
      proxy.decide = (asked) => (asked === 'PutObject' ? { status: 409, body } : 'pass');
      await fails('unavailable', driver.put('tags/new/link', Buffer.from('link')));
      assert.deepEqual(proxy.operations, ['PutObject', 'PutObject']);
      strike(proxy, 'PutObject', { status: 409, body });
      await driver.put('tags/new/link', Buffer.from('link'));
      assert.equal((await driver.get('tags/new/link')).toString(), 'link');
    },
    { maxRetries: 1 },
  );
});

const PUT_DONE = { status: 200, body: '' };

test('a store that ignores or refuses conditions is not started with', async () => {
  await withProxy(server, async (proxy) => {
    const plugin = pluginOn(server, { endpoint: proxy.url, maxRetries: 0 });
    proxy.decide = (operation) => (operation === 'PutObject' ? PUT_DONE : 'pass');
    await assert.rejects(startPlugin(plugin), saying(/ignores the conditions of a write/));
    assert.deepEqual(proxy.operations, ['HeadBucket', 'PutObject', 'PutObject', 'DeleteObject']);
    const body =
      '<Error><Code>NotImplemented</Code><Message>A header you provided is not implemented</Message></Error>';
    strike(proxy, 'PutObject', { status: 501, body });
    await assert.rejects(startPlugin(plugin), saying(/not implemented/));
  });
});

for (const header of ['if-match', 'if-none-match']) {
  test(`nor is one that honours all conditions but ${header}`, async () => {
    await withProxy(server, async (proxy) => {
      proxy.decide = (operation, headers) => (operation === 'PutObject' && headers[header] ? PUT_DONE : 'pass');
      const start = startPlugin(pluginOn(server, { endpoint: proxy.url, maxRetries: 0 }));
      await assert.rejects(start, saying(/ignores the conditions of a write/));
    });
  });
}

test('both conditions are tried where nobody else writes, and nothing of it is left', async () => {
  await withProxy(server, async (proxy) => {
    const rootDirectory = 'probed';
    const hosts = [1, 2, 3].map(() => startPlugin(pluginOn(server, { rootDirectory })));
    const { close } = await startPlugin(pluginOn(server, { endpoint: proxy.url, rootDirectory }));
    for (const host of await Promise.all(hosts)) await host.close();
    assert.deepEqual(proxy.operations, [
      'HeadBucket',
      'PutObject',
      'PutObject',
      'HeadObject',
      'PutObject',
      'HeadObject',
      'DeleteObject',
    ]);
    await close();
    assert.ok(!existsSync(join(server.folder, server.bucket, rootDirectory)), 'a probe is left behind');
  });
});

test('a bucket that may only be read is read, and the log says so', async () => {
  await withProxy(server, async (proxy) => {
    const body = '<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>';
    proxy.decide = (operation) => (operation === 'PutObject' ? { status: 403, body } : 'pass');
    const { logger, events } = recordingLogger();
    const warned = once(events, 'log-warn');
    const { instance, close } = await startPlugin(pluginOn(server, { endpoint: proxy.url }), { logger });
    assert.equal((await warned)[1], 'the bucket cannot be written: reading only');
    await fails('not-found', instance.get('a'));
    await fails('unavailable', instance.put('a', Buffer.from('a')));
    await close();
  });
});

const ALL = { before: new Date(Date.now() + 86_400_000), dryRun: false };

/** A page of unfinished uploads, as the store lists them. */
function pageOfUploads(keys: readonly string[], next?: string): StagedAnswer {
  const uploads = keys.map((key) => {
    const fields = `<Key>${key}</Key><UploadId>${key}</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated>`;
    return `<Upload>${fields}</Upload>`;
  });
  const marker = next && `<NextKeyMarker>${next}</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>`;
  const more = `<IsTruncated>${marker !== undefined}</IsTruncated>${marker ?? ''}`;
  const body = `<ListMultipartUploadsResult>${more}${uploads.join('')}</ListMultipartUploadsResult>`;
  return { status: 200, body };
}

test('purge: a listing that never ends is left, and what is not below the prefix is nobody’s affair', async () => {
  await withProxied(
    server,
    async (driver, proxy) => {
      const pages = [pageOfUploads(['root/k/a', 'root/other'], 'x'), pageOfUploads(['root/k/b'], 'x')];
      proxy.decide = (operation) => {
        if (operation === 'AbortMultipartUpload') return { status: 204, body: '' };
        return pages[Math.min(proxy.operations.filter((name) => name === operation).length, 2) - 1] ?? 'pass';
      };
      assert.equal(await driver.purge?.('k', { ...ALL, dryRun: true }), 2);
      assert.deepEqual(proxy.operations, ['ListMultipartUploads', 'ListMultipartUploads']);
      proxy.operations.length = 0;
      assert.equal(await driver.purge?.('k', ALL), 2);
      assert.deepEqual(proxy.operations, [
        'ListMultipartUploads',
        'AbortMultipartUpload',
        'ListMultipartUploads',
        'AbortMultipartUpload',
      ]);
    },
    { rootDirectory: 'root' },
  );
});

test('purge: what ends meanwhile is no failure, and a refusal is one', async () => {
  await withProxied(
    server,
    async (driver, proxy) => {
      const gone = '<Error><Code>NoSuchUpload</Code><Message>It is gone</Message></Error>';
      proxy.decide = (operation) =>
        operation === 'AbortMultipartUpload' ? { status: 404, body: gone } : pageOfUploads(['root/k/a']);
      assert.equal(await driver.purge?.('k', ALL), 0);
      proxy.decide = () => ({ status: 403, body: '' });
      await fails('unavailable', driver.purge?.('k', ALL) ?? fail());
    },
    { rootDirectory: 'root' },
  );
});

test('purge: an aborted signal ends it', async () => {
  await withProxied(server, async (driver, proxy) => {
    proxy.decide = () => 'hold';
    const controller = new AbortController();
    const reason = new Error('the registry is closing');
    const purging = driver.purge?.('k', { ...ALL, signal: controller.signal }) ?? fail();
    await until(() => proxy.underWay() === 1);
    controller.abort(reason);
    await assert.rejects(purging, (error) => error === reason);
  });
});

test('a stream that is destroyed ends its request', async () => {
  await withProxied(server, async (driver, proxy) => {
    await driver.append('u/data', 0, inPieces(content(24 * MIB)));
    await driver.commit('u/data', 'b/data');
    const stream = await driver.open('b/data');
    await once(stream, 'readable');
    await until(() => proxy.underWay() === 1);
    stream.destroy();
    await until(() => proxy.underWay() === 0);
  });
});

test('an aborted call ends its request', async () => {
  await withProxied(server, async (driver, proxy) => {
    proxy.decide = () => 'hold';
    const controller = new AbortController();
    const reason = new Error('the caller went away');
    const call = driver.get('a', { signal: controller.signal });
    await until(() => proxy.underWay() === 1);
    controller.abort(reason);
    await assert.rejects(call, (error) => error === reason);
    await until(() => proxy.underWay() === 0);
  });
});

test('objects are written with the settings, and the parts of uploads in no class of their own', async () => {
  const seen: [string, IncomingHttpHeaders][] = [];
  const settings = { storageClass: 'STANDARD_IA', encrypt: true, keyId: 'k1', userAgent: 'portal/1' } as const;
  await withProxied(
    server,
    async (driver, proxy) => {
      proxy.decide = (operation, headers) => {
        seen.push([operation, headers]);
        return 'pass';
      };
      await driver.put('a', Buffer.from('a'));
      await driver.append('u/data', 0, inPieces(content(10)));
      await driver.commit('u/data', 'b/data');
      await driver.append('v/data', 0, inPieces(TWO_PARTS));
      await driver.commit('v/data', 'b/two');
    },
    settings,
  );
  const classes = (wanted: string) =>
    seen.filter(([operation]) => operation === wanted).map(([, headers]) => headers['x-amz-storage-class']);
  assert.deepEqual(classes('PutObject'), ['STANDARD_IA', undefined, undefined, undefined]);
  assert.deepEqual(classes('CopyObject'), ['STANDARD_IA']);
  assert.deepEqual(classes('CreateMultipartUpload'), ['STANDARD_IA']);
  for (const [operation, headers] of seen) {
    assert.match(headers['user-agent'] ?? '', /portal\/1/);
    assert.match(headers.authorization ?? '', /^AWS4-HMAC-SHA256 /);
    if (!/^(?:PutObject|CopyObject|CreateMultipartUpload)$/.test(operation)) continue;
    assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms');
    assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'k1');
  }
});

test.run();
