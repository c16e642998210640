// What the bench found, as a table for people. The same figures as JSON need no code of their own.
import type { Comparison, Outcome } from './compare.js';
import type { MemoryUse } from './memory.js';
import type { Placement } from './pinning.js';
import { OPERATIONS, type RequestCounts } from './store-requests.js';
import type { ObjectStore } from './stores.js';

/** Everything a run found: what the JSON holds. */
export interface Report {
  readonly node: string;
  readonly placement: Placement | 'unpinned';
  readonly rounds: number;
  readonly comparisons: readonly Comparison[];
  readonly requests: readonly StoreRequests[];
  readonly memory: MemoryUse | undefined;
}

/** How many requests a store got for what clients asked. */
export interface StoreRequests {
  readonly store: ObjectStore['name'];
  readonly counts: RequestCounts;
}

/** At this share of its CPU the generator may be what is measured. */
const GENERATOR_LIMIT = 0.9;

const number = (value: number, digits = 0) =>
  value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
const percent = (share: number) => `${number(share * 100)}%`;
const verdict = (met: boolean) => (met ? 'yes' : 'NO');

/** Renders the table, with remarks below it. */
export function formatReport({ comparisons, requests, memory, placement, rounds }: Report): string {
  const parts = [placementLine(placement, rounds)];
  for (const name of new Set(comparisons.map(pairName))) {
    const table = comparisons.filter((row) => pairName(row) === name);
    parts.push(comparisonTable(table, name));
  }
  if (requests.length > 0) parts.push(requestsTable(requests));
  if (memory !== undefined) parts.push(memoryLine(memory));
  const remarks = comparisons.flatMap((row) =>
    [...row.remarks, ...generatorRemarks(row)].map((text) => `${row.name}: ${text}`),
  );
  if (remarks.length > 0) parts.push(remarks.join('\n'));
  return parts.join('\n\n');
}

function placementLine(placement: Report['placement'], rounds: number): string {
  const where =
    placement === 'unpinned'
      ? 'unpinned'
      : `servers on CPU ${placement.serverCpu}, generator on CPU ${placement.generatorCpu}`;
  return `${where}; medians of ${rounds} rounds`;
}

/** Each two servers have a table of their own. */
function pairName({ ours, theirs }: Comparison): string {
  return `${ours.server} / ${theirs.server}`;
}

/** The figures of both servers in one cell, ours first. */
function pair({ ours, theirs }: Comparison, figure: (outcome: Outcome) => string): string {
  return `${figure(ours)} / ${figure(theirs)}`;
}

function comparisonTable(comparisons: readonly Comparison[], names: string): string {
  const header = [
    '',
    'unit',
    ...names.split(' / '),
    'ratio',
    'target',
    'met',
    'p50 ms',
    'p99 ms',
    'server busy',
    'load busy',
  ];
  const lines = comparisons.map((row) => [
    row.name,
    row.unit,
    number(row.ours.median),
    number(row.theirs.median),
    number(row.ratio, 2),
    `>= ${number(row.target, 2)}`,
    verdict(row.met),
    pair(row, ({ latencyMs }) => number(latencyMs.p50, 2)),
    pair(row, ({ latencyMs }) => number(latencyMs.p99, 2)),
    pair(row, ({ serverBusy }) => percent(serverBusy)),
    pair(row, ({ generatorBusy }) => percent(generatorBusy)),
  ]);
  return alignColumns([header, ...lines]);
}

function requestsTable(requests: readonly StoreRequests[]): string {
  const header = ['requests to the store', '', ...requests.map(({ store }) => store)];
  const lines = OPERATIONS.map((operation) => [
    operation,
    '',
    ...requests.map(({ counts }) => number(counts[operation])),
  ]);
  return alignColumns([header, ...lines]);
}

function memoryLine({ name, server, peakMb, beforeMb, seconds, target, met }: MemoryUse): string {
  const found = `${number(peakMb)} MB (before: ${number(beforeMb)} MB; all pushed in ${number(seconds, 1)} s)`;
  return `${server}, ${name}: ${found}; target <= ${target} MB; met: ${verdict(met)}`;
}

function generatorRemarks({ ours, theirs }: Comparison): string[] {
  const saturated = [ours, theirs].filter(({ generatorBusy }) => generatorBusy >= GENERATOR_LIMIT);
  return saturated.map(({ server }) => `the generator was at its limit, ${server} may be faster than it shows`);
}

function alignColumns(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
}
