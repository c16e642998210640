// What the tests of the wire say of answers again and again.
import assert from 'node:assert/strict';
import type { Answer } from '../../support/http-client.js';

interface ErrorEntry {
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
}

export function json<T = unknown>(answer: Answer): T {
  return JSON.parse(answer.body.toString('utf8')) as T;
}

/** Asserts a status, and shows what was answered instead. */
export function answered(answer: Answer, status: number): Answer {
  assert.equal(answer.status, status, `${answer.status} ${answer.body.toString('utf8').slice(0, 500)}`);
  assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
  assert.match(String(answer.headers['x-request-id']), /^[\w.:-]+$/);
  return answer;
}

/** Asserts an error answer: status, code, and the envelope whole; answers the errors. */
export function refused(answer: Answer, status: number, code: string): readonly ErrorEntry[] {
  answered(answer, status);
  assert.equal(answer.headers['content-type'], 'application/json');
  const { errors, ...others } = json<{ errors: ErrorEntry[] }>(answer);
  assert.deepEqual(others, {});
  assert.equal(errors[0]?.code, code);
  for (const entry of errors) {
    assert.match(entry.code, /^[A-Z_]+$/);
    assert.equal(typeof entry.message, 'string');
  }
  return errors;
}

/** Asserts an answer without a body, which says so. */
export function empty(answer: Answer, status: number): Answer {
  answered(answer, status);
  assert.equal(answer.body.length, 0);
  assert.equal(answer.headers['content-length'], status === 204 ? undefined : '0');
  assert.equal(answer.headers['content-type'], undefined);
  return answer;
}

/** Asserts equality without printing a million bytes. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(actual.byteLength, expected.byteLength, 'the length differs');
  assert.ok(Buffer.compare(actual, expected) === 0, 'the content differs');
}

/** A URL with a further parameter in its query. */
export function withQuery(url: string, query: Readonly<Record<string, string>>): string {
  return `${url}${url.includes('?') ? '&' : '?'}${new URLSearchParams(query)}`;
}

/** The methods of an `Allow` header, in order of the alphabet. */
export function allowed(answer: Answer): string {
  return (answer.headers.allow ?? '').split(', ').sort().join(' ');
}
