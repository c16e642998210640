// What the tests of the layer suite have in common: their form, content that nobody else has, and what
// an answer has to look like.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { Digest, Layer, LayerAnswer, LayerRequest } from 'koa-registry';
import type { LayerRegistry, Wanted } from './layer-registry.js';
import type { BlobReply } from './layer-setup.js';

/** One promise, and the test that fails where it is broken. */
export type LayerCase = readonly [promise: string, body: (at: LayerRegistry) => Promise<void>];

/** A blob that is in the repository. */
export interface Pushed {
  readonly bytes: Buffer;
  readonly digest: Digest;
}

export const SMALL = 3;
export const MIDDLE = 4_000;
/** More than a mebibyte, and no power of two. */
export const LARGE = 1_234_567;

export async function pushed(at: LayerRegistry, size: number): Promise<Pushed> {
  const bytes = randomBytes(size);
  return { bytes, digest: await at.push(bytes) };
}

/** Asserts that a client has a blob in the end, or the part that `expected` is, without a failure of the handler. */
export async function has(
  at: LayerRegistry,
  { digest, bytes }: Pushed,
  wanted: Wanted = {},
  expected: Buffer = bytes,
): Promise<void> {
  const reply = await at.pull(digest, wanted);
  assertNoFailure(at);
  if (reply === undefined) return;
  const status = expected.length === bytes.length ? 200 : 206;
  assert.equal(reply.status, status, `the bytes are answered ${reply.status}`);
  if (wanted.method === 'HEAD') assert.equal(reply.headers['content-length'], String(bytes.length));
  else assert.ok(expected.equals(reply.body), `${reply.body.length} bytes that are not the blob's ${expected.length}`);
}

/** Asserts that the handler has failed nobody, and that the registry could send whatever it answered. */
export function assertNoFailure({ observation, errors }: LayerRegistry): void {
  for (const asked of observation.asked) {
    assert.ok(!('failure' in asked), `the handler threw ${String(asked.failure)}`);
    assertAnswer(asked.answer);
  }
  assert.deepEqual(errors, []);
}

/** What stands in a URL where a name was to stand and there was none. */
const NO_NAME = /undefined|\[object |(?<=^|[/=&?])(?:null|NaN)(?=$|[/&?#])/;

/** Asserts that an answer can be sent as it is. No message contains it, as it may be signed. */
export function assertAnswer(answer: LayerAnswer | undefined): void {
  // A plugin in JavaScript may answer null for nothing.
  if (answer === undefined || answer === null) return;
  assert.equal(typeof answer, 'object', 'an answer that is no object');
  if ('redirect' in answer) {
    assertUrl(answer.redirect);
    return;
  }
  assert.ok(typeof answer.headers === 'object' && answer.headers !== null, 'neither a redirect nor headers');
  const headers = Object.entries(answer.headers);
  assert.ok(headers.length > 0, 'no headers, and nobody who would send the file');
  for (const [name, value] of headers) {
    assert.doesNotThrow(() => validateHeaderName(name), `no name of a header: ${JSON.stringify(name)}`);
    assert.equal(typeof value, 'string', `${name} is no text`);
    assert.doesNotThrow(() => validateHeaderValue(name, value), `${name} cannot be sent`);
    assert.doesNotMatch(value, NO_NAME, `${name} names nothing`);
  }
}

function assertUrl(url: unknown): void {
  assert.ok(typeof url === 'string', 'a redirect that is no text');
  assert.ok(
    /^https?:\/\/[\x21-\x7e]+$/i.test(url) && URL.canParse(url),
    'a redirect that is no absolute http or https URL',
  );
  const { username, password, hash } = new URL(url);
  assert.equal(username + password, '', 'a redirect with credentials before its host, which clients drop or refuse');
  assert.equal(hash, '', 'a redirect with a fragment, which no server gets to see');
  assert.ok(!NO_NAME.test(url), 'a redirect that names nothing');
}

/** Asserts that what nobody but the client and its goal may read is not in an answer, its body included. */
export function assertRefused({ status, headers, body }: BlobReply, expected: number): void {
  assert.equal(status, expected, `answered ${status}, not ${expected}`);
  assert.equal(headers.location, undefined, 'a refusal that leads somewhere');
  assert.ok(body.length < 1000, 'a refusal with more than an error');
}

/** How long a handler may take, in milliseconds: the registry waits no longer. */
const PATIENCE = 10_000;

/** What comes of a promise, as long as something comes of it. */
export async function settled<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new assert.AssertionError({ message: 'neither an answer nor an error' })),
      PATIENCE,
    );
  });
  try {
    const [result] = await Promise.race([Promise.allSettled([promise] as const), late]);
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** A blob of the store, as the handler is told of it. */
export async function layerOf(at: LayerRegistry): Promise<Layer> {
  const { digest } = await pushed(at, MIDDLE);
  const [alg = '', hex = ''] = digest.split(':');
  const key = `docker/registry/v2/blobs/${alg}/${hex.slice(0, 2)}/${hex}/data`;
  const descriptor = { mediaType: 'application/octet-stream', digest, size: MIDDLE };
  return { repository: at.repository, descriptor, key, ...at.store };
}

/** A request of a client that is in no way special. */
export function requestOf(at: LayerRegistry, more: Partial<LayerRequest> = {}): LayerRequest {
  const names = Object.entries(at.setup.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
  const headers = { host: 'registry.example', 'user-agent': 'conformance', ...Object.fromEntries(names) };
  return { method: 'GET', client: '203.0.113.7', headers, signal: new AbortController().signal, ...more };
}

/** Asks the handler itself. */
export async function resolveOf(
  at: LayerRegistry,
  layer: Layer,
  request: LayerRequest,
): Promise<LayerAnswer | undefined> {
  return (await at.handler()).resolve(layer, request);
}
