// The rows about object stores: the rate of a registry on a store against that of the store's own SDK
// alone, which does what a registry must. Both are one process between this one and the same server.
//
// Content is known by its digest, so all of it goes through a sha256 on its way in, and gets its name when
// it is there: a row of its own tells what the SDK makes of a name that it knows beforehand. What is pulled
// goes through a sha256, too, at whoever gets it: here or, without a registry, in the SDK's process. What
// the SDK checks besides by default it may check.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { type Comparison, compare } from './compare.js';
import { Connection } from './connection.js';
import { type Sample, timed } from './load.js';
import { unpin } from './pinning.js';
import type { Blob } from './push.js';
import type { Row, Stage } from './rows.js';
import type { Site } from './server.js';
import { type Side, startRegistry, startSdk, type Transfer } from './store-sides.js';
import { type ObjectStore, objectStores } from './stores.js';

/** What the rows of a store may use. */
interface StoreStage extends Stage {
  /** What each side has pushed, and pulls. */
  readonly kept: { readonly name: string; readonly blob: Blob };
}

type StoreRow = Row<Side, StoreStage>;

const run = promisify(execFile);

async function connected<T>(side: Side, { signal }: Stage, use: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.open(side.origin, signal);
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}

/** Pushes a new blob by `push`; what leads up to that and cleans up after it is off the clock. */
async function pushing<T>(side: Side, stage: Stage, push: Transfer<T>): Promise<T> {
  const blob = stage.largeBlobs.next();
  const name = `bench/push-${randomUUID()}`;
  // What one side has left to the kernel to write must not be written at the other's expense.
  await run('sync', ['--file-system', side.root], { signal: stage.signal });
  try {
    return await connected(side, stage, (connection) => push(connection, name, blob));
  } finally {
    await side.discard(name, blob);
  }
}

function measurePush(side: Side, stage: Stage, push: Transfer<void>): Promise<Sample> {
  return pushing(side, stage, (connection, name, blob) =>
    timed(async (operation) => {
      const start = performance.now();
      await push(connection, name, blob);
      operation(performance.now() - start, blob.size);
    }),
  );
}

function measurePull(side: Side, stage: StoreStage): Promise<Sample> {
  const { kept, milliseconds } = stage;
  return connected(side, stage, (connection) =>
    timed(async (operation) => {
      for (const end = performance.now() + milliseconds; performance.now() < end; ) {
        const start = performance.now();
        await side.pull(connection, kept.name, kept.blob);
        operation(performance.now() - start, kept.blob.size);
      }
    }),
  );
}

function rowsOf({ name }: ObjectStore): readonly StoreRow[] {
  return [
    {
      name: `${name}: push of 256 MiB`,
      unit: 'MB/s',
      target: 0.8,
      measure: (side, stage) => measurePush(side, stage, side.push),
      remark: (side, stage) => pushing(side, stage, side.explain.push),
    },
    {
      name: `${name}: push of 256 MiB, the SDK's to its name at once`,
      unit: 'MB/s',
      target: 0.8,
      measure: (side, stage) => measurePush(side, stage, side.pushNamed),
    },
    {
      name: `${name}: pull of 256 MiB`,
      unit: 'MB/s',
      target: 0.8,
      measure: measurePull,
      remark: (side, stage) =>
        connected(side, stage, (connection) => side.explain.pull(connection, stage.kept.name, stage.kept.blob)),
    },
  ];
}

/** The rows of one store. */
export interface StoreContest {
  readonly store: ObjectStore;
  readonly rows: readonly StoreRow[];
}

export const storeContests: readonly StoreContest[] = objectStores.map((store) => ({ store, rows: rowsOf(store) }));

/**
 * Compares the two sides on a store of their own. Three programs share the two CPUs, and none of them but
 * this one is pinned: otherwise one CPU would wait for the other.
 */
export async function compareOnStore(
  { store, rows }: StoreContest,
  stage: Stage,
  rounds: number,
  siteOf: (name: string) => Site,
  progress: (message: string) => void,
): Promise<Comparison[]> {
  const running = await store.start();
  unpin(running.pid, siteOf('store').placement);
  const sides: Side[] = [];
  try {
    sides.push(await startRegistry(store, running, siteOf('ours')));
    sides.push(await startSdk(running, siteOf('theirs')));
    const kept = { name: 'bench/kept', blob: stage.largeBlobs.next() };
    for (const side of sides) {
      await connected(side, stage, (connection) => side.push(connection, kept.name, kept.blob));
    }
    const comparisons: Comparison[] = [];
    for (const row of rows) {
      progress(`measuring ${row.name}`);
      comparisons.push(await compare(row, sides as [Side, Side], { ...stage, kept }, rounds));
    }
    return comparisons;
  } finally {
    for (const side of sides.reverse()) await side.stop();
    await running.stop();
  }
}
