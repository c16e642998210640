// Runs one row on two servers by turns, so that a machine that slows down slows both, and takes the
// medians.
import { createHistogram } from 'node:perf_hooks';
import { limited, type Sample } from './load.js';
import { cpuSeconds } from './process-cost.js';
import type { Row, Stage } from './rows.js';
import type { Server } from './server.js';

/** A server that takes longer for one measurement hangs. */
const MEASUREMENT_LIMIT_MS = 60_000;

/** What a row found out about one server. */
export interface Outcome {
  readonly server: string;
  /** In the row's unit, one a round. */
  readonly rates: readonly number[];
  readonly median: number;
  /** Of all rounds together. */
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** The part of the time in which the server had a CPU, 0 to 1: less than 1 and it waited for a disk or for others. */
  readonly serverBusy: number;
  /** The generator's share of its CPU in its busiest round, 0 to 1. */
  readonly generatorBusy: number;
}

/** A sample with the CPU time that the server spent on it. */
interface CostedSample extends Sample {
  readonly serverSeconds: number;
}

/** Of our server and of theirs. */
export type Samples = readonly [ours: CostedSample[], theirs: CostedSample[]];

/** What a row found out. */
export interface Comparison {
  readonly name: string;
  readonly unit: Row['unit'];
  readonly ours: Outcome;
  readonly theirs: Outcome;
  readonly ratio: number;
  readonly target: number;
  readonly met: boolean;
  readonly remarks: readonly string[];
}

/** Measures `row` `rounds` times on each server, after one round that warms up and does not count. */
export async function compare<V extends Server, S extends Stage>(
  row: Row<V, S>,
  servers: readonly [V, V],
  stage: S,
  rounds: number,
): Promise<Comparison> {
  const [ours, theirs] = servers;
  const samples: Samples = [[], []];
  await collect(row, servers, stage, rounds, samples);
  const remarks = row.remark === undefined ? [] : [await row.remark(ours, stage), await row.remark(theirs, stage)];
  return { ...conclude(row, [ours.name, theirs.name], samples), remarks };
}

/** Adds `rounds` samples of each server to `samples`, after a round that does not count. */
export async function collect<V extends Server, S extends Stage>(
  row: Row<V, S>,
  servers: readonly [V, V],
  stage: S,
  rounds: number,
  samples: Samples,
): Promise<void> {
  const before = samples[0].length;
  for (let round = 0; round <= rounds; round++) {
    // Whoever is first may find another machine than whoever is second.
    const turns = (before + round) % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    const taken: CostedSample[] = [];
    for (const turn of turns) taken[turn] = await measure(row, servers[turn], stage);
    if (round > 0) for (const turn of turns) samples[turn].push(taken[turn] as CostedSample);
  }
}

/** What samples of a row mean. */
export function conclude(
  row: Pick<Row, 'name' | 'unit' | 'target'>,
  names: readonly [ours: string, theirs: string],
  samples: Samples,
): Comparison {
  const { name, unit, target } = row;
  const ours = outcomeOf(names[0], row, samples[0]);
  const theirs = outcomeOf(names[1], row, samples[1]);
  const ratio = ours.median / theirs.median;
  return { name, unit, ours, theirs, ratio, target, met: ratio >= target, remarks: [] };
}

async function measure<V extends Server, S extends Stage>(row: Row<V, S>, server: V, stage: S): Promise<CostedSample> {
  const before = await secondsOf(server);
  const sample = await row.measure(server, { ...stage, signal: limited(stage.signal, MEASUREMENT_LIMIT_MS) });
  return { ...sample, serverSeconds: (await secondsOf(server)) - before };
}

/** CPU time so far of a server, and of what it stands in front of. */
async function secondsOf({ pid, upstream }: Server): Promise<number> {
  return (await cpuSeconds(pid)) + (upstream === undefined ? 0 : await secondsOf(upstream));
}

function outcomeOf(server: string, { unit }: Pick<Row, 'unit'>, samples: readonly CostedSample[]): Outcome {
  const rates = samples.map(({ operations, bytes, seconds }) => (unit === 'MB/s' ? bytes / 1e6 : operations) / seconds);
  const latencies = createHistogram();
  for (const sample of samples) latencies.add(sample.latencies);
  return {
    server,
    rates,
    median: median(rates),
    latencyMs: { p50: latencies.percentile(50) / 1e6, p99: latencies.percentile(99) / 1e6 },
    serverBusy: median(samples.map(({ serverSeconds, seconds }) => serverSeconds / seconds)),
    generatorBusy: Math.max(...samples.map((sample) => sample.generatorBusy)),
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
}
