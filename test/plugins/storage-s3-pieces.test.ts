// `storage/s3`: what is appended in several parts goes by multipart uploads, side by side. Whatever
// becomes of their answers, there is a whole part or none, and nothing is left of them.
import { strict as assert } from 'node:assert';
import type { IncomingHttpHeaders } from 'node:http';
import { isDriverError, type StorageDriver } from 'koa-registry';
import { content } from '../support/content.js';
import { suiteNeeding } from '../support/requires.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';
import {
  assertContent,
  fails,
  inPieces,
  MIB,
  strike,
  withClient,
  withHosts,
  withProxied,
} from './storage-s3-fixture.js';
import type { Fate, StoreProxy } from './storage-s3-proxy.js';

let server: S3Server;

const test = suiteNeeding('storage/s3: pieces', ['versitygw']);
test.before(async () => {
  server = await startVersitygw();
});
test.after(() => server.stop());

/** A first part and a run of two pieces, with parts of 5 MiB. */
const THREE_PARTS = content(10 * MIB + 1000);

const FIRST = ['ListObjectsV2', 'PutObject'];
const PROBE = [
  'PutObject',
  'CreateMultipartUpload',
  'UploadPart',
  'CompleteMultipartUpload',
  'HeadObject',
  'AbortMultipartUpload',
  'DeleteObject',
];
const RUN = ['CreateMultipartUpload', 'UploadPart', 'UploadPart', 'CompleteMultipartUpload'];

/** Lets the driver find out what the store can do. */
async function probe(driver: StorageDriver, proxy: StoreProxy): Promise<void> {
  await driver.append('probing', 0, inPieces(THREE_PARTS));
  await driver.remove('probing');
  proxy.operations.length = 0;
}

async function assertNoUploads(): Promise<void> {
  await withClient(server, async (client) => {
    const { Uploads = [] } = await client.listMultipartUploads({ Bucket: server.bucket });
    assert.deepEqual(Uploads, []);
  });
}

async function assertAppended(driver: StorageDriver): Promise<void> {
  await assertContent(driver, 'u/data', THREE_PARTS);
  await driver.commit('u/data', 'b/data', { size: THREE_PARTS.length });
  await assertContent(driver, 'b/data', THREE_PARTS);
}

test('the first large append finds out once whether the store takes pieces', async () => {
  await withProxied(server, async (driver, proxy) => {
    await driver.append('u/data', 0, inPieces(THREE_PARTS));
    // Requests that are under way together come in any order.
    assert.deepEqual([...proxy.operations].sort(), [...FIRST, ...PROBE, ...RUN].sort());
    await assertAppended(driver);
    proxy.operations.length = 0;
    await driver.append('v/data', 0, inPieces(THREE_PARTS));
    assert.deepEqual([...proxy.operations].sort(), [...FIRST, ...RUN].sort());
    await driver.remove('v/data');
  });
  await assertNoUploads();
});

for (const [title, answer] of [
  ['ignores', { status: 200, body: '<CompleteMultipartUploadResult></CompleteMultipartUploadResult>' }],
  ['refuses', { status: 501, body: '<Error><Code>NotImplemented</Code><Message>no</Message></Error>' }],
] as const) {
  test(`a store that ${title} the condition of a completion gets part after part`, async () => {
    await withProxied(server, async (driver, proxy) => {
      proxy.decide = (operation) => (operation === 'CompleteMultipartUpload' ? answer : 'pass');
      await driver.append('u/data', 0, inPieces(THREE_PARTS));
      proxy.operations.length = 0;
      await driver.append('v/data', 0, inPieces(THREE_PARTS));
      assert.deepEqual(proxy.operations, ['ListObjectsV2', 'PutObject', 'PutObject', 'PutObject']);
      proxy.decide = () => 'pass';
      await assertAppended(driver);
    });
  });
}

test('what could not be found out is found out the next time', async () => {
  await withProxied(
    server,
    async (driver, proxy) => {
      proxy.decide = (operation) => (operation === 'CompleteMultipartUpload' ? { status: 503, body: '' } : 'pass');
      await fails('unavailable', driver.append('u/data', 0, inPieces(THREE_PARTS)));
      proxy.decide = () => 'pass';
      const { size } = await driver.stat('u/data');
      await driver.append('u/data', size, inPieces(THREE_PARTS.subarray(size)));
      await assertAppended(driver);
      proxy.operations.length = 0;
      await driver.append('v/data', 0, inPieces(THREE_PARTS));
      assert.ok(proxy.operations.includes('CompleteMultipartUpload'));
    },
    // The server itself may refuse a write beside a removal.
    { maxRetries: 1 },
  );
});

for (const operation of ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload']) {
  for (const fate of ['lose-answer', 'lose-request'] as const) {
    test(`${operation}, ${fate}: it is tried again, and the append succeeds`, async () => {
      await withProxied(server, async (driver, proxy) => {
        await probe(driver, proxy);
        strike(proxy, operation, fate);
        assert.equal(await driver.append('u/data', 0, inPieces(THREE_PARTS)), THREE_PARTS.length);
        await assertAppended(driver);
      });
    });
  }

  test(`${operation} fails: what stands is a beginning, it can go on, and no upload is left`, async () => {
    await withProxied(
      server,
      async (driver, proxy) => {
        await probe(driver, proxy);
        strike(proxy, operation, { status: 503, body: '' });
        await fails('unavailable', driver.append('u/data', 0, inPieces(THREE_PARTS)));
        const { size } = await driver.stat('u/data');
        await driver.append('u/data', size, inPieces(THREE_PARTS.subarray(size)));
        await assertAppended(driver);
      },
      { maxRetries: 0 },
    );
  });
}

test('of two hosts that append much at one offset one wins, and nothing of the other is left', async () => {
  await withHosts(server, async (first, second, third) => {
    const contents = [content(12 * MIB, 2), content(12 * MIB, 3)];
    const results = await Promise.allSettled(
      [first, second].map((driver, index) => driver.append('u/data', 0, inPieces(contents[index] ?? Buffer.alloc(0)))),
    );
    const winner = results.findIndex(({ status }) => status === 'fulfilled');
    const loser = results[1 - winner];
    assert.ok(loser?.status === 'rejected' && isDriverError(loser.reason, 'offset-conflict'));
    await assertContent(third, 'u/data', contents[winner] ?? Buffer.alloc(0));
  });
});

test('a run that is completed when another has gone on is refused, and changes nothing', async () => {
  await withProxied(server, async (driver, proxy) => {
    await probe(driver, proxy);
    const other = content(6 * MIB, 4);
    const first = THREE_PARTS.subarray(0, 5 * MIB);
    let overtaken = false;
    proxy.decide = async (operation): Promise<Fate> => {
      if (operation !== 'CompleteMultipartUpload' || overtaken) return 'pass';
      overtaken = true;
      assert.equal(await driver.append('u/data', first.length, inPieces(other)), first.length + other.length);
      return 'pass';
    };
    await fails('offset-conflict', driver.append('u/data', 0, inPieces(THREE_PARTS)));
    await assertContent(driver, 'u/data', Buffer.concat([first, other]));
  });
});

test('the uploads of parts have the settings of objects, but no storage class', async () => {
  const seen: IncomingHttpHeaders[] = [];
  const settings = { storageClass: 'STANDARD_IA', encrypt: true, keyId: 'k1' } as const;
  await withProxied(
    server,
    async (driver, proxy) => {
      await probe(driver, proxy);
      proxy.decide = (operation, headers) => {
        if (operation === 'CreateMultipartUpload') seen.push(headers);
        return 'pass';
      };
      await driver.append('u/data', 0, inPieces(THREE_PARTS));
      await driver.commit('u/data', 'b/data');
    },
    settings,
  );
  const told = (header: string) => seen.map((headers) => headers[header]);
  assert.deepEqual(told('x-amz-storage-class'), [undefined, 'STANDARD_IA']);
  assert.deepEqual(told('x-amz-server-side-encryption'), ['aws:kms', 'aws:kms']);
  assert.deepEqual(told('x-amz-server-side-encryption-aws-kms-key-id'), ['k1', 'k1']);
});

test.run();
