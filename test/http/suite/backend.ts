// A storage backend that fails: an outage is 503 and never "not found", and a download that breaks
// does not look whole.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { DriverError, type DriverErrorReason, type StorageDriver } from 'koa-registry';
import { content, digestOf, pushBlob, pushImage } from '../../support/content.js';
import { answered, refused } from './answers.js';
import type { Suite } from './index.js';

const BINDABLE = ['get', 'put', 'stat', 'list', 'open', 'append', 'commit', 'remove'] as const;

/** A driver whose every call fails. */
function broken(error: unknown): StorageDriver {
  const fail = () => Promise.reject(error);
  const driver = Object.fromEntries(BINDABLE.map((name) => [name, fail]));
  return {
    ...(driver as unknown as StorageDriver),
    // biome-ignore lint/correctness/useYield: it fails before it could
    async *list() {
      throw error;
    },
  };
}

const BLOB = digestOf('{}');

const REQUESTS: readonly (readonly [method: string, path: string])[] = [
  ['GET', '/v2/_catalog'],
  ['GET', '/v2/r/manifests/latest'],
  ['GET', `/v2/r/manifests/${BLOB}`],
  ['GET', `/v2/r/blobs/${BLOB}`],
  ['GET', '/v2/r/tags/list'],
  ['GET', `/v2/r/referrers/${BLOB}`],
  ['POST', '/v2/r/blobs/uploads/'],
  ['POST', `/v2/r/blobs/uploads/?mount=${BLOB}&from=q`],
  ['GET', '/v2/r/blobs/uploads/00000000-0000-4000-8000-000000000000'],
  ['DELETE', `/v2/r/blobs/${BLOB}`],
  ['DELETE', '/v2/r/manifests/latest'],
];

export const backendSuite: Suite = (test, open) => {
  for (const reason of ['unavailable', 'quota'] satisfies DriverErrorReason[]) {
    test(`a backend that is ${reason} is 503 with Retry-After, and never "not found"`, async () => {
      const driver = broken(
        new DriverError(reason, 'secret/key', { cause: new Error('credentials of 12345 refused') }),
      );
      const at = await open({ driver });
      for (const [method, path] of REQUESTS) {
        const answer = await at.send(method, path);
        assert.equal(answer.status, 503, `${method} ${path}`);
        refused(answer, 503, 'UNAVAILABLE');
        assert.match(String(answer.headers['retry-after']), /^\d+$/);
        assert.ok(!/secret|12345/.test(answer.body.toString()));
      }
      answered(await at.send('GET', '/v2/'), 200);
    });
  }

  test('a failure that a driver did not name is an outage too', async () => {
    const at = await open({ driver: broken(Object.assign(new Error('ECONNRESET 12345'), { status: 404 })) });
    const answer = await at.send('GET', `/v2/r/blobs/${BLOB}`);
    refused(answer, 503, 'UNAVAILABLE');
    assert.ok(!answer.body.includes('12345'));
  });

  test('a registry that was closed is 503', async () => {
    const at = await open();
    await pushImage(at, 'r', 'latest');
    await at.registry.close();
    refused(await at.send('GET', '/v2/r/manifests/latest'), 503, 'UNAVAILABLE');
  });

  test('a download that breaks off is broken off, and not ended', async () => {
    const whole = await open();
    const digest = await pushBlob(whole, 'r', content(500_000));
    const { storage } = whole;
    const driver: StorageDriver = {
      ...storage,
      open: async () =>
        Readable.from(
          (function* () {
            yield content(100_000);
            throw new Error('the disk is gone');
          })(),
          { objectMode: false },
        ),
    };
    const at = await open({ driver });
    await assert.rejects(at.send('GET', `/v2/r/blobs/${digest}`));
    answered(await at.send('HEAD', `/v2/r/blobs/${digest}`), 200);
  });
};
