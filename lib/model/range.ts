// The two range headers: `Range` of a download (RFC 9110, section 14.2) and `Content-Range` of a
// chunk (OCI distribution-spec, "Pushing a blob in chunks").

/** Bytes `start` to `end`, both inclusive, counted from 0. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const SINGLE_RANGE = /^bytes=\s*(\d*)-(\d*)\s*$/;
const CONTENT_RANGE = /^(?:bytes[ =])?(\d+)-(\d+)(?:\/(?:\d+|\*))?$/;

/**
 * What a `Range` header asks of `size` bytes: `undefined` for the whole (no header, several ranges,
 * another unit, or nonsense, which RFC 9110 says to ignore), or `unsatisfiable`, as is a range that
 * ends before it begins: RFC 9110 allows either, and a client that counts wrong should hear of it.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  if (header === undefined) return undefined;
  const match = SINGLE_RANGE.exec(header);
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Number(last);
  return start >= size || end < start ? 'unsatisfiable' : { start, end: Math.min(end, size - 1) };
}

/** The span of a chunk: `a-b`, tolerating `bytes a-b/*`. `undefined` when it is malformed. */
export function parseContentRange(header: string): ByteRange | undefined {
  const match = CONTENT_RANGE.exec(header.trim());
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]);
  return Number.isSafeInteger(start) && Number.isSafeInteger(end) && start <= end ? { start, end } : undefined;
}

/** The `Range` of an upload session: `0-<last>`, and by custom `0-0` when nothing was received. */
export function formatUploadRange(size: number): string {
  return `0-${Math.max(size - 1, 0)}`;
}
