// What stands at a key: an object, or the parts that were appended and not yet committed. A content
// is there as long as its first part is, which is therefore written first and removed first.
import type { CallOptions } from '../contracts/index.js';
import type { Bucket, BucketObject } from './bucket.js';
import { isFirstPart, partOffset, partsPrefix } from './names.js';

/** An object of the bucket, and where in the content it begins. */
export interface Piece extends BucketObject {
  readonly offset: number;
}

export interface Standing {
  /** The content, in order; none where there is nothing. An object hides the parts of its key. */
  readonly pieces: readonly Piece[];
  /** Whether the content can be appended to. */
  readonly isParts: boolean;
  /**
   * All that has to go for the key to be free, which may be more than the content: a call that was
   * cut off while it removed parts leaves some that belong to nothing.
   */
  readonly names: readonly string[];
}

/** How long the content is, in bytes. */
export function sizeOf(pieces: readonly Piece[]): number {
  const last = pieces.at(-1);
  return last === undefined ? 0 : last.offset + last.size;
}

/** Whether parts are a content: each begins where the one before ends, and the first at 0. */
function areWhole(parts: readonly Piece[]): boolean {
  let end = 0;
  for (const { offset, size } of parts) {
    if (offset !== end) return false;
    end += size;
  }
  return true;
}

/** The objects below a prefix, from page to page, none fetched before it is needed. */
export async function* objectsBelow(
  bucket: Bucket,
  prefix: string,
  { signal }: CallOptions = {},
): AsyncGenerator<BucketObject, void, undefined> {
  let next: string | undefined;
  do {
    const page = await bucket.list(prefix, { delimited: false, next, signal });
    yield* page.objects;
    next = page.next;
  } while (next !== undefined);
}

/** Whether anything stands below a prefix, and what is first. */
export async function firstBelow(
  bucket: Bucket,
  prefix: string,
  { signal }: CallOptions = {},
): Promise<BucketObject | undefined> {
  let next: string | undefined;
  do {
    const page = await bucket.list(prefix, { delimited: false, limit: 1, next, signal });
    if (page.objects[0] !== undefined) return page.objects[0];
    next = page.next;
  } while (next !== undefined);
  return undefined;
}

/** What stands at a key and below it. */
export interface Survey extends Standing {
  /** The first of what stands below, as far as a page shows it. */
  readonly below: readonly BucketObject[];
  /** Whether that may not be all. */
  readonly more: boolean;
}

/** Finds what stands at `name` and below it: by one listing, unless there are many parts, or many neighbours. */
export async function survey(bucket: Bucket, name: string): Promise<Survey> {
  const found: BucketObject[] = [];
  let next: string | undefined;
  do {
    const page = await bucket.list(name, { delimited: false, next });
    found.push(...page.objects);
    next = page.next;
  } while (next !== undefined && !isPast(found.at(-1)?.name, partsPrefix(name)));
  const standing = standingOf(name, found);
  const prefix = `${name}/`;
  const last = found.at(-1)?.name ?? '';
  if (next === undefined || last > prefix) {
    const below = found.filter((object) => object.name.startsWith(prefix));
    return { ...standing, below, more: next !== undefined && !isPast(last, prefix) };
  }
  // Neighbours such as `name-1`, which sort before it, have filled the page.
  const first = await firstBelow(bucket, prefix);
  return { ...standing, below: first === undefined ? [] : [first], more: first !== undefined };
}

/** Whether an ascending listing that has come to `last` shows no more names that begin with `prefix`. */
function isPast(last: string | undefined, prefix: string): boolean {
  return last !== undefined && last > prefix && !last.startsWith(prefix);
}

/** Finds the object at `name` and its parts, which stand side by side, by one listing. */
export function findStanding(bucket: Bucket, name: string, options?: CallOptions): Promise<Standing> {
  return find(bucket, name, name, options);
}

/** As {@link findStanding} where it is known that there is no object. */
export function findParts(bucket: Bucket, name: string, options?: CallOptions): Promise<Standing> {
  return find(bucket, name, partsPrefix(name), options);
}

async function find(bucket: Bucket, name: string, prefix: string, options?: CallOptions): Promise<Standing> {
  const found: BucketObject[] = [];
  for await (const object of objectsBelow(bucket, prefix, options)) {
    if (isPast(object.name, partsPrefix(name))) break;
    found.push(object);
  }
  return standingOf(name, found);
}

/** What `found` says of a key, among which may be objects that have nothing to do with it. */
function standingOf(name: string, found: readonly BucketObject[]): Standing {
  const objects: Piece[] = [];
  const parts: Piece[] = [];
  for (const object of found) {
    const offset = object.name.startsWith(partsPrefix(name)) ? partOffset(object.name, name) : undefined;
    if (object.name === name) objects.push({ ...object, offset: 0 });
    else if (offset !== undefined) parts.push({ ...object, offset });
  }
  const isParts = objects.length === 0;
  const pieces = isParts ? parts : objects;
  return { pieces: areWhole(pieces) ? pieces : [], isParts, names: [...parts, ...objects].map((piece) => piece.name) };
}

/** Deletes objects so that nobody sees a part of a content, wherever this is cut off: the first parts go first. */
export async function deleteHiding(bucket: Bucket, names: readonly string[]): Promise<void> {
  const firsts = names.filter(isFirstPart);
  const others = names.filter((name) => !isFirstPart(name));
  if (firsts.length > 0) await bucket.delete(firsts);
  if (others.length > 0) await bucket.delete(others);
}
