// What the tests of the auth suite have in common: their form, and what a refusal has to look like.
import { strict as assert } from 'node:assert';
import type { Wanted } from './auth-content.js';
import type { Answer, GuardedRegistry } from './auth-registry.js';

/** One promise, and the test that fails where it is broken. */
export type AuthCase = readonly [promise: string, body: (at: GuardedRegistry) => Promise<void>];

/** One challenge of `WWW-Authenticate`. */
export interface ParsedChallenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const TOKEN = "[!#$%&'*+.^_`|~\\w-]+";
const PARAMETER = `${TOKEN}="(?:[^"\\\\]|\\\\.)*"`;
const CHALLENGE = new RegExp(`^(${TOKEN})(?: +(${PARAMETER}(?: *, *${PARAMETER})*))? *(?:, *|$)`);
const PARAMETERS = new RegExp(`(${TOKEN})="((?:[^"\\\\]|\\\\.)*)"`, 'g');

/**
 * Reads `WWW-Authenticate` (RFC 9110, section 11.6.1). Stricter than that: clients of registries know
 * only parameters that are quoted.
 */
export function parseChallenges(header: string): ParsedChallenge[] {
  assert.match(header, /^[\x20-\x7e]+$/, 'WWW-Authenticate is not printable ASCII');
  const challenges: ParsedChallenge[] = [];
  for (let rest = header; rest !== ''; ) {
    const [whole, scheme = '', parameters = ''] = CHALLENGE.exec(rest) ?? assert.fail(`not a challenge: ${rest}`);
    const pairs = [...parameters.matchAll(PARAMETERS)].map(([, name = '', value = '']) => [name, unquoted(value)]);
    challenges.push({ scheme: scheme.toLowerCase(), parameters: Object.fromEntries(pairs) });
    rest = rest.slice(whole.length);
  }
  return challenges;
}

function unquoted(text: string): string {
  return text.replace(/\\(.)/g, '$1');
}

/** Names a request in a message, without what it carried. */
export function nameOf({ method, path }: Wanted): string {
  return `${method} ${path}`;
}

/** The code of an error answer; that of HEAD has none. */
function codeOf({ body }: Answer): string | undefined {
  if (body === '') return undefined;
  const { errors } = JSON.parse(body) as { errors: { code: string }[] };
  return errors[0]?.code;
}

/** Asserts that an answer is 401 with well-formed challenges, and answers those. */
export function challenged(answer: Answer, what: string): ParsedChallenge[] {
  assert.equal(answer.status, 401, `${what}: ${answer.status} where a challenge is due`);
  assert.ok([undefined, 'UNAUTHORIZED'].includes(codeOf(answer)), `${what}: ${codeOf(answer)}`);
  const header = answer.headers['www-authenticate'] ?? assert.fail(`${what}: 401 without WWW-Authenticate`);
  const challenges = parseChallenges(header);
  for (const { scheme, parameters } of challenges) {
    assert.ok(scheme === 'negotiate' || parameters.realm !== undefined, `${what}: ${scheme} without a realm`);
    if (scheme === 'bearer') assertBearer(parameters, what);
  }
  return challenges;
}

/** A client has to find the token server by it. */
function assertBearer({ realm = '', service }: ParsedChallenge['parameters'], what: string): void {
  assert.match(realm, /^https?:\/\//, `${what}: the realm of a Bearer challenge is the URL of a token server`);
  assert.ok(service !== undefined, `${what}: a Bearer challenge without a service`);
}

/** Asserts that a caller who is known is refused: 403, or 401 that asks for a token that allows more. */
export function denied(answer: Answer, what: string): void {
  if (answer.status === 403) {
    assert.ok([undefined, 'DENIED'].includes(codeOf(answer)), `${what}: ${codeOf(answer)}`);
    return;
  }
  assert.equal(answer.status, 401, `${what}: ${answer.status} where the caller may not`);
  const asksForMore = challenged(answer, what).some(({ parameters }) => parameters.error === 'insufficient_scope');
  assert.ok(asksForMore, `${what}: 401 to a caller who is known, and no error="insufficient_scope"`);
}

/** Asserts that an answer has a status, without printing what it carries. */
export function answered(answer: Answer, status: number, what: string): Answer {
  assert.equal(answer.status, status, `${what}: ${answer.status} ${codeOfRefusal(answer)}`);
  return answer;
}

function codeOfRefusal(answer: Answer): string {
  return answer.status >= 400 ? (codeOf(answer) ?? '') : '';
}

/** Asserts that what `work` does leaves the store as it is. */
export async function changesNothing(at: GuardedRegistry, work: () => Promise<void>): Promise<void> {
  const before = await at.keys();
  await work();
  assert.deepEqual(await at.keys(), before, 'what was refused has left something behind');
}
