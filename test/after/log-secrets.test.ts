// Nothing of a credential is in what all registries of the whole run have logged. Runs after all other
// test files (see `test/support/run-tests.ts`).
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import { basic, bearer, password } from '../support/credentials.js';
import { LOG_FOLDER } from '../support/log-journal.js';

/** Part of every password of every test. */
const CANARY = password('');

/** How a text looks in base64, wherever it begins within a group of three bytes. */
function inBase64(text: string): string[] {
  return [0, 1, 2].map((offset) => {
    const whole = Buffer.from('x'.repeat(offset) + text).toString('base64');
    // Without the characters that depend on what is before and after.
    return whole.slice(offset === 0 ? 0 : offset + 1, -4).replace(/=+$/, '');
  });
}

/** What no log may have in it. */
const SECRETS: readonly (readonly [what: string, found: RegExp])[] = [
  ['a password', new RegExp(CANARY)],
  ['a password in base64', new RegExp(inBase64(CANARY).join('|'))],
  ['a signed token', /\beyJ[\w-]{8,}\.eyJ[\w-]+/],
  ['an Authorization header', /\b(?:Basic|Bearer) +[\w+/~.-]{16,}/i],
  ['a bcrypt hash', /\$2[aby]\$\d\d\$/],
  ['a private key', /PRIVATE KEY|"d":"/],
];

function secretsIn(line: string): string[] {
  return SECRETS.filter(([, found]) => found.test(line)).map(([what]) => what);
}

async function logLines(): Promise<string[]> {
  const folder = process.env[LOG_FOLDER] ?? assert.fail('this test looks at what a whole run has logged: npm test');
  const files = await readdir(folder);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return texts.flatMap((text) => text.split('\n'));
}

test('every kind of secret would be found', () => {
  const token = bearer('eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl').Authorization;
  assert.deepEqual(secretsIn(`the password is ${password('alice')}`), ['a password']);
  assert.deepEqual(secretsIn(basic('alice', password('alice')).Authorization), [
    'a password in base64',
    'an Authorization header',
  ]);
  for (const user of ['a', 'al', 'ali']) assert.ok(secretsIn(btoa(`${user}:${password('x')}`)).length > 0, user);
  assert.deepEqual(secretsIn(token), ['a signed token', 'an Authorization header']);
  assert.deepEqual(secretsIn('alice:$2y$10$abc'), ['a bcrypt hash']);
  assert.deepEqual(secretsIn('{"level":30,"msg":"login failed"}'), []);
});

test('no registry has logged anything of a credential', async () => {
  const lines = await logLines();
  const found = lines.flatMap((line) => secretsIn(line).map((what) => `${what}: ${line}`));
  assert.deepEqual(found.slice(0, 10), []);
  assert.ok(lines.length > 1, 'nobody has logged anything');
  // A part of the tests alone need not log in; the whole of them does, wrongly and rightly.
  if (process.env.CI === 'true') {
    for (const said of ['login failed', '"actor":"', 'request refused']) {
      assert.ok(
        lines.some((line) => line.includes(said)),
        `nobody has logged ${said}`,
      );
    }
  }
});

test.run();
