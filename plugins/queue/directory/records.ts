// How an event stands in a file: the length of its JSON and a CRC-32 of that, four bytes each, and the JSON.

import { crc32 } from 'node:zlib';
import type { RegistryEvent } from 'koa-registry';

/** Before the JSON, in bytes. */
export const HEADER_BYTES = 8;

export function recordOf(event: RegistryEvent): Buffer {
  const json = JSON.stringify(event);
  const length = Buffer.byteLength(json);
  const record = Buffer.allocUnsafe(HEADER_BYTES + length);
  record.write(json, HEADER_BYTES);
  record.writeUInt32LE(length, 0);
  record.writeUInt32LE(crc32(record.subarray(HEADER_BYTES)), 4);
  return record;
}

export function eventOf(record: Buffer): RegistryEvent {
  return JSON.parse(record.toString('utf8', HEADER_BYTES));
}

/** How long the record is that begins `bytes`, if it is one. */
export function lengthOf(bytes: Buffer): number {
  return bytes.length < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + bytes.readUInt32LE(0);
}

/** The records that `bytes` begin with, up to the first that is not whole or not as it was written. */
export function recordsIn(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let rest = bytes; rest.length > HEADER_BYTES; ) {
    const record = rest.subarray(0, lengthOf(rest));
    if (record.length < lengthOf(rest) || !isIntact(record)) break;
    records.push(record);
    rest = rest.subarray(record.length);
  }
  return records;
}

/** Where in `bytes` a record may begin, by the brace of its JSON. */
export function* placesIn(bytes: Buffer): Generator<number> {
  for (let brace = bytes.indexOf('{', HEADER_BYTES); brace >= 0; brace = bytes.indexOf('{', brace + 1)) {
    yield brace - HEADER_BYTES;
  }
}

/** A file system may leave zeros where nothing was written yet: no event is that short. */
function isIntact(record: Buffer): boolean {
  return record.length > HEADER_BYTES && crc32(record.subarray(HEADER_BYTES)) === record.readUInt32LE(4);
}
