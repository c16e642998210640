// The list in which AWS publishes its addresses (`ip-ranges.json`), at a URL or in a file: read within a time and a
// size, and made a table.
import { createReadStream } from 'node:fs';
import { z } from 'zod';
import { AddressTable } from './addresses.js';

/** How long a reading may take, in milliseconds. */
const PATIENCE = 10_000;

/** Several times the list of AWS, in bytes. */
const MAX_BYTES = 16 * 1024 * 1024;

const region = z.string();

const rangeList = z.object({
  prefixes: z.array(z.object({ ip_prefix: z.cidrv4(), region })),
  ipv6_prefixes: z.array(z.object({ ipv6_prefix: z.cidrv6(), region })).default([]),
});

export interface RangeSource {
  /** An `http` or `https` URL, or the path of a file. */
  readonly source: string;
  /** In lower case; none are all. */
  readonly regions: readonly string[];
}

/** As it may be logged: a URL without its query, which may be a secret. */
function nameOf(source: string): string {
  if (!isUrl(source)) return JSON.stringify(source);
  const { origin, pathname } = new URL(source);
  return `${origin}${pathname}`;
}

/**
 * The networks of AWS in its regions, or in those that are named.
 *
 * @throws Error that names the source, when it cannot be read, is no such list, or has nothing of a region.
 */
export async function readRanges({ source, regions }: RangeSource, closing: AbortSignal): Promise<AddressTable> {
  try {
    return new AddressTable(networksOf(await readInTime(source, closing), regions));
  } catch (cause) {
    throw new Error(`ipRangesUrl ${nameOf(source)} cannot be used`, { cause });
  }
}

function networksOf(text: string, regions: readonly string[]): string[] {
  const { prefixes, ipv6_prefixes } = parseList(text);
  const all = [
    ...prefixes.map(({ ip_prefix, region }) => ({ network: ip_prefix, region: region.toLowerCase() })),
    ...ipv6_prefixes.map(({ ipv6_prefix, region }) => ({ network: ipv6_prefix, region: region.toLowerCase() })),
  ];
  if (regions.length === 0) return all.map(({ network }) => network);
  const known = new Set(all.map(({ region }) => region));
  const unknown = regions.find((name) => !known.has(name));
  if (unknown !== undefined) throw new Error(`has no address of the region ${JSON.stringify(unknown)}`);
  const wanted = new Set(regions);
  return all.filter(({ region }) => wanted.has(region)).map(({ network }) => network);
}

/** @throws Error that quotes nothing of it: who knows what the file is. */
function parseList(text: string): z.output<typeof rangeList> {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Error('is not JSON');
  }
  const { data, success } = rangeList.safeParse(document);
  if (!success) throw new Error('is no list of addresses as AWS publishes it');
  return data;
}

async function readInTime(source: string, closing: AbortSignal): Promise<string> {
  // Not AbortSignal.any over AbortSignal.timeout: Node 20 may collect that time-out as garbage before it is up.
  const patience = new AbortController();
  const giveUp = (reason: unknown) => patience.abort(reason);
  const timer = setTimeout(giveUp, PATIENCE, new Error(`has not been read within ${PATIENCE} ms`)).unref();
  const close = () => giveUp(closing.reason);
  closing.addEventListener('abort', close);
  try {
    return await readText(await openSource(source, patience.signal));
  } catch (error) {
    // A stream says that it was aborted, and not why.
    throw patience.signal.aborted ? patience.signal.reason : error;
  } finally {
    clearTimeout(timer);
    closing.removeEventListener('abort', close);
  }
}

/** Redirects are not followed: whose word counts is what the options say. */
async function openSource(source: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  if (!isUrl(source)) return createReadStream(source, { signal });
  const { status, body } = await fetch(source, { redirect: 'manual', signal });
  if (status === 200 && body !== null) return body;
  await body?.cancel();
  throw new Error(`answers ${status}, not 200; redirects are not followed`);
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > MAX_BYTES) throw new Error(`has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function isUrl(source: string): boolean {
  return /^https?:\/\//i.test(source);
}
