// Callers who have not said who they are, or not so that it could be believed.
import { strict as assert } from 'node:assert';
import { type AuthCase, answered, challenged, changesNothing, nameOf } from './auth-case.js';
import { BASE, everyKind, ONE, OTHER, type RightfulRequest, wanted } from './auth-content.js';
import { MALFORMED } from './auth-malformed.js';
import type { GuardedRegistry } from './auth-registry.js';
import type { RequestHeaders } from './auth-setup.js';

/** What clients send that were configured with neither a name nor a password. */
const EMPTY_BASIC = { Authorization: 'Basic Og==' };

/** Sends every kind of request, and asserts that what anonymous callers may do is done, and nothing else. */
async function asAnonymous(at: GuardedRegistry, headers: RequestHeaders): Promise<void> {
  const refused = (request: RightfulRequest) => request.right !== 'pull' || at.setup.anonymous !== 'pull';
  await changesNothing(at, async () => {
    for (const request of everyKind(ONE)) {
      const answer = await at.send(headers, request);
      if (refused(request)) challenged(answer, nameOf(request));
      else answered(answer, 200, nameOf(request));
    }
    for (const request of everyKind(OTHER)) challenged(await at.send(headers, request), nameOf(request));
  });
}

/** One request of each sort that handlers may tell apart: it must not matter which it is. */
const SORTS = [BASE, wanted('pull', 'GET', ONE, 'manifests/latest'), wanted('push', 'POST', ONE, 'blobs/uploads/')];

export const refusedCases: readonly AuthCase[] = [
  [
    'anonymous: GET /v2/ is challenged, so that clients find out how to log in',
    async (at) => {
      challenged(await at.send({}, BASE), 'GET /v2/');
      challenged(await at.send({}, { ...BASE, method: 'HEAD' }), 'HEAD /v2/');
    },
  ],
  [
    'anonymous: every kind of request is challenged but those that anybody may make, and none changes anything',
    (at) => asAnonymous(at, {}),
  ],
  [
    'anonymous: a Bearer challenge names every scope that the request needs',
    async (at) => {
      for (const request of everyKind(OTHER)) {
        const challenges = challenged(await at.send({}, request), nameOf(request));
        const needed = request.scopes.split(' ')[0];
        for (const { scheme, parameters } of challenges) {
          if (scheme === 'bearer') assert.equal(parameters.scope?.split(' ')[0], needed, nameOf(request));
        }
      }
    },
  ],
  [
    'anonymous: empty Basic credentials are those of nobody',
    async (at) => {
      await asAnonymous(at, EMPTY_BASIC);
      const [bare, empty] = [await at.send({}, BASE), await at.send(EMPTY_BASIC, BASE)];
      assert.equal(empty.status, bare.status);
      assert.equal(empty.headers['www-authenticate'], bare.headers['www-authenticate']);
    },
  ],
  [
    'wrong credentials: 401 with a challenge on every kind of request, also where anybody may pull',
    async (at) => {
      for (const [problem, headers] of Object.entries(at.setup.callers.wrong)) {
        await changesNothing(at, async () => {
          for (const request of [BASE, ...everyKind(ONE)]) {
            challenged(await at.send(headers, request), `${problem}: ${nameOf(request)}`);
          }
        });
      }
    },
  ],
  [
    'wrong credentials: whoever has the right ones is not shut out by them',
    async (at) => {
      const { wrong, writer } = at.setup.callers;
      for (const [problem, headers] of Object.entries(wrong)) {
        challenged(await at.send(headers, BASE), problem);
        answered(await at.as(writer, BASE), 200, `after ${problem}`);
        challenged(await at.send(headers, BASE), `${problem} after the right ones`);
      }
    },
  ],
  [
    'malformed credentials: 401 with a challenge, never a fault and never a grant',
    async (at) => {
      await changesNothing(at, async () => {
        for (const [problem, header] of Object.entries(MALFORMED)) {
          for (const request of SORTS) {
            challenged(await at.send({ Authorization: header }, request), `${problem}: ${nameOf(request)}`);
          }
        }
      });
      assert.deepEqual(at.errors, []);
    },
  ],
];
