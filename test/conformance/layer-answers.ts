// The answers on the way to the bytes: what a redirect looks like, and who gets none.
import { strict as assert } from 'node:assert';
import { digestOf } from 'koa-registry';
import { assertNoFailure, assertRefused, LARGE, type LayerCase, MIDDLE, pushed } from './layer-case.js';
import { locationOf } from './layer-exchange.js';
import { assertUnseen } from './layer-log.js';
import { CREDENTIALS } from './layer-registry.js';

const METHODS = ['GET', 'HEAD'] as const;

/** What the client of the suite proves itself with, as it may stand in a URL or a header. */
const PROOFS = [CREDENTIALS, encodeURIComponent(CREDENTIALS), Buffer.from(CREDENTIALS, 'base64').toString()];

export const answerCases: readonly LayerCase[] = [
  [
    'redirect: is a 307 to an absolute URL without credentials and fragment, has no body, and is not to be kept',
    async (at) => {
      const { digest } = await pushed(at, LARGE);
      for (const method of METHODS) {
        const reply = await at.ask(digest, { method });
        assertNoFailure(at);
        if (locationOf(reply) === undefined) continue;
        assert.equal(reply.status, 307);
        assert.match(String(reply.headers.location), /^https?:\/\//);
        assert.equal(reply.body.length, 0, 'a redirect with a body');
        assert.equal(reply.headers['cache-control'], 'no-store');
      }
    },
  ],
  [
    'answer: names the digest of the blob, wherever the bytes are',
    async (at) => {
      const { digest } = await pushed(at, MIDDLE);
      for (const method of METHODS) {
        const { headers } = await at.ask(digest, { method });
        assert.equal(headers['docker-content-digest'], digest);
      }
    },
  ],
  [
    'answer: holds nothing of what the client proves itself with',
    async (at) => {
      const { digest } = await pushed(at, MIDDLE);
      for (const method of METHODS) {
        assertUnseen(PROOFS, (await at.ask(digest, { method })).headers, 'the head of an answer');
      }
    },
  ],
  [
    'authorisation: whoever has not said who it is is challenged, and sent nowhere',
    async (at) => {
      const { digest } = await pushed(at, MIDDLE);
      await at.ask(digest);
      const before = at.observation.asked.length;
      for (const method of METHODS) {
        const reply = await at.ask(digest, { method, known: false });
        assertRefused(reply, 401);
        assert.ok(reply.headers['www-authenticate'] !== undefined, '401 without WWW-Authenticate');
      }
      assert.equal(at.observation.asked.length, before, 'the handler was asked for somebody unknown');
    },
  ],
  [
    'missing: a blob that is not there is 404, and nobody is sent after it',
    async (at) => {
      await pushed(at, MIDDLE);
      for (const method of METHODS)
        assertRefused(await at.ask(digestOf(Buffer.from('nobody pushed this')), { method }), 404);
    },
  ],
  [
    'condition: a client that has the blob is told so',
    async (at) => {
      const { digest } = await pushed(at, MIDDLE);
      for (const method of METHODS) {
        const reply = await at.ask(digest, { method, headers: { 'If-None-Match': `"${digest}"` } });
        assertRefused(reply, 304);
      }
    },
  ],
];
