// Configuration files write keys their own way (`rootdirectory`, `root_directory`); a schema knows
// one. Matches the former to the latter.
import { isPlainObject } from './clone-options.js';
import type { Outline } from './outline.js';
import { bareKey } from './unknown-keys.js';

/**
 * A copy of `value` with its keys spelled as the schema spells them: letter case, `_` and `-` do not
 * count. Keys that the schema does not know, or that are there twice, stay as they are, to be refused.
 */
export function matchKeys(outline: Outline | undefined, value: unknown): unknown {
  if (outline === undefined) return value;
  if (Array.isArray(value)) return value.map((element, index) => matchKeys(outline.element(index), element));
  if (!isPlainObject(value)) return value;
  const known = new Map(outline.keys.map((key) => [bareKey(key), key]));
  const entries = Object.entries(value).map(([key, member]) => {
    const spelled = known.get(bareKey(key)) ?? key;
    const name = Object.hasOwn(value, spelled) ? key : spelled;
    return [name, matchKeys(outline.member(name), member)];
  });
  return Object.fromEntries(entries);
}
