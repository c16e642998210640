// Callers who are known: what each may do is done, and what it may not is refused.
import { strict as assert } from 'node:assert';
import { type AuthCase, answered, changesNothing, denied, nameOf } from './auth-case.js';
import {
  BASE,
  CATALOG,
  digestOf,
  everyKind,
  imageOf,
  mount,
  ONE,
  OTHER,
  pushBlob,
  pushImage,
  type RightfulRequest,
  TWO,
  wanted,
} from './auth-content.js';
import type { Answer, GuardedRegistry } from './auth-registry.js';
import type { AuthCaller } from './auth-setup.js';

const IMAGE = imageOf('the writer');

async function eachAnswers(
  at: GuardedRegistry,
  caller: AuthCaller,
  rows: readonly (readonly [RightfulRequest, number])[],
) {
  for (const [request, status] of rows) answered(await at.as(caller, request), status, nameOf(request));
}

function repositoriesIn({ body }: Answer): string[] {
  return (JSON.parse(body) as { repositories: string[] }).repositories;
}

/** What an answer tells besides which request it is for. */
function telling({ status, body, headers }: Answer): unknown {
  const { date: _, location: __, 'x-request-id': ___, 'docker-upload-uuid': ____, ...rest } = headers;
  return { status, body, headers: rest };
}

async function maySeeOnly(at: GuardedRegistry, caller: AuthCaller, visible: readonly string[]): Promise<void> {
  const answer = await at.as(caller, CATALOG);
  if (answer.status === 401 || answer.status === 403) return denied(answer, nameOf(CATALOG));
  answered(answer, 200, nameOf(CATALOG));
  // A handler that cannot say who may pull what leaves it out, and then the catalogue shows everything.
  if (at.observation.grant?.allows === undefined) return;
  for (const name of repositoriesIn(answer)) assert.ok(visible.includes(name), `the catalogue shows ${name}`);
}

export const rightsCases: readonly AuthCase[] = [
  [
    'writer: pushes, pulls, lists and deletes',
    async (at) => {
      const { config, layer, manifest } = IMAGE;
      await eachAnswers(at, at.setup.callers.writer, [
        [BASE, 200],
        ...pushImage(ONE, 'round', IMAGE).map((request) => [request, 201] as const),
        [wanted('pull', 'HEAD', ONE, 'manifests/round'), 200],
        [wanted('pull', 'GET', ONE, 'manifests/round'), 200],
        [wanted('pull', 'GET', ONE, `blobs/${digestOf(config)}`), 200],
        [wanted('pull', 'GET', ONE, 'tags/list'), 200],
        [wanted('pull', 'GET', ONE, `referrers/${digestOf(manifest)}`), 200],
        [wanted('delete', 'DELETE', ONE, `manifests/${digestOf(manifest)}`), 202],
        [wanted('delete', 'DELETE', ONE, `blobs/${digestOf(layer)}`), 202],
        [wanted('pull', 'GET', ONE, 'manifests/round'), 404],
      ]);
    },
  ],
  [
    'writer: finds its repositories in the catalogue',
    async (at) => {
      const answer = answered(await at.as(at.setup.callers.writer, CATALOG), 200, nameOf(CATALOG));
      const shown = repositoriesIn(answer);
      for (const name of [ONE, TWO]) assert.ok(shown.includes(name), `the catalogue lacks ${name}`);
    },
  ],
  [
    'writer: mounts a blob from the other repository',
    async (at) => {
      const { writer } = at.setup.callers;
      const digest = digestOf(imageOf(TWO).layer);
      answered(await at.as(writer, mount(ONE, digest, TWO)), 201, 'mount');
      answered(await at.as(writer, wanted('pull', 'GET', ONE, `blobs/${digest}`)), 200, 'the mounted blob');
    },
  ],
  [
    'writer: is refused where it has no right',
    async (at) => {
      const { writer } = at.setup.callers;
      await changesNothing(at, async () => {
        for (const request of everyKind(OTHER)) {
          if (request.right !== 'catalog') denied(await at.as(writer, request), nameOf(request));
        }
      });
    },
  ],
  [
    'writer: a mount from where it may not pull is answered as one of a blob that is not there',
    async (at) => {
      const { writer } = at.setup.callers;
      const hidden = digestOf(imageOf(OTHER).layer);
      const refused = answered(await at.as(writer, mount(ONE, hidden, OTHER)), 202, 'mount of a hidden blob');
      const absent = await at.as(writer, mount(ONE, digestOf(Buffer.from('nobody has this')), OTHER));
      assert.deepEqual(telling(refused), telling(absent));
      answered(await at.as(writer, wanted('pull', 'GET', ONE, `blobs/${hidden}`)), 404, 'the hidden blob');
    },
  ],
  [
    'reader: pulls',
    async (at) => {
      const { reader } = at.setup.callers;
      if (reader === undefined) return;
      answered(await at.as(reader, BASE), 200, nameOf(BASE));
      for (const request of everyKind(ONE)) {
        if (request.right === 'pull') answered(await at.as(reader, request), 200, nameOf(request));
      }
    },
  ],
  [
    'reader: may neither push nor delete, and nothing of it stays',
    async (at) => {
      const { reader } = at.setup.callers;
      if (reader === undefined) return;
      await changesNothing(at, async () => {
        for (const request of [...everyKind(ONE), pushBlob(OTHER, IMAGE.layer)]) {
          if (request.right === 'push' || request.right === 'delete') {
            denied(await at.as(reader, request), nameOf(request));
          }
        }
      });
    },
  ],
  [
    'stranger: is known, and may do nothing that not everybody may',
    async (at) => {
      const { stranger } = at.setup.callers;
      if (stranger === undefined) return;
      answered(await at.as(stranger, BASE), 200, nameOf(BASE));
      const everybody = (request: RightfulRequest) =>
        request.right === 'catalog' || (request.right === 'pull' && at.setup.anonymous === 'pull');
      await changesNothing(at, async () => {
        for (const request of everyKind(ONE)) {
          if (!everybody(request)) denied(await at.as(stranger, request), nameOf(request));
        }
      });
    },
  ],
  [
    'catalogue: shows nobody what it may not pull, where the handler can say so',
    async (at) => {
      const { writer, reader, stranger } = at.setup.callers;
      await maySeeOnly(at, writer, [ONE, TWO]);
      if (reader !== undefined) await maySeeOnly(at, reader, [ONE, TWO]);
      if (stranger !== undefined) await maySeeOnly(at, stranger, at.setup.anonymous === 'pull' ? [ONE, TWO] : []);
    },
  ],
];
