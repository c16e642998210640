// The purge of abandoned uploads on the real things: a bucket of S3, where parts and multipart uploads
// have to go too, and hosts that share a Redis.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type Coordinator, type StorageDriver, startPlugin } from 'koa-registry';
import { redis } from 'koa-registry/plugins/coordination/redis';
import { memory } from 'koa-registry/plugins/storage/memory';
import type { Logger } from '../../lib/contracts/index.js';
import { createServices } from '../../lib/services/index.js';
import { uploadDataKey, uploadStartedKey } from '../../lib/services/keys.js';
import { Leases } from '../../lib/services/leases.js';
import { UploadPurge } from '../../lib/services/upload-purge.js';
import { QUICK, withPlugins } from '../plugins/redis-fixture.js';
import { MIB, pluginOn, recordingLogger, withClient } from '../plugins/storage-s3-fixture.js';
import { content } from '../support/content.js';
import { RedisServer } from '../support/redis.js';
import { keysBelow } from '../support/registry.js';
import { suiteNeeding } from '../support/requires.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';
import { chunk, follow, pushBlob, REPOSITORY } from '../unit/services-fixture.js';

const DAY = 86_400_000;
const MARK = 'docker/registry/v2/_purge/uploads';

const nextWeek = () => Date.now() + 8 * DAY;

const { logger: log } = recordingLogger();

function servicesOn(storage: StorageDriver) {
  return createServices({ storage, log });
}

/** A host's purge, in a week. */
function purgeOn(storage: StorageDriver, coordinator: Coordinator, logger: Logger = log): UploadPurge {
  const leases = new Leases(coordinator, logger);
  const times = { age: 7 * DAY, interval: DAY, clock: nextWeek };
  return new UploadPurge({ storage, leases, log: logger, dryRun: false, ...times });
}

const alone: Coordinator = {
  acquire: async () => ({
    token: 1,
    signal: new AbortController().signal,
    confirm: async () => undefined,
    release: async () => undefined,
  }),
};

const onS3 = suiteNeeding('purge on S3', ['versitygw']);
let server: S3Server;
onS3.before(async () => {
  server = await startVersitygw();
});
onS3.after(() => server.stop());

onS3('nothing of abandoned uploads stays in the bucket: no part, no multipart upload', async () => {
  const rootDirectory = randomUUID();
  const { bucket: Bucket } = server;
  const first = await startPlugin(pluginOn(server, { rootDirectory }));
  const services = servicesOn(first.instance);
  await pushBlob(services, 'a blob');
  const kept = await keysBelow(first.instance);
  const begun = await services.uploads.start(REPOSITORY, 'sha256');
  const state = await services.uploads.append(follow(begun), chunk(content(6 * MIB)));
  await services.uploads.append(follow(state), chunk(content(MIB)));

  await withClient(server, async (client) => {
    // As distribution does: the content of a session is a multipart upload, and no object yet.
    const theirs = randomUUID();
    await first.instance.put(uploadStartedKey(REPOSITORY, theirs), Buffer.from('2024-02-29T12:00:00Z'));
    const Key = `${rootDirectory}/${uploadDataKey(REPOSITORY, theirs)}`;
    const { UploadId } = await client.createMultipartUpload({ Bucket, Key });
    await client.uploadPart({ Bucket, Key, UploadId, PartNumber: 1, Body: content(5 * MIB) });
    const { Contents = [] } = await client.listObjectsV2({ Bucket, Prefix: rootDirectory });
    assert.equal(Contents.filter((object) => object.Key?.includes(`${begun.uuid}/data!/`)).length, 2);
    await first.close();

    const second = await startPlugin(pluginOn(server, { rootDirectory }));
    const report = await purgeOn(second.instance, alone).run();
    assert.deepEqual({ ...report, bytes: 0 }, { seen: 2, purged: 2, failed: 0, bytes: 0, remnants: 1 });
    assert.ok((report?.bytes ?? 0) > 7 * MIB);
    await second.close();

    const objects = await client.listObjectsV2({ Bucket, Prefix: rootDirectory });
    const names = (objects.Contents ?? []).map((object) => object.Key?.slice(rootDirectory.length + 1));
    assert.deepEqual(names.sort(), [MARK, ...kept].sort());
    assert.deepEqual((await client.listMultipartUploads({ Bucket, Prefix: rootDirectory })).Uploads ?? [], []);
  });
});

onS3.run();

const onRedis = suiteNeeding('purge with Redis', ['redis-server']);

onRedis('of several hosts one purges; while Redis is away each for itself, and none more often', async () => {
  const shared = await RedisServer.start();
  const { instance: storage, close } = await startPlugin(memory());
  const { uploads } = servicesOn(storage);
  const begin = () => Promise.all(Array.from({ length: 40 }, () => uploads.start(REPOSITORY, 'sha256')));
  const plugin = redis({ ...QUICK, addr: shared.addr });
  try {
    await withPlugins([plugin, plugin, plugin], async (...hosts) => {
      const runAll = async () => {
        const runs = hosts.map(({ instance }) => purgeOn(storage, instance).run());
        return (await Promise.all(runs)).filter((report) => report !== undefined);
      };
      await begin();
      assert.deepEqual(
        (await runAll()).map(({ purged, failed }) => [purged, failed]),
        [[40, 0]],
      );
      assert.deepEqual(await keysBelow(storage), [MARK]);

      await begin();
      await shared.stop('SIGKILL');
      assert.deepEqual(await runAll(), [], 'the interval is not over');
      await storage.remove(MARK);
      const reports = await runAll();
      // Each for itself: what one has removed the others count no more.
      assert.equal(
        reports.reduce((sum, { purged }) => sum + purged, 0),
        40,
      );
      assert.deepEqual(await keysBelow(storage), [MARK]);
    });
  } finally {
    await shared.stop('SIGKILL').catch(() => undefined);
    await close();
  }
});

onRedis.run();
