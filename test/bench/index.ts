// `npm run bench`: koa-registry's standalone example and docker-registry side by side, then itself with
// logins and without, behind nginx, with redirects and with listeners that are away, then on object stores
// beside their SDKs. A missed target is a line in the table and not an error; the exit code says only
// whether the bench could run.
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findProgram, type Program } from '../support/requires.js';
import { type Comparison, collect, compare, conclude, type Samples } from './compare.js';
import { LARGE_BYTES, prepareImage } from './dataset.js';
import { MEMORY_ROW, measureMemory } from './memory.js';
import { pinGenerator } from './pinning.js';
import { RandomBlobs } from './push.js';
import { formatReport, type Report, type StoreRequests } from './report.js';
import { type Contest, contests, type Row, rows } from './rows.js';
import { dockerRegistry, koaRegistry, type Server, type Site, startServer } from './server.js';
import { countRequests } from './store-requests.js';
import { compareOnStore, storeContests } from './store-rows.js';
import type { ObjectStore } from './stores.js';

const USAGE = `npm run bench -- [options]

  --only NAME     only rows whose name contains NAME; may be given several times
  --rounds N      measurements of each row on each server, 1 to 100 (default 5)
  --quick         one short round: whether it works, not how fast it is
  --control       docker-registry on both sides: how far from 1 a ratio may be by chance
  --json FILE     where to write the figures as JSON; otherwise the last line of the output

Needs Linux, docker-registry (CNCF distribution 2.8) on the PATH, and 4 GB below TMPDIR. Rows about
object stores need fake-gcs-server and versitygw, those about offloaded blobs nginx; each is skipped
where its server is not installed.`;

const REQUESTS_ROW = 'requests to the store';

interface Plan {
  readonly only: readonly string[];
  readonly rounds: number;
  readonly milliseconds: number;
  readonly control: boolean;
  readonly json: string | undefined;
}

/** @throws TypeError for arguments that make no sense, with a message for who typed them. */
function parsePlan(): Plan | 'help' {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      control: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new TypeError('--rounds: 1 to 100');
  const storeRows = storeContests.flatMap((contest) => contest.rows);
  const names = [...[...rows, ...storeRows].map(({ name }) => name), MEMORY_ROW, REQUESTS_ROW];
  const unknown = values.only.find((text) => !names.some((name) => contains(name, text)));
  if (unknown !== undefined) throw new TypeError(`--only: no row is named ${unknown}; rows: ${names.join('; ')}`);
  return {
    only: values.only,
    rounds,
    milliseconds: values.quick ? 300 : 2000,
    control: values.control,
    json: values.json,
  };
}

const contains = (name: string, text: string) => name.toLowerCase().includes(text.toLowerCase());
const isWanted = (name: string, { only }: Plan) => only.length === 0 || only.some((text) => contains(name, text));

const progress = (message: string) => process.stderr.write(`${message}\n`);

/** Each of ours has the data of `ours`; docker-registry has its own copy. */
async function compareAll(
  wanted: readonly Contest[],
  plan: Plan,
  largeBlobs: RandomBlobs,
  siteOf: (name: string) => Site,
): Promise<Comparison[]> {
  progress('preparing the data');
  const image = await prepareImage(siteOf('theirs'), siteOf('ours'), largeBlobs);
  const stage = { image, largeBlobs, milliseconds: plan.milliseconds, signal: siteOf('ours').signal };
  const comparisons: Comparison[] = [];
  for (const contest of wanted) {
    const { rows } = contest;
    const samples = new Map<Row, Samples>();
    // Those that are alike are started anew for each round.
    for (let start = 0; start < (contest.alike ? plan.rounds : 1); start++) {
      await withServers(contest, siteOf, async (servers) => {
        for (const row of rows) {
          progress(`measuring ${row.name}`);
          if (!contest.alike) comparisons.push(await compare(row, servers, stage, plan.rounds));
          else await collect(row, servers, stage, 1, samplesOf(samples, row));
        }
      });
    }
    const names = [contest.ours.name, contest.theirs.name] as const;
    for (const [row, taken] of samples) comparisons.push(conclude(row, names, taken));
  }
  return comparisons;
}

function samplesOf(samples: Map<Row, Samples>, row: Row): Samples {
  const known: Samples = samples.get(row) ?? [[], []];
  samples.set(row, known);
  return known;
}

async function withServers(
  { ours, theirs }: Contest,
  siteOf: (name: string) => Site,
  use: (servers: readonly [Server, Server]) => Promise<void>,
): Promise<void> {
  const servers: Server[] = [];
  try {
    servers.push(await startServer(ours, siteOf('ours')));
    servers.push(await startServer(theirs, siteOf(theirs === dockerRegistry ? 'theirs' : 'ours')));
    await use(servers as [Server, Server]);
  } finally {
    for (const server of servers.reverse()) await server.stop();
  }
}

/** Whether a program that not everybody has is here; says so where it is not. */
function isInstalled(name: string, program: Program | undefined): boolean {
  if (program === undefined || findProgram(program) !== undefined) return true;
  progress(`skipping ${name}: ${program} is not installed`);
  return false;
}

/** What the rows about object stores find out. */
async function measureStores(plan: Plan, largeBlobs: RandomBlobs, siteOf: (name: string) => Site) {
  const comparisons: Comparison[] = [];
  const requests: StoreRequests[] = [];
  const stage = { largeBlobs, milliseconds: plan.milliseconds, signal: siteOf('store').signal };
  for (const { store, rows } of storeContests) {
    const wanted = rows.filter((row) => isWanted(row.name, plan));
    const counting = isWanted(REQUESTS_ROW, plan);
    if ((wanted.length === 0 && !counting) || !isInstalled(store.name, store.program)) continue;
    if (wanted.length > 0) {
      const siteWithin = (name: string) => siteOf(join(store.name, name));
      comparisons.push(...(await compareOnStore({ store, rows: wanted }, stage, plan.rounds, siteWithin, progress)));
    }
    if (counting) requests.push({ store: store.name, counts: await countOn(store) });
  }
  return { comparisons, requests };
}

async function countOn(store: ObjectStore): Promise<StoreRequests['counts']> {
  progress(`counting requests to ${store.name}`);
  const running = await store.start();
  try {
    return await countRequests(running.address);
  } finally {
    await running.stop();
  }
}

async function bench(plan: Plan, signal: AbortSignal): Promise<Report> {
  const placement = pinGenerator(progress);
  const folder = await mkdtemp(join(tmpdir(), 'koa-registry-bench-'));
  const siteOf = (name: string): Site => ({ folder: join(folder, name), placement, signal });
  const { rounds } = plan;
  try {
    const wanted = contests
      .map((contest) => ({
        ...contest,
        ours: plan.control && contest.theirs === dockerRegistry ? { ...dockerRegistry, name: 'control' } : contest.ours,
        rows: contest.rows.filter((row) => isWanted(row.name, plan)),
      }))
      .filter(({ ours, rows, program }) => rows.length > 0 && isInstalled(ours.name, program));
    const largeBlobs = new RandomBlobs(LARGE_BYTES);
    const comparisons = wanted.length === 0 ? [] : await compareAll(wanted, plan, largeBlobs, siteOf);
    const onStores = plan.control ? undefined : await measureStores(plan, largeBlobs, siteOf);
    const memory = isWanted(MEMORY_ROW, plan)
      ? await measureMemory(plan.control ? dockerRegistry : koaRegistry, siteOf('memory'))
      : undefined;
    return {
      node: process.version,
      placement: placement ?? 'unpinned',
      rounds,
      comparisons: [...comparisons, ...(onStores?.comparisons ?? [])],
      requests: onStores?.requests ?? [],
      memory,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(plan: Plan): Promise<void> {
  const interruption = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => interruption.abort(new Error(`interrupted by ${name}`)));
  }
  const report = await bench(plan, interruption.signal);
  console.log(formatReport(report));
  if (plan.json === undefined) console.log(`\n${JSON.stringify(report)}`);
  else await writeFile(plan.json, `${JSON.stringify(report, undefined, 2)}\n`);
}

function fail(message: unknown): void {
  console.error(message);
  process.exitCode = 1;
}

try {
  const plan = parsePlan();
  if (plan === 'help') console.log(USAGE);
  else run(plan).catch(fail);
} catch (error) {
  fail(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
}
