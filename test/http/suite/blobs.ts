// Reading blobs: what an answer says of them, conditions, and who has them.
import assert from 'node:assert/strict';
import { content, digestOf, NOWHERE, pushBlob } from '../../support/content.js';
import { answered, refused, sameBytes } from './answers.js';
import type { Suite } from './index.js';

/** Small blobs are answered from memory, large ones streamed. */
export const SIZES = { small: 1000, large: 400_000 } as const;

export const blobsSuite: Suite = (test, open) => {
  for (const [kind, size] of Object.entries(SIZES)) {
    test(`GET and HEAD of a ${kind} blob`, async () => {
      const at = await open();
      const digest = await pushBlob(at, 'r', content(size));
      for (const method of ['GET', 'HEAD', 'GET']) {
        const answer = answered(await at.send(method, `/v2/r/blobs/${digest}`), 200);
        const { headers } = answer;
        assert.equal(headers['content-length'], String(size));
        assert.equal(headers['content-type'], 'application/octet-stream');
        assert.equal(headers['docker-content-digest'], digest);
        assert.equal(headers.etag, `"${digest}"`);
        assert.equal(headers['cache-control'], 'max-age=31536000');
        assert.equal(headers['accept-ranges'], 'bytes');
        sameBytes(answer.body, method === 'GET' ? content(size) : Buffer.alloc(0));
      }
    });
  }

  test('If-None-Match that names the digest is 304, without a body', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', 'abc');
    for (const condition of [`"${digest}"`, `W/"${digest}"`, digest, `"x", "${digest}"`, `"x","${digest}"`, '*']) {
      for (const method of ['GET', 'HEAD']) {
        const headers = { 'If-None-Match': condition };
        const answer = answered(await at.send(method, `/v2/r/blobs/${digest}`, { headers }), 304);
        assert.equal(answer.body.length, 0);
        assert.equal(answer.headers.etag, `"${digest}"`);
        assert.equal(answer.headers['docker-content-digest'], digest);
      }
    }
  });

  test('If-None-Match that names something else is no condition', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', 'abc');
    for (const condition of ['"x"', `"${digest}x"`, '"', '""', ',,,,', 'W/', `"${NOWHERE}"`, 'x'.repeat(4000)]) {
      const headers = { 'If-None-Match': condition };
      assert.equal(answered(await at.send('GET', `/v2/r/blobs/${digest}`, { headers }), 200).body.toString(), 'abc');
    }
  });

  test('a condition does not make a blob be there', async () => {
    const at = await open();
    const answer = await at.send('GET', `/v2/r/blobs/${NOWHERE}`, { headers: { 'If-None-Match': '*' } });
    refused(answer, 404, 'BLOB_UNKNOWN');
  });

  test('a blob is readable only where it was pushed', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'a', 'secret');
    answered(await at.send('GET', `/v2/a/blobs/${digest}`), 200);
    for (const name of ['b', 'a/b', 'a-b']) {
      refused(await at.send('GET', `/v2/${name}/blobs/${digest}`), 404, 'BLOB_UNKNOWN');
      assert.equal((await at.send('HEAD', `/v2/${name}/blobs/${digest}`)).status, 404);
    }
  });

  test('a blob stays known by the digest that the client named', async () => {
    const at = await open();
    const digest = digestOf('abc', 'sha512');
    answered(await at.send('POST', `/v2/r/blobs/uploads/?digest=${digest}`, { body: 'abc' }), 201);
    const answer = answered(await at.send('GET', `/v2/r/blobs/${digest}`), 200);
    assert.equal(answer.headers['docker-content-digest'], digest);
    refused(await at.send('GET', `/v2/r/blobs/${digestOf('abc')}`), 404, 'BLOB_UNKNOWN');
  });

  test('a digest whose colon is escaped is the same digest', async () => {
    const at = await open();
    const digest = await pushBlob(at, 'r', 'abc');
    answered(await at.send('GET', `/v2/r/blobs/${digest.replace(':', '%3A')}`), 200);
  });

  test('a repository of 255 characters, and one that is named like a path of the API', async () => {
    const at = await open();
    const long = ['a'.repeat(127), 'b'.repeat(127)].join('/');
    for (const name of [long, 'a/blobs/uploads', 'tags/list', 'x/manifests/y', 'v2', 'a__b-c.d--e/0']) {
      const digest = await pushBlob(at, name, 'abc');
      answered(await at.send('GET', `/v2/${name}/blobs/${digest}`), 200);
    }
  });
};
