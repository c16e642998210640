// What the tests of layer/cloudfront share: a key pair, a handler at work, and the other end's view of a signed URL,
// which owes nothing to the library that signs.
import assert from 'node:assert/strict';
import { createVerify, generateKeyPairSync } from 'node:crypto';
import {
  type Descriptor,
  type Layer,
  type LayerHandler,
  type LayerRequest,
  parseDigest,
  parseRepositoryName,
  startPlugin,
  type UrlOptions,
} from 'koa-registry';
import { cloudfront } from 'koa-registry/plugins/layer/cloudfront';
import { type LogLine, recordingLogger } from '../http/host-service.js';
import { digestOf } from '../support/content.js';

export type CloudFrontOptions = Parameters<typeof cloudfront>[0];

export const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const PEM = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
export const KEY_PAIR_ID = 'K2JCJMDEHXQW5F';
export const BASE_URL = 'https://cdn.example';

/** The options that no test is about. */
export const OURS = { baseUrl: BASE_URL, keyPairId: KEY_PAIR_ID, privateKey: PEM };

/** A client on the internet (RFC 5737). */
export const CLIENT = '203.0.113.9';

/** In milliseconds. */
export const DURATION = 1_200_000;

const DIGEST = parseDigest(digestOf('a layer'));
const descriptor: Descriptor = { mediaType: 'application/octet-stream', digest: DIGEST, size: 7 };

export const KEY = `docker/registry/v2/blobs/sha256/${DIGEST.slice(7, 9)}/${DIGEST.slice(7)}/data`;

export type Store = Pick<Layer, 'url' | 'path'>;

/** Of S3 and its like: a root directory in a bucket. */
export function bucketOf(rootDirectory: string): Store {
  return { path: (key) => `${rootDirectory}/${key}` };
}

/** What each call for a URL asked for. */
export class UrlStore {
  readonly asked: UrlOptions[] = [];
  readonly url = async (key: string, options: UrlOptions): Promise<string | undefined> => {
    this.asked.push(options);
    return `https://bucket.example/${key}`;
  };
}

export const TO_STORE = `https://bucket.example/${KEY}`;

const opened: (() => Promise<unknown>)[] = [];

/** For `after.each`. */
export async function closeAll(): Promise<void> {
  for (const close of opened.splice(0).reverse()) await close();
}

export function closeLater(close: () => Promise<unknown>): void {
  opened.push(close);
}

/** A handler at work, by a clock of the test's. */
export class TestHandler {
  readonly handler: LayerHandler;
  /** What the plugin logged. */
  readonly lines: readonly LogLine[];
  readonly close: () => Promise<void>;
  now = Date.now();

  private constructor(handler: LayerHandler, lines: readonly LogLine[], close: () => Promise<void>) {
    this.handler = handler;
    this.lines = lines;
    this.close = close;
  }

  static async open(options: Partial<CloudFrontOptions> = {}): Promise<TestHandler> {
    const { logger, lines } = recordingLogger();
    const clock = () => test?.now ?? Date.now();
    let test: TestHandler | undefined;
    const { instance, close } = await startPlugin(cloudfront({ ...OURS, ...options }), { logger, clock });
    opened.push(close);
    test = new TestHandler(instance, lines, close);
    return test;
  }

  /** What the handler answers, as it does: at once, or by a promise. */
  resolve(client = CLIENT, store: Store = {}, method: LayerRequest['method'] = 'GET') {
    const layer = { repository: parseRepositoryName('team/app'), descriptor, key: KEY, ...store };
    return this.handler.resolve(layer, { method, client, headers: {}, signal: new AbortController().signal });
  }

  /** Where a client is sent; `undefined` where the registry serves it. */
  async redirect(client?: string, store?: Store, method?: LayerRequest['method']): Promise<string | undefined> {
    const answer = await this.resolve(client, store, method);
    if (answer === undefined) return undefined;
    return 'redirect' in answer ? answer.redirect : assert.fail('it answers headers');
  }

  /** As {@link redirect}, where there has to be one. */
  async url(client?: string, store?: Store, method?: LayerRequest['method']): Promise<string> {
    return (await this.redirect(client, store, method)) ?? assert.fail('the registry would have to stream');
  }
}

/** As CloudFront's documentation says: base64 with three characters that a query would not bear. */
function fromCloudFrontBase64(text: string): Buffer {
  assert.doesNotMatch(text, /[+=/]/);
  const standard: Readonly<Record<string, string>> = { '-': '+', _: '=', '~': '/' };
  return Buffer.from(
    text.replace(/[-_~]/g, (character) => standard[character] ?? ''),
    'base64',
  );
}

function isSigned(policy: string, signature: string): boolean {
  return createVerify('RSA-SHA1').update(policy).verify(publicKey, fromCloudFrontBase64(signature));
}

interface Signed {
  /** The URL without what the signature added. */
  readonly resource: string;
  /** In seconds since 1970. */
  readonly expires: number;
  /** The only network that may use it. */
  readonly sourceIp?: string;
}

/** The policy of a canned signature, letter for letter. */
function cannedPolicy(resource: string, expires: string): string {
  return `{"Statement":[{"Resource":"${resource}","Condition":{"DateLessThan":{"AWS:EpochTime":${expires}}}}]}`;
}

/**
 * What a signed URL permits, by its signature over a canned or a custom policy.
 *
 * @throws AssertionError for a signature that is not of our key, or over something else.
 */
export function permitted(signedUrl: string): Signed {
  const [resource = '', query = ''] = signedUrl.split('?');
  const {
    Signature = '',
    'Key-Pair-Id': id,
    Expires,
    Policy,
    ...more
  } = Object.fromEntries(new URLSearchParams(query));
  assert.equal(id, KEY_PAIR_ID);
  assert.deepEqual(more, {});
  if (Policy === undefined) {
    assert.ok(isSigned(cannedPolicy(resource, String(Expires)), Signature), 'the signature is of something else');
    return { resource, expires: Number(Expires) };
  }
  assert.equal(Expires, undefined);
  const policy = fromCloudFrontBase64(Policy).toString('utf8');
  assert.ok(isSigned(policy, Signature), 'the signature is of something else');
  const { Statement } = JSON.parse(policy);
  assert.equal(Statement.length, 1);
  const [{ Resource, Condition }] = Statement;
  assert.equal(Resource, resource);
  assert.deepEqual(Object.keys(Condition).sort(), ['DateLessThan', 'IpAddress']);
  return {
    resource,
    expires: Condition.DateLessThan['AWS:EpochTime'],
    sourceIp: Condition.IpAddress['AWS:SourceIp'],
  };
}
