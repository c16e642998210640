// The rows of the table, as data: what is asked of both servers, and by how much koa-registry is to
// be faster.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import type { Program } from '../support/requires.js';
import { Connection, request } from './connection.js';
import { type Image, tagAt } from './dataset.js';
import { withHtpasswd, withToken } from './guarded.js';
import { behindNginx, nginxAlone, withRedirect, withTrivialHandler } from './layered.js';
import { measureLoad, type Sample, timed } from './load.js';
import {
  deliveringBatches,
  deliveringSingly,
  measureEvents,
  withDeadSink,
  withHangingSink,
  withoutSink,
} from './notified.js';
import { pullImages } from './pulls.js';
import { pushBlob, type RandomBlobs, removePushed } from './push.js';
import { type Contender, dockerRegistry, koaRegistry, type Server } from './server.js';
import { pushBlobs, pushManifests } from './small-pushes.js';

/** What any row may use. */
export interface Stage {
  readonly largeBlobs: RandomBlobs;
  /** How long a measurement lasts; at least one operation is always done. */
  readonly milliseconds: number;
  readonly signal: AbortSignal;
}

/** What a row may use whose servers have the image. */
export interface ImageStage extends Stage {
  readonly image: Image;
}

/** One comparison of two servers. */
export interface Row<V extends Server = Server, S extends Stage = ImageStage> {
  readonly name: string;
  readonly unit: 'requests/s' | 'events/s' | 'pulls/s' | 'MB/s';
  /** The least ratio of our rate to theirs. */
  readonly target: number;
  measure(server: V, stage: S): Promise<Sample>;
  /** Something a reader of the ratio should know. */
  remark?(server: V, stage: S): Promise<string>;
}

/** Connections of a request row; large transfers have one at a time. */
const CONNECTIONS = 16;

/** What containerd asks for. */
const ACCEPT = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  '*/*',
].join(', ');

interface Question {
  readonly method?: 'GET' | 'HEAD';
  path(image: Image): string;
  /** Default: 200. */
  readonly status?: number;
  length?(image: Image): number;
  readonly connections?: number;
}

function ask({ method = 'GET', path, status, length, connections = CONNECTIONS }: Question): Row['measure'] {
  return ({ origin, headers }, { image, milliseconds, signal }) => {
    const question = request(method, `/v2/${image.repository}/${path(image)}`, { Accept: ACCEPT, ...headers });
    return measureLoad(
      origin,
      { request: question, status, length: length?.(image), connections, milliseconds },
      signal,
    );
  };
}

const manifestByDigest = ask({
  path: ({ manifest }) => `manifests/${manifest.digest}`,
  length: ({ manifest }) => manifest.size,
});

const smallBlob = ask({ path: ({ small }) => `blobs/${small.digest}`, length: ({ small }) => small.size });

const TAGS_PAGE = `tags/list?n=100&last=${tagAt(4999)}`;

async function countTags(server: Server, { image, signal }: ImageStage): Promise<string> {
  const answer = await fetch(new URL(`/v2/${image.repository}/${TAGS_PAGE}`, server.origin), { signal });
  const { tags } = (await answer.json()) as { tags: readonly string[] };
  return `${server.name} answers ${tags.length} tags to n=100`;
}

const run = promisify(execFile);

/** Blobs pushed one after the other in a measurement: the first meets an idle server, the others do not. */
const PUSHES = 3;

/** Pushes into a repository of its own; whatever leads up to that and cleans up after it is off the clock. */
async function pushLarge(server: Server, { largeBlobs, signal }: Stage): Promise<Sample> {
  const blobs = Array.from({ length: PUSHES }, () => largeBlobs.next());
  const repository = `bench/push-${randomUUID()}`;
  // What the other server has left to the kernel to write must not be written at this one's expense.
  await run('sync', ['--file-system', server.root], { signal });
  const connection = await Connection.open(server.origin, signal);
  try {
    return await timed(async (operation) => {
      for (const blob of blobs) {
        const start = performance.now();
        await pushBlob(connection, repository, blob);
        operation(performance.now() - start, blob.size);
      }
    });
  } finally {
    connection.close();
    await removePushed(server.root, repository, blobs);
  }
}

const againstDistribution: readonly Row[] = [
  {
    name: 'manifest GET by tag',
    unit: 'requests/s',
    target: 8,
    measure: ask({ path: () => `manifests/${tagAt(5000)}`, length: ({ manifest }) => manifest.size }),
  },
  {
    name: 'manifest GET by digest',
    unit: 'requests/s',
    target: 8,
    measure: manifestByDigest,
  },
  {
    name: 'blob HEAD',
    unit: 'requests/s',
    target: 8,
    measure: ask({ method: 'HEAD', path: ({ small }) => `blobs/${small.digest}`, length: () => 0 }),
  },
  {
    name: '1 KiB blob GET',
    unit: 'requests/s',
    target: 8,
    measure: smallBlob,
  },
  {
    name: '256 MiB blob GET',
    unit: 'MB/s',
    target: 1,
    measure: ask({ path: ({ large }) => `blobs/${large.digest}`, length: ({ large }) => large.size, connections: 1 }),
  },
  { name: '256 MiB monolithic push', unit: 'MB/s', target: 2.5, measure: pushLarge },
  {
    name: 'tags page n=100 of 10 000',
    unit: 'requests/s',
    target: 3,
    measure: ask({ path: () => TAGS_PAGE }),
    remark: countTags,
  },
];

/** What is measured of which two. */
export interface Contest {
  /** What it takes besides the registries; without it the contest is skipped. */
  readonly program?: Program;
  readonly ours: Contender;
  readonly theirs: Contender;
  readonly rows: readonly Row[];
  /**
   * Both are the same program, and differ by less than two runs of it do (by a tenth, for how the compiler and the
   * collector of garbage happen to fare): each round has processes of its own.
   */
  readonly alike?: boolean;
}

/** A login that was seen before may cost a quarter more. */
const withLogin = (how: string): readonly Row[] => [
  { name: `manifest GET by digest, ${how}`, unit: 'requests/s', target: 1 / 1.25, measure: manifestByDigest },
];

/** The files of blobs, which nginx sends to whoever the registry lets have them. */
const offloaded: readonly Row[] = [
  {
    name: '1 MiB blob GET, offloaded',
    unit: 'MB/s',
    target: 0.8,
    measure: ask({ path: ({ middle }) => `blobs/${middle.digest}`, length: ({ middle }) => middle.size }),
  },
  {
    name: '256 MiB blob GET, offloaded',
    unit: 'MB/s',
    target: 0.8,
    measure: ask({ path: ({ large }) => `blobs/${large.digest}`, length: ({ large }) => large.size, connections: 1 }),
  },
];

const redirectedBlob = ask({ path: ({ large }) => `blobs/${large.digest}`, status: 307, length: () => 0 });

/** A redirect may cost a quarter more than a manifest, which has a body. */
function redirected(ours: Contender): readonly Row[] {
  return [
    {
      name: `redirect of a blob GET ${ours.name} / manifest GET by digest`,
      unit: 'requests/s',
      target: 1 / 1.25,
      measure: (server, stage) => (server.name === ours.name ? redirectedBlob : manifestByDigest)(server, stage),
    },
  ];
}

/**
 * What nobody takes may cost next to nothing of a push or a pull. The two single requests have their answers in memory:
 * beside the least work that there is, an event is seen most.
 */
function untold({ name: sink }: Contender): readonly Row[] {
  const row = (name: string, measure: Row['measure'], more: Partial<Row> = {}): Row => ({
    name: `${name}, ${sink}`,
    unit: 'requests/s',
    target: 0.95,
    measure,
    ...more,
  });
  return [
    row('manifest PUT by tag', pushManifests),
    row('1 KiB blob POST', pushBlobs),
    row('pull of an image', pullImages, { unit: 'pulls/s' }),
    row('manifest GET by digest', manifestByDigest, { target: 0.85 }),
    row('1 KiB blob GET', smallBlob, { target: 0.85 }),
  ];
}

/** For information: the events of pulls, once the last of these is answered. */
const delivered: readonly Row[] = [
  {
    name: 'events through a webhook on loopback',
    unit: 'events/s',
    target: 1,
    measure: (server, stage) =>
      measureEvents(server.name, async () => (await manifestByDigest(server, stage)).operations),
    remark: async ({ name }) => `"server busy" of ${name} counts the pulls, too`,
  },
];

export const contests: readonly Contest[] = [
  { ours: koaRegistry, theirs: dockerRegistry, rows: againstDistribution },
  { ours: withHtpasswd, theirs: koaRegistry, rows: withLogin('htpasswd') },
  { ours: withToken, theirs: koaRegistry, rows: withLogin('token') },
  { ours: behindNginx, theirs: nginxAlone, rows: offloaded, program: 'nginx' },
  { ours: withTrivialHandler, theirs: koaRegistry, rows: redirected(withTrivialHandler) },
  { ours: withRedirect, theirs: koaRegistry, rows: redirected(withRedirect) },
  { ours: withDeadSink, theirs: withoutSink, rows: untold(withDeadSink), alike: true },
  { ours: withHangingSink, theirs: withoutSink, rows: untold(withHangingSink), alike: true },
  { ours: deliveringBatches, theirs: deliveringSingly, rows: delivered },
];

/** Every row of every contest. */
export const rows: readonly Row[] = contests.flatMap((contest) => contest.rows);
