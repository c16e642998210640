// How many requests the registry makes to an object store for what its clients ask: each number stands
// here, so that one more shows, and so does one less.
import assert from 'node:assert/strict';
import { countRequests, type RequestCounts } from '../bench/store-requests.js';
import { gcsStore, type ObjectStore, s3Store } from '../bench/stores.js';
import { suiteNeeding } from '../support/requires.js';

/**
 * The blobs are of one part; each further one costs two requests more. Where an object is absent the emulator of
 * GCS leaves open whether the bucket is, which costs one that the service does not.
 */
const EXPECTED: Readonly<Record<ObjectStore['name'], RequestCounts>> = {
  'storage/gcs': {
    'blob push: POST, PATCH, PUT': 18,
    'blob push: POST, PUT': 14,
    'blob push: one POST': 10,
    'manifest push by tag (a config, a layer)': 8,
    'manifest GET by digest, cold': 2,
    'manifest GET by digest, warm': 0,
    'manifest GET by tag, warm': 1,
    'blob HEAD, cold': 2,
    'blob HEAD, warm': 0,
    'blob GET, warm': 1,
    'blob mount': 3,
    'blob DELETE': 2,
    'tag DELETE': 3,
    'manifest DELETE by digest': 4,
  },
  'storage/s3': {
    'blob push: POST, PATCH, PUT': 16,
    'blob push: POST, PUT': 13,
    'blob push: one POST': 10,
    'manifest push by tag (a config, a layer)': 8,
    'manifest GET by digest, cold': 2,
    'manifest GET by digest, warm': 0,
    'manifest GET by tag, warm': 1,
    'blob HEAD, cold': 2,
    'blob HEAD, warm': 0,
    'blob GET, warm': 1,
    'blob mount': 3,
    'blob DELETE': 2,
    'tag DELETE': 2,
    'manifest DELETE by digest': 4,
  },
};

for (const { name, program, start } of [gcsStore, s3Store]) {
  const test = suiteNeeding(`requests of ${name}`, [program]);

  test('are as many as they have to be, and none for what is known', async () => {
    const store = await start();
    try {
      assert.deepEqual(await countRequests(store.address), EXPECTED[name]);
    } finally {
      await store.stop();
    }
  });

  test.run();
}
