// Listings in the order of the contract. A store orders what it lists by whole names, `a-b` before
// `a/`; the contract by those of the children, `a` before `a-b`.
import type { CallOptions, Entry, EntryKind, ListOptions } from '../contracts/index.js';
import type { Bucket, BucketPage } from './bucket.js';
import { childName, contentName, isComponent } from './names.js';
import { firstBelow, objectsBelow } from './standing.js';

type Children = ReadonlyMap<string, EntryKind>;

/** Keys are ASCII; of any other text only what comes before is known to every store. */
const SAFE_BEGINNING = /^[\w.-]{0,255}/;

/** The children of a page. Where an object and a prefix have one name, the object counts. */
function childrenOf({ objects, prefixes }: BucketPage, prefix: string): Children {
  const children = new Map<string, EntryKind>();
  for (const text of [...prefixes, ...objects.map(({ name }) => name)]) {
    const { name, isPrefix } = childName(text.slice(prefix.length));
    if (!isComponent(name)) continue;
    if (!isPrefix) children.set(name, 'object');
    else if (!children.has(name)) children.set(name, 'prefix');
  }
  return children;
}

/**
 * The names that sort before `name` though the store may list them after it: as a prefix, `a` comes
 * after all that begins with `a-` or `a.`. Ascending.
 */
function stemsOf(name: string): string[] {
  return [...name.matchAll(/[-.]/g)].map(({ index }) => name.slice(0, index)).filter((stem) => stem !== '');
}

/** Those of `names` that are prefixes with something below, found by a look at each. */
async function findPrefixes(bucket: Bucket, prefix: string, names: readonly string[], options: CallOptions) {
  const found = await Promise.all(names.map((name) => firstBelow(bucket, `${prefix}${name}/`, options)));
  return names.filter((_, index) => found[index] !== undefined);
}

/**
 * The direct children below `prefix`, ascending by name: a page at a time, each put in order, with
 * those that the store lists on a later page, though they belong here, looked for by name. An entry
 * of a later page that sorts before what was shown has been shown.
 *
 * @returns whether there are any, be they before `after`.
 */
export async function* listChildren(
  bucket: Bucket,
  prefix: string,
  { after = '', signal }: ListOptions,
): AsyncGenerator<Entry, boolean, undefined> {
  const beginning = SAFE_BEGINNING.exec(after)?.[0] ?? '';
  const from = beginning === '' ? undefined : prefix + beginning;
  let last = after;
  let any = false;
  let next: string | undefined;
  do {
    const page = await bucket.list(prefix, { delimited: true, from, next, signal });
    const children = childrenOf(page, prefix);
    next = page.next;
    any ||= children.size > 0;
    const names = [...children.keys()].filter((name) => name > last).sort();
    const stems =
      next === undefined ? [] : stemsOf(names.at(-1) ?? '').filter((stem) => stem > last && !children.has(stem));
    const ordered = withStems(names, stems, (missing) => findPrefixes(bucket, prefix, missing, { signal }));
    for await (const name of ordered) yield { name, kind: children.get(name) ?? 'prefix' };
    last = names.at(-1) ?? last;
  } while (next !== undefined);
  return any;
}

/** Merges `names` with those of `stems` that `look` finds, and looks no earlier than it has to. */
async function* withStems(
  names: readonly string[],
  stems: readonly string[],
  look: (stems: readonly string[]) => Promise<readonly string[]>,
): AsyncGenerator<string, void, undefined> {
  const [first] = stems;
  const early = first === undefined ? names : names.filter((name) => name < first);
  yield* early;
  if (first === undefined) return;
  yield* [...names.slice(early.length), ...(await look(stems))].sort();
}

/** The names of every object below `prefix`; what is being appended has one, however many parts it has. */
export async function* walkBelow(
  bucket: Bucket,
  prefix: string,
  options?: CallOptions,
): AsyncGenerator<string, void, undefined> {
  let last: string | undefined;
  for await (const object of objectsBelow(bucket, prefix, options)) {
    const name = contentName(object.name);
    if (name === undefined || name === last || !name.slice(prefix.length).split('/').every(isComponent)) continue;
    yield name;
    last = name;
  }
}
