// Descriptors and the four built-in manifest formats: what is read of them, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'uvu';
import {
  type Descriptor,
  DOCKER_IMAGE,
  DOCKER_LIST,
  digestOf,
  OCI_CONFIG,
  OCI_IMAGE,
  OCI_INDEX,
  parseAnnotations,
  parseDescriptor,
  parseManifestDocument,
} from '../../lib/model/index.js';
import { Formats } from '../../lib/services/formats.js';

const DIGEST = digestOf(Buffer.from('content'));
const LAYER = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: DIGEST, size: 7 };
const CONFIG = { mediaType: OCI_CONFIG, digest: digestOf(Buffer.from('{}'), 'sha512'), size: 2 };
const CHILD = { mediaType: OCI_IMAGE, digest: DIGEST, size: 7 };
const IMAGE = { schemaVersion: 2, config: CONFIG, layers: [LAYER, LAYER] };
const INDEX = { schemaVersion: 2, manifests: [CHILD] };

const formats = new Formats();

function parse(document: unknown, announced?: string) {
  return formats.parse(Buffer.from(JSON.stringify(document)), announced);
}

/** Whatever must be a number of bytes and is not. */
const BAD_SIZES: readonly unknown[] = [-1, 1.5, 2 ** 53, 1e300, '7', null, undefined, true, [], {}, Number.NaN];

test('a descriptor is read with the fields that are known', () => {
  const full: Descriptor = {
    ...LAYER,
    digest: DIGEST,
    urls: ['https://a.example/1'],
    annotations: { a: 'b' },
    artifactType: 'a/b',
    platform: { architecture: 'arm', os: 'linux', variant: 'v7' },
  };
  assert.deepEqual(parseDescriptor({ ...full, data: 'aGk=', 'x-unknown': [1] }, 'x'), full);
  assert.deepEqual(parseDescriptor(LAYER, 'x'), LAYER);
  const nothing = { urls: null, annotations: null, artifactType: '', platform: { os: 'linux' } };
  assert.deepEqual(parseDescriptor({ ...LAYER, ...nothing }, 'x'), LAYER);
  for (const size of [0, 1, Number.MAX_SAFE_INTEGER]) assert.equal(parseDescriptor({ ...LAYER, size }, 'x').size, size);
});

test('a descriptor that is wrong says where', () => {
  const cases: readonly (readonly [value: unknown, at: string])[] = [
    ...[undefined, null, 1, 'x', [], [LAYER]].map((value) => [value, 'layers[2]:'] as const),
    ...BAD_SIZES.map((size) => [{ ...LAYER, size }, 'layers[2].size:'] as const),
    ...[undefined, 1, '', 'sha256:zz', DIGEST.toUpperCase(), `${DIGEST}0`].map(
      (digest) => [{ ...LAYER, digest }, 'layers[2].digest:'] as const,
    ),
    ...[undefined, 1, '', 'tar', 'a/b; c=d', `a/${'b'.repeat(200)}`].map(
      (mediaType) => [{ ...LAYER, mediaType }, 'layers[2].mediaType:'] as const,
    ),
    ...['x', 1, {}, [1], [null]].map((urls) => [{ ...LAYER, urls }, 'layers[2].urls:'] as const),
    ...['x', 1, [], ['a']].map((annotations) => [{ ...LAYER, annotations }, 'layers[2].annotations:'] as const),
    ...[1, null, {}, ['b']].map((a) => [{ ...LAYER, annotations: { a } }, 'layers[2].annotations["a"]:'] as const),
  ];
  for (const [value, at] of cases) {
    const refused = { code: 'MANIFEST_INVALID', detail: new RegExp(`^${at.replace(/[[\].]/g, '\\$&')}`) };
    assert.throws(
      () => parseDescriptor(value, 'layers[2]'),
      (error: { code: string; detail: string }) => error.code === refused.code && refused.detail.test(error.detail),
      `${at} ${JSON.stringify(value)}`,
    );
  }
});

test('annotations are a map of strings, whatever their names', () => {
  assert.equal(parseAnnotations(undefined, 'x'), undefined);
  assert.equal(parseAnnotations(null, 'x'), undefined);
  const odd = JSON.parse('{"__proto__":"a","constructor":"b","":"c"}') as Record<string, string>;
  assert.deepEqual(Object.entries(parseAnnotations(odd, 'x') ?? {}), Object.entries(odd));
});

test('an image, OCI and Docker, has its config first among the blobs, and its layers', () => {
  for (const mediaType of [OCI_IMAGE, DOCKER_IMAGE]) {
    const expected = {
      mediaType,
      blobs: [CONFIG, LAYER, LAYER],
      config: CONFIG,
      manifests: [],
      artifactType: OCI_CONFIG,
    };
    assert.deepEqual(parse({ ...IMAGE, mediaType }), expected);
    assert.deepEqual(parse({ ...IMAGE, mediaType }, mediaType), expected);
  }
  for (const unstated of [IMAGE, { ...IMAGE, mediaType: '' }]) {
    assert.equal(parse(unstated).mediaType, OCI_IMAGE, 'by what it looks like');
    assert.equal(parse(unstated, OCI_IMAGE).mediaType, OCI_IMAGE);
  }
});

test('an index, OCI and Docker, has children', () => {
  for (const mediaType of [OCI_INDEX, DOCKER_LIST]) {
    const expected = { mediaType, blobs: [], manifests: [CHILD] };
    assert.deepEqual(parse({ ...INDEX, mediaType }), expected);
  }
  assert.equal(parse(INDEX).mediaType, OCI_INDEX);
  assert.equal(parse(INDEX, OCI_INDEX).mediaType, OCI_INDEX);
});

test('a media type that only the Content-Type knows is refused: it would be another one after a restart', () => {
  const cases = [
    [{ schemaVersion: 2 }, OCI_INDEX],
    [{ schemaVersion: 2 }, OCI_IMAGE],
    [IMAGE, DOCKER_IMAGE],
    [IMAGE, OCI_INDEX],
    [INDEX, DOCKER_LIST],
  ] as const;
  for (const [document, announced] of cases) {
    assert.throws(() => parse(document, announced), { code: 'MANIFEST_INVALID', detail: 'mediaType: must be stated' });
  }
});

test('an error does not echo megabytes', () => {
  const long = `application/${'x'.repeat(1 << 20)}`;
  for (const [document, announced] of [
    [{ schemaVersion: 2, mediaType: long }, undefined],
    [{ schemaVersion: 2, mediaType: long }, OCI_IMAGE],
    [{ ...IMAGE, mediaType: OCI_IMAGE, annotations: { [long]: 1 } }, OCI_IMAGE],
  ] as const) {
    assert.throws(
      () => parse(document, announced),
      ({ detail }: { detail: string }) => detail.length < 600,
    );
  }
});

test('empty and missing lists, unknown fields and the data field are all right', () => {
  for (const layers of [[], null, undefined]) assert.deepEqual(parse({ ...IMAGE, layers }, OCI_IMAGE).blobs, [CONFIG]);
  for (const manifests of [[], null]) assert.deepEqual(parse({ ...INDEX, manifests }, OCI_INDEX).manifests, []);
  const odd = { ...IMAGE, data: 'aGk=', 'x-unknown': { deep: [1] }, config: { ...CONFIG, data: 'e30=' } };
  assert.deepEqual(parse(odd, OCI_IMAGE).blobs, [CONFIG, LAYER, LAYER]);
});

test('subject, annotations and artifactType are read of images and indexes alike', () => {
  const common = { subject: CHILD, annotations: { a: 'b' }, artifactType: 'application/vnd.example' };
  for (const document of [IMAGE, INDEX]) {
    const { subject, annotations, artifactType } = parse({ ...document, ...common });
    assert.deepEqual({ subject, annotations, artifactType }, common);
  }
  assert.equal(parse({ ...IMAGE, artifactType: '' }).artifactType, OCI_CONFIG, 'an image falls back on its config');
  assert.equal(parse({ ...INDEX, artifactType: '' }).artifactType, undefined);
  assert.equal(parse({ ...IMAGE, subject: null }).subject, undefined);
});

test('documents that are wrong are MANIFEST_INVALID', () => {
  const { config: _, ...withoutConfig } = IMAGE;
  const wrong: readonly (readonly [document: unknown, announced?: string])[] = [
    ...[undefined, 1, 3, '2', null].map((schemaVersion) => [{ ...IMAGE, schemaVersion }, OCI_IMAGE] as const),
    ...[undefined, 1, '2'].map((schemaVersion) => [{ ...INDEX, schemaVersion }, OCI_INDEX] as const),
    [withoutConfig, OCI_IMAGE],
    [withoutConfig],
    ...[null, {}, [], 'x', { ...CONFIG, size: -1 }].map((config) => [{ ...IMAGE, config }, OCI_IMAGE] as const),
    ...['x', {}, 1, [null], [LAYER, 1]].map((layers) => [{ ...IMAGE, layers }, OCI_IMAGE] as const),
    ...['x', {}, 1, [null], [CHILD, {}]].map((manifests) => [{ ...INDEX, manifests }, OCI_INDEX] as const),
    ...BAD_SIZES.slice(0, 6).map((size) => [{ ...IMAGE, layers: [{ ...LAYER, size }] }, OCI_IMAGE] as const),
    ...BAD_SIZES.slice(0, 6).map((size) => [{ ...INDEX, manifests: [{ ...CHILD, size }] }, OCI_INDEX] as const),
    ...[true, 1, 'x', [], { ...CHILD, digest: 'x' }].map((subject) => [{ ...IMAGE, subject }, OCI_IMAGE] as const),
    ...[1, 'x y', {}, 'x'].map((artifactType) => [{ ...IMAGE, artifactType }, OCI_IMAGE] as const),
    ...[1, 'x', [], { a: 1 }].map((annotations) => [{ ...INDEX, annotations }, OCI_INDEX] as const),
  ];
  for (const [document, announced] of wrong) {
    assert.throws(
      () => parse(document, announced),
      { code: 'MANIFEST_INVALID', status: 400 },
      JSON.stringify(document),
    );
  }
});

test('a document that is two things at once is neither', () => {
  for (const mediaType of [OCI_IMAGE, DOCKER_IMAGE, OCI_INDEX, DOCKER_LIST]) {
    assert.throws(() => parse({ ...IMAGE, ...INDEX, mediaType }), { code: 'MANIFEST_INVALID' }, mediaType);
  }
  assert.throws(() => parse({ ...IMAGE, ...INDEX }), { code: 'MANIFEST_INVALID' });
  assert.throws(() => parse({ ...INDEX, layers: [] }, OCI_INDEX), { code: 'MANIFEST_INVALID' });
  assert.throws(() => parse({ ...INDEX, config: null }, OCI_INDEX), { code: 'MANIFEST_INVALID' });
  assert.throws(() => parse({ ...IMAGE, manifests: null }, OCI_IMAGE), { code: 'MANIFEST_INVALID' });
});

test('Content-Type and mediaType must agree, and somebody must know them', () => {
  assert.throws(() => parse({ ...IMAGE, mediaType: OCI_IMAGE }, DOCKER_IMAGE), { code: 'MANIFEST_INVALID' });
  assert.throws(() => parse({ ...IMAGE, mediaType: OCI_IMAGE }, 'application/json'), { code: 'MANIFEST_INVALID' });
  assert.throws(() => parse(IMAGE, 'application/json'), { code: 'MANIFEST_INVALID' });
  for (const mediaType of ['application/vnd.unknown', 1, null, {}, []]) {
    assert.throws(() => parse({ ...IMAGE, mediaType }), { code: 'MANIFEST_INVALID' }, String(mediaType));
  }
  assert.throws(() => parse({ schemaVersion: 2 }), { code: 'MANIFEST_INVALID' });
});

test('a manifest is one JSON object, in the bytes of the view alone', () => {
  for (const text of ['', ' ', '{', '[]', 'null', '1', '"x"', '{}{}', '\u0000', '<html>', '{"a":1,}']) {
    assert.throws(() => parseManifestDocument(Buffer.from(text)), { code: 'MANIFEST_INVALID' }, text);
  }
  const memory = Buffer.from('xx{"a":1}xx');
  assert.deepEqual(parseManifestDocument(memory.subarray(2, 9)), { a: 1 });
});

test('a format of a plugin is asked after the built-in ones, and takes its own media types', () => {
  const mine = 'application/vnd.mine+json';
  const plugin = {
    mediaTypes: [mine],
    recognize: () => mine,
    parse: (mediaType: string) => ({ mediaType, blobs: [], manifests: [] }),
  };
  const extended = new Formats([plugin]);
  const bytes = (document: unknown) => Buffer.from(JSON.stringify(document));
  assert.equal(extended.parse(bytes({}), mine).mediaType, mine);
  assert.equal(extended.parse(bytes({ a: 1 })).mediaType, mine);
  assert.equal(extended.parse(bytes(IMAGE)).mediaType, OCI_IMAGE);
});

test.run();
