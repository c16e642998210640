// Stores that show writes late: each kind under one registry, and one store under two that share Redis.
// A short delay is waited for within the request.
import { lateStorageSuite } from 'koa-registry/conformance';
import { redis as redisCache } from 'koa-registry/plugins/cache/redis';
import { redis } from 'koa-registry/plugins/coordination/redis';
import { filesystem } from 'koa-registry/plugins/storage/filesystem';
import { gcs } from 'koa-registry/plugins/storage/gcs';
import { memory } from 'koa-registry/plugins/storage/memory';
import { suite } from 'uvu';
import { type GcsServer, startFakeGcs } from '../support/fake-gcs.js';
import { RedisServer } from '../support/redis.js';
import { suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { type S3Server, startVersitygw } from '../support/versitygw.js';
import { pluginOn } from './storage-s3-fixture.js';

const SHORT = 100;

const onMemory = suite('storage/memory, late');
lateStorageSuite(onMemory, () => memory(), {}, { delay: SHORT });
onMemory.run();

const onFiles = suite('storage/filesystem, late');
lateStorageSuite(onFiles, () => filesystem({ rootDirectory: tempFolder() }), {}, { delay: SHORT });
onFiles.run();

const onGcs = suiteNeeding('storage/gcs, late', ['fake-gcs-server']);
let gcsServer: GcsServer;
onGcs.before(async () => {
  gcsServer = await startFakeGcs();
});
onGcs.after(() => gcsServer.stop());
lateStorageSuite(onGcs, () => gcs({ bucket: gcsServer.bucket, apiEndpoint: gcsServer.url }), {}, { delay: SHORT });
onGcs.run();

const onS3 = suiteNeeding('storage/s3, late', ['versitygw']);
let s3Server: S3Server;
onS3.before(async () => {
  s3Server = await startVersitygw();
});
onS3.after(() => s3Server.stop());
lateStorageSuite(onS3, () => pluginOn(s3Server), {}, { delay: SHORT });
onS3.run();

const twoHosts = suiteNeeding('two hosts on one late store', ['redis-server']);
let shared: RedisServer;
twoHosts.before(async () => {
  shared = await RedisServer.start();
});
twoHosts.after(() => shared.stop());
lateStorageSuite(
  twoHosts,
  () => memory(),
  {},
  {
    delay: SHORT,
    shared: () => ({ coordination: redis({ addr: shared.addr }), cache: redisCache({ addr: shared.addr }) }),
  },
);
twoHosts.run();
