// Layers that are elsewhere: at URLs that their manifest names, or at a site that the options name. What is pushed is
// the manifest only; the registry sends clients there, and itself asks nobody for anything.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type AuthHandler, Challenge, definePlugin } from 'koa-registry';
import { z } from 'zod';
import {
  content,
  describe,
  digestOf,
  image,
  OCI_LAYER,
  pushBlob,
  pushManifest,
  putManifest,
} from '../../support/content.js';
import type { OpenRegistry } from '../../support/registry.js';
import { answered, empty, refused } from './answers.js';
import type { Suite } from './index.js';

const FOREIGN = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
const LAYER = content(1000, 7);
const DIGEST = digestOf(LAYER);
const URLS = ['https://cdn.example/a?b=c%2Fd', 'https://other.example/a'];
const BLOB = `/v2/r/blobs/${DIGEST}`;

const challenging = definePlugin({
  kind: 'auth',
  name: 'challenging',
  options: z.strictObject({}),
  create: (): AuthHandler => ({
    authorize: () => {
      throw new Challenge('Basic realm="x"');
    },
  }),
});

/** An image whose only layer is elsewhere. */
function foreignImage(urls: readonly string[] = URLS, mediaType = FOREIGN): string {
  return image([], { layers: [describe(mediaType, LAYER, { urls })] });
}

async function pushForeign(at: OpenRegistry, json = foreignImage(), reference?: string): Promise<string> {
  await pushBlob(at, 'r', '{}');
  return pushManifest(at, 'r', json, reference);
}

export const foreignSuite: Suite = (test, open) => {
  test('a manifest with urls is pushed without its layer, and pulled byte for byte', async () => {
    const at = await open();
    for (const mediaType of [FOREIGN, OCI_LAYER]) {
      const json = foreignImage(URLS, mediaType);
      const digest = await pushForeign(at, json, 'latest');
      assert.equal(answered(await at.send('GET', `/v2/r/manifests/${digest}`), 200).body.toString(), json);
      assert.equal(answered(await at.send('GET', '/v2/r/manifests/latest'), 200).body.toString(), json);
    }
    assert.ok(!(await at.keys()).some((key) => key.includes(`blobs/sha256/${DIGEST.slice(7, 9)}/${DIGEST.slice(7)}`)));
  });

  test('whoever asks for such a layer is sent to its first URL', async () => {
    const at = await open();
    await pushForeign(at);
    const answer = empty(await at.send('GET', BLOB), 307);
    assert.equal(answer.headers.location, URLS[0]);
    assert.equal(answer.headers['docker-content-digest'], DIGEST);
    assert.equal(answer.headers['cache-control'], 'no-store');
  });

  test('HEAD says that the layer is not here, so that a client that has to push it does', async () => {
    const at = await open();
    await pushForeign(at);
    answered(await at.send('HEAD', BLOB), 404);
    const json = image([LAYER]);
    refused(await putManifest(at, 'r', 'x', json), 400, 'MANIFEST_BLOB_UNKNOWN');
    await pushBlob(at, 'r', LAYER);
    await pushManifest(at, 'r', json);
  });

  test('a config is always demanded', async () => {
    const at = await open({ federation: [{ repositories: ['vendor'], url: 'https://vendor.example/{digest}' }] });
    refused(await putManifest(at, 'vendor', 'x', image([])), 400, 'MANIFEST_BLOB_UNKNOWN');
    const config = describe(OCI_LAYER, '{}', { urls: URLS });
    refused(await putManifest(at, 'r', 'x', image([], { config })), 400, 'MANIFEST_BLOB_UNKNOWN');
  });

  test('the first URL that is still allowed is found among many manifests', async () => {
    const at = await open();
    for (let count = 0; count < 20; count++) await pushForeign(at, foreignImage([`https://gone.example/${count}`]));
    await pushForeign(at, foreignImage(['https://cdn.example/a']));
    const later = await open({ driver: at.storage, validation: { manifests: { urls: { deny: ['gone'] } } } });
    assert.equal(answered(await later.send('GET', BLOB), 307).headers.location, 'https://cdn.example/a');
  });

  test('a layer has so many URLs and no more', async () => {
    const at = await open();
    const many = Array.from({ length: 17 }, (_, index) => `https://cdn.example/${index}`);
    await pushForeign(at, foreignImage(many.slice(1)));
    refused(await putManifest(at, 'r', 'x', foreignImage(many)), 400, 'MANIFEST_INVALID');
  });

  test('only in a repository whose manifest says so', async () => {
    const at = await open();
    await pushForeign(at);
    refused(await at.send('GET', `/v2/other/blobs/${DIGEST}`), 404, 'BLOB_UNKNOWN');
    refused(await at.send('GET', `/v2/r/blobs/${digestOf('another')}`), 404, 'BLOB_UNKNOWN');
  });

  test('a foreign layer without urls may be absent, and nobody knows where it is', async () => {
    const at = await open();
    await pushForeign(at, foreignImage([]));
    await pushForeign(at, image([], { layers: [describe(FOREIGN, LAYER)] }));
    refused(await at.send('GET', BLOB), 404, 'BLOB_UNKNOWN');
    const json = image([], { layers: [describe(OCI_LAYER, LAYER, { urls: [] })] });
    refused(await putManifest(at, 'r', 'x', json), 400, 'MANIFEST_BLOB_UNKNOWN');
  });

  test('a layer that is here is served from here', async () => {
    const at = await open();
    await pushForeign(at);
    await pushBlob(at, 'r', LAYER);
    assert.ok(answered(await at.send('GET', BLOB), 200).body.equals(LAYER));
    empty(await at.send('DELETE', BLOB), 202);
    answered(await at.send('GET', BLOB), 307);
  });

  test('once its manifest is deleted nobody says where the layer is, unless another does', async () => {
    const at = await open();
    const first = await pushForeign(at);
    const second = await pushForeign(at, foreignImage([...URLS].reverse()));
    empty(await at.send('DELETE', `/v2/r/manifests/${first}`), 202);
    assert.equal(answered(await at.send('GET', BLOB), 307).headers.location, URLS[1]);
    empty(await at.send('DELETE', `/v2/r/manifests/${second}`), 202);
    refused(await at.send('GET', BLOB), 404, 'BLOB_UNKNOWN');
    assert.deepEqual(
      (await at.keys()).filter((key) => key.includes('_foreign')),
      [],
    );
  });

  test('URLs that lead somewhere a client must not go are refused, all of them by name', async () => {
    const at = await open();
    await pushBlob(at, 'r', '{}');
    const bad = [
      'file:///etc/passwd',
      'ftp://cdn.example/a',
      'https://user:secret@cdn.example/a',
      'http://169.254.169.254/latest/meta-data/',
      'http://[::1]:5000/v2/',
      'http://2130706433/',
      'http://localhost/',
      'https://cdn.example/a\r\nX: y',
      '//cdn.example/a',
      '',
    ];
    for (const url of bad) {
      const errors = refused(await putManifest(at, 'r', 'x', foreignImage([url])), 400, 'MANIFEST_INVALID');
      assert.equal((errors[0]?.detail as { digest: string } | undefined)?.digest, DIGEST);
    }
    const all = refused(
      await putManifest(at, 'r', 'x', foreignImage([URLS[0] ?? '', ...bad])),
      400,
      'MANIFEST_INVALID',
    );
    assert.equal(all.length, bad.length);
    assert.match((all[1]?.detail as { problem: string } | undefined)?.problem ?? '', /^urls\[2\] must be/);
    const config = { ...describe(OCI_LAYER, '{}'), urls: ['http://10.0.0.7/'] };
    refused(await putManifest(at, 'r', 'x', image([], { config })), 400, 'MANIFEST_INVALID');
    refused(await at.send('GET', '/v2/r/manifests/x'), 404, 'MANIFEST_UNKNOWN');
    refused(await at.send('GET', BLOB), 404, 'BLOB_UNKNOWN');
  });

  test('validation.manifests.urls says which are allowed, at the push and when the client is sent there', async () => {
    const at = await open({ validation: { manifests: { urls: { deny: ['^https://cdn\\.example/'] } } } });
    await pushBlob(at, 'r', '{}');
    refused(await putManifest(at, 'r', 'x', foreignImage()), 400, 'MANIFEST_INVALID');
    const strict = await open({ validation: { manifests: { urls: { allow: [/^https:\/\/vendor\.example\//] } } } });
    await pushBlob(strict, 'r', '{}');
    refused(await putManifest(strict, 'r', 'x', foreignImage()), 400, 'MANIFEST_INVALID');
    await pushForeign(strict, foreignImage(['https://vendor.example/a']));

    const lenient = await open();
    await pushForeign(lenient);
    const later = (urls: object) => open({ driver: lenient.storage, validation: { manifests: { urls } } });
    const withoutFirst = await later({ deny: ['cdn'] });
    assert.equal(answered(await withoutFirst.send('GET', BLOB), 307).headers.location, URLS[1]);
    const withoutAny = await later({ allow: [] });
    refused(await withoutAny.send('GET', BLOB), 404, 'BLOB_UNKNOWN');
  });

  test('nobody is sent anywhere before it is known who asks', async () => {
    const pushed = await open();
    await pushForeign(pushed);
    const at = await open({ driver: pushed.storage, auth: challenging() });
    const answer = await at.send('GET', BLOB);
    refused(answer, 401, 'UNAUTHORIZED');
    assert.equal(answer.headers.location, undefined);
  });

  test('the registry itself asks no URL for anything', async () => {
    const seen: string[] = [];
    const trap = createServer((request, response) => {
      seen.push(request.url ?? '');
      response.end();
    }).listen(0, '127.0.0.1');
    await once(trap, 'listening');
    try {
      const origin = `http://127.0.0.1:${(trap.address() as AddressInfo).port}`;
      const allow = [new RegExp(`^${origin}/`)];
      const internalHosts = ['127.0.0.1'];
      const federation = [{ mediaTypes: ['application/vnd.mine'], url: `${origin}/{digest}` }];
      const at = await open({ validation: { manifests: { urls: { allow, internalHosts } } }, federation });
      await pushForeign(at, foreignImage([`${origin}/a`]), 'latest');
      await pushForeign(at, foreignImage([], 'application/vnd.mine'));
      answered(await at.send('GET', '/v2/r/manifests/latest'), 200);
      answered(await at.send('GET', BLOB), 307);
      assert.deepEqual(seen, []);
    } finally {
      trap.close();
      trap.closeAllConnections();
    }
  });

  test('federation: layers of a repository are at another site, whatever their manifest says', async () => {
    const federation = [{ repositories: ['vendor/**'], url: 'https://vendor.example/v2/{repository}/blobs/{digest}' }];
    const at = await open({ federation });
    const json = image([LAYER]);
    refused(await putManifest(at, 'r', 'x', json), 400, 'MANIFEST_BLOB_UNKNOWN');
    await pushBlob(at, 'vendor/base', '{}');
    answered(await putManifest(at, 'vendor/base', 'latest', json), 201);
    const answer = empty(await at.send('GET', `/v2/vendor/base/blobs/${DIGEST}`), 307);
    assert.equal(answer.headers.location, `https://vendor.example/v2/vendor/base/blobs/${DIGEST}`);
    refused(await at.send('GET', `/v2/vendor/base/blobs/${digestOf('another')}`), 404, 'BLOB_UNKNOWN');
    await pushManifest(at, 'vendor/base', foreignImage());
    assert.match(
      answered(await at.send('GET', `/v2/vendor/base/blobs/${DIGEST}`), 307).headers.location ?? '',
      /vendor/,
    );
    await pushBlob(at, 'vendor/base', LAYER);
    assert.ok(answered(await at.send('GET', `/v2/vendor/base/blobs/${DIGEST}`), 200).body.equals(LAYER));
  });

  test('federation: layers of a media type are at another site, before the URLs of the manifest', async () => {
    const federation = [{ mediaTypes: [FOREIGN], url: 'https://mirror.example/blobs/{key}' }];
    const at = await open({ federation });
    await pushForeign(at);
    const hex = DIGEST.slice(7);
    const key = `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
    assert.equal(answered(await at.send('GET', BLOB), 307).headers.location, `https://mirror.example/blobs/${key}`);
  });
};
