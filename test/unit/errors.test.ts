// Error classes and what they become on the wire.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import {
  Challenge,
  DriverError,
  type DriverErrorReason,
  ERRORS,
  errorEntry,
  isDriverError,
  OptionsError,
  RegistryError,
} from '../../lib/errors.js';
import { toRegistryError } from '../../lib/http/errors.js';

/** The statuses that clients have come to depend on. */
const STATUSES = {
  UNAUTHORIZED: 401,
  DENIED: 403,
  UNSUPPORTED: 405,
  TOOMANYREQUESTS: 429,
  RANGE_INVALID: 416,
  UNAVAILABLE: 503,
  UNKNOWN: 500,
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 404,
  MANIFEST_UNKNOWN: 404,
  NAME_UNKNOWN: 404,
  DIGEST_INVALID: 400,
  SIZE_INVALID: 400,
  NAME_INVALID: 400,
  TAG_INVALID: 400,
  MANIFEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 400,
  MANIFEST_UNVERIFIED: 400,
  PAGINATION_NUMBER_INVALID: 400,
};

const REASONS: readonly DriverErrorReason[] = [
  'not-found',
  'invalid-key',
  'invalid-offset',
  'offset-conflict',
  'unsupported',
  'unavailable',
  'quota',
];

test('every code has the status that clients know, and a message', () => {
  const actual = Object.fromEntries(Object.entries(ERRORS).map(([code, [status]]) => [code, status]));
  assert.deepEqual(actual, STATUSES);
  for (const [code, [status, message]] of Object.entries(ERRORS)) {
    assert.match(message, /^[a-z][\w ,]+$/, code);
    const error = new RegistryError(code as keyof typeof ERRORS);
    assert.deepEqual([error.status, error.message, error.code, error.name], [status, message, code, 'RegistryError']);
  }
});

test('an error answer holds code, message and detail, and those of what else is wrong', () => {
  assert.deepEqual(new RegistryError('DENIED').entries, [{ code: 'DENIED', message: ERRORS.DENIED[1] }]);
  const also = [errorEntry('MANIFEST_BLOB_UNKNOWN', { digest: 'b' }), errorEntry('NAME_INVALID')];
  const error = new RegistryError('MANIFEST_BLOB_UNKNOWN', { digest: 'a' }, { also });
  const [, message] = ERRORS.MANIFEST_BLOB_UNKNOWN;
  assert.deepEqual(JSON.parse(JSON.stringify(error.entries)), [
    { code: 'MANIFEST_BLOB_UNKNOWN', message, detail: { digest: 'a' } },
    { code: 'MANIFEST_BLOB_UNKNOWN', message, detail: { digest: 'b' } },
    { code: 'NAME_INVALID', message: ERRORS.NAME_INVALID[1] },
  ]);
});

test('an error may have a status and headers of its own, and a cause only where it was given one', () => {
  const cause = new Error('secret path');
  const error = new RegistryError('MANIFEST_INVALID', undefined, { status: 413, headers: { Range: '0-1' }, cause });
  assert.equal(error.status, 413);
  assert.deepEqual(error.headers, { Range: '0-1' });
  assert.equal(error.cause, cause);
  assert.equal(JSON.stringify(error.entries).includes('secret'), false);
  assert.equal('cause' in new RegistryError('DENIED'), false);
  assert.ok(error instanceof Error);
  assert.match(error.stack ?? '', /errors\.test/);
});

test('a challenge is a 401 with one value or several', () => {
  assert.deepEqual(new Challenge('Basic realm="x"').challenges, ['Basic realm="x"']);
  const challenge = new Challenge(['Bearer a', 'Basic b'], 'why');
  assert.deepEqual(challenge.challenges, ['Bearer a', 'Basic b']);
  assert.deepEqual([challenge.status, challenge.code, challenge.name], [401, 'UNAUTHORIZED', 'Challenge']);
  assert.ok(challenge instanceof RegistryError);
});

test('a driver error names its reason and key, in a form that a log can bear', () => {
  const cause = new Error('ECONNREFUSED');
  const error = new DriverError('unavailable', 'a/"b"\n', { cause });
  assert.equal(error.message, 'unavailable: "a/\\"b\\"\\n"');
  assert.deepEqual([error.reason, error.key, error.cause], ['unavailable', 'a/"b"\n', cause]);
  for (const reason of REASONS) {
    for (const other of REASONS) {
      assert.equal(isDriverError(new DriverError(reason, 'k'), other), reason === other);
    }
  }
  for (const other of [undefined, null, 'not-found', { reason: 'not-found' }, new Error('not-found')]) {
    assert.equal(isDriverError(other, 'not-found'), false);
  }
});

test('an options error lists every problem with its path', () => {
  const one = new OptionsError([{ path: 'storage', message: 'is missing' }]);
  assert.equal(one.message, 'invalid options: storage: is missing');
  const problems = [
    { path: 'a.b', message: 'is wrong' },
    { path: '', message: 'is no object' },
  ];
  const several = new OptionsError(problems);
  assert.equal(several.message, 'invalid options:\n  a.b: is wrong\n  is no object');
  assert.deepEqual(several.problems, problems);
});

test('a backend that is away or full is a 503; what nobody foresaw is a 500 that leaks nothing', () => {
  const known = new RegistryError('DENIED');
  assert.equal(toRegistryError(known), known);
  for (const reason of REASONS) {
    const away = reason === 'unavailable' || reason === 'quota';
    const error = toRegistryError(new DriverError(reason, 'secret/key'));
    assert.equal(error.code, away ? 'UNAVAILABLE' : 'UNKNOWN', reason);
    assert.equal(JSON.stringify(error.entries).includes('secret'), false);
  }
  for (const thrown of [new Error('secret'), new TypeError('secret'), 'secret', undefined, null, { code: 'DENIED' }]) {
    const error = toRegistryError(thrown);
    assert.deepEqual([error.code, error.status, error.cause], ['UNKNOWN', 500, thrown]);
    assert.equal(JSON.stringify(error.entries).includes('secret'), false);
  }
});

test.run();
