// How a handler conducts itself among others: many callers at once, the log, its life.
import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import { parseCredentials } from 'koa-registry';
import { type AuthCase, answered, challenged, nameOf } from './auth-case.js';
import { BASE, everyKind, ONE, pushBlob, wanted } from './auth-content.js';
import { MALFORMED, NOBODY } from './auth-malformed.js';
import { type Answer, GuardedRegistry } from './auth-registry.js';
import type { AuthCaller } from './auth-setup.js';

/** Nobody has it: whoever may pull is told so, and the log says who asked. */
const MISSING = wanted('pull', 'GET', ONE, 'manifests/missing');

const ROUNDS = 15;

/** The actors that the log names for a request; more than one is one too many. */
function actorsOf(at: GuardedRegistry, answer: Answer): unknown[] {
  const named = at.linesOf(answer).map(({ fields }) => fields.actor);
  return [...new Set(named.filter((actor) => actor !== undefined))];
}

/** Asserts that an answer is its caller's own, and the log's lines of it too. */
function isOwn(at: GuardedRegistry, answer: Answer, caller: AuthCaller, mayPull: boolean): void {
  if (mayPull) {
    answered(answer, 404, caller.actor);
    assert.deepEqual(actorsOf(at, answer), [caller.actor]);
    return;
  }
  assert.ok([401, 403].includes(answer.status), `${caller.actor}: ${answer.status}`);
  const [actor = caller.actor, ...more] = actorsOf(at, answer);
  assert.deepEqual([actor, ...more], [caller.actor]);
}

/** Shorter, and nobody can tell whether it is the secret or a word that happens to be the same. */
const DISTINCTIVE_LENGTH = 12;

/** All that was sent as proof, and the parts of a token. */
function proofsOf(at: GuardedRegistry): string[] {
  const proofs = [...at.sent].flatMap((header) => {
    const credentials = parseCredentials(header);
    const value = header.slice(header.indexOf(' ') + 1);
    return [value, ...(credentials?.scheme === 'basic' ? [credentials.password] : value.split('.'))];
  });
  return proofs.filter((proof) => proof.length >= DISTINCTIVE_LENGTH);
}

/** Everything that must never be seen. */
function secretsOf(at: GuardedRegistry): Set<string> {
  return new Set([...(at.setup.secrets ?? []), NOBODY.name, NOBODY.password, ...proofsOf(at)]);
}

function assertUnseen(secrets: ReadonlySet<string>, seen: unknown, where: string): void {
  const options = { depth: Infinity, maxArrayLength: Infinity, maxStringLength: Infinity, breakLength: Infinity };
  const text = typeof seen === 'string' ? seen : inspect(seen, options);
  for (const secret of secrets) assert.ok(!text.includes(secret), `${where} holds something of a credential`);
}

export const conductCases: readonly AuthCase[] = [
  [
    'log: names the actor of a request',
    async (at) => {
      const { writer } = at.setup.callers;
      const answer = answered(await at.as(writer, MISSING), 404, nameOf(MISSING));
      assert.deepEqual(actorsOf(at, answer), [writer.actor]);
      const refusal = at.linesOf(answer).find(({ message }) => message === 'request refused');
      assert.equal(refusal?.fields.actor, writer.actor);
    },
  ],
  [
    'log: holds nothing of a credential, nor do answers',
    async (at) => {
      const { writer, reader, stranger, wrong } = at.setup.callers;
      for (const caller of [writer, reader, stranger]) {
        if (caller === undefined) continue;
        for (const request of [BASE, MISSING, ...everyKind(ONE)]) await at.as(caller, request);
      }
      for (const headers of Object.values(wrong)) await at.send(headers, MISSING);
      for (const Authorization of Object.values(MALFORMED)) await at.send({ Authorization }, MISSING);
      await at.close();
      const secrets = secretsOf(at);
      assertUnseen(secrets, at.log, 'the log');
      assertUnseen(secrets, at.errors, 'an error of the application');
      for (const { body, headers } of at.answers) {
        assertUnseen(secrets, body, 'an answer');
        assertUnseen(secrets, headers, 'the head of an answer');
      }
    },
  ],
  [
    'at once: each of many requests is its own caller’s',
    async (at) => {
      const { writer, reader, stranger, wrong } = at.setup.callers;
      const rounds = Array.from({ length: ROUNDS }, async () => {
        const known = [
          [writer, true],
          [reader, true],
          [stranger, at.setup.anonymous === 'pull'],
        ] as const;
        await Promise.all([
          ...known.map(async ([caller, mayPull]) => {
            if (caller !== undefined) isOwn(at, await at.as(caller, MISSING), caller, mayPull);
          }),
          ...Object.entries(wrong).map(async ([problem, headers]) => {
            const answer = await at.send(headers, MISSING);
            challenged(answer, problem);
            assert.deepEqual(actorsOf(at, answer), []);
          }),
          at.send({}, MISSING).then((answer) => assert.deepEqual(actorsOf(at, answer), [])),
        ]);
      });
      await Promise.all(rounds);
    },
  ],
  [
    'at once: callers who go away before they are answered harm nobody',
    async (at) => {
      const { writer } = at.setup.callers;
      const leaving = Array.from({ length: ROUNDS }, (_, turns) => at.abandon(writer, MISSING, turns));
      const staying = Array.from({ length: ROUNDS }, async () => answered(await at.as(writer, BASE), 200, 'who stays'));
      await Promise.all([...leaving, ...staying]);
      answered(await at.as(writer, pushBlob(ONE, Buffer.from('afterwards'))), 201, 'who comes after them');
      await at.close();
      assert.deepEqual(at.errors, []);
      assert.deepEqual(
        at.log.filter(({ level }) => level === 'error'),
        [],
      );
    },
  ],
  [
    'health: is well while what it depends on is',
    async (at) => {
      await at.registry.ready();
      const { ok, checks } = await at.registry.health();
      assert.ok(ok, inspect(checks));
    },
  ],
  [
    'close: a closed registry has closed its handler, once, without complaint, and answers nobody',
    async (at) => {
      const { writer } = at.setup.callers;
      answered(await at.as(writer, BASE), 200, nameOf(BASE));
      await at.registry.close();
      await at.registry.close();
      assert.equal(at.observation.closed, 1);
      assert.equal(at.observation.signal?.aborted, true);
      const complaints = at.log.filter(({ message }) => message === 'plugin failed to close');
      assert.deepEqual(complaints, []);
      answered(await at.as(writer, BASE), 503, 'a closed registry');
    },
  ],
  [
    'close: two registries with the same plugin have a handler each, and one outlives the other',
    async (at) => {
      const { writer, wrong } = at.setup.callers;
      const second = await GuardedRegistry.open(at.setup);
      try {
        for (const registry of [at, second]) answered(await registry.as(writer, BASE), 200, nameOf(BASE));
        assert.notEqual(at.observation.handlers[0], second.observation.handlers[0], 'the two share a handler');
        await second.close();
        answered(await at.as(writer, MISSING), 404, 'the one that goes on');
        for (const [problem, headers] of Object.entries(wrong)) challenged(await at.send(headers, BASE), problem);
      } finally {
        await second.close();
      }
    },
  ],
];
