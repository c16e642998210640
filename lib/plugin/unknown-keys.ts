// Finds the keys of an options object that its schema does not know, and what was probably meant.
import { distance } from 'fastest-levenshtein';
import type { ProblemAt } from './check-options.js';
import { classNameOf, isPlainObject, keysOf } from './clone-options.js';
import type { OptionPath } from './option-path.js';
import type { Outline } from './outline.js';

/** The keys of `value` that are not in the schema's outline. */
export function unknownKeys(outline: Outline, value: unknown, at: OptionPath = []): ProblemAt[] {
  if (!Array.isArray(value) && !isPlainObject(value)) return strangers(outline, value, at);
  const variants = outline.variants(value);
  if (variants.some(({ open }) => open)) return [];
  const found = variants.map((variant) => unknownInVariant(variant, value, at));
  // The variant with which least is wrong is the one that was meant.
  return found.sort((a, b) => a.length - b.length)[0] ?? [];
}

function unknownInVariant(outline: Outline, value: object, at: OptionPath): ProblemAt[] {
  if (Array.isArray(value)) {
    return value.flatMap((element, index) => unknownKeys(outline.element(index), element, [...at, index]));
  }
  return keysOf(value).flatMap((key) => {
    const member = outline.member(key);
    if (member === undefined) return [{ at: [...at, key], message: unknownOption(key, outline.keys) }];
    return unknownKeys(member, Reflect.get(value, key), [...at, key]);
  });
}

/** An instance where the schema lists keys: its members are nobody's options, and cannot be told apart from them. */
function strangers(outline: Outline, value: unknown, at: OptionPath): ProblemAt[] {
  const stranger = typeof value === 'object' && value !== null && outline.hasKeys;
  return stranger ? [{ at, message: `must be a plain object, not an instance of ${classNameOf(value)}` }] : [];
}

/** The keys of `input` that a schema without a JSON Schema left out of its output. */
export function droppedKeys(input: unknown, output: unknown, at: OptionPath = []): ProblemAt[] {
  if (Array.isArray(input) && Array.isArray(output)) {
    return input.flatMap((element, index) => droppedKeys(element, output[index], [...at, index]));
  }
  if (!isPlainObject(input) || !isPlainObject(output)) return [];
  return keysOf(input).flatMap((key) => {
    if (Object.hasOwn(output, key)) return droppedKeys(input[key], output[key], [...at, key]);
    if (input[key] === undefined) return [];
    return [{ at: [...at, key], message: unknownOption(key, Object.keys(output)) }];
  });
}

/** A key without what its writers disagree about: `rootDirectory`, `rootdirectory` and `root_directory` are one. */
export function bareKey(key: string): string {
  return key.toLowerCase().replace(/[_-]/g, '');
}

function unknownOption(key: PropertyKey, known: readonly string[]): string {
  const meant = typeof key === 'string' ? nearest(key, known) : undefined;
  return meant === undefined ? 'unknown option' : `unknown option, did you mean ${JSON.stringify(meant)}?`;
}

/** How many slips of the pen make `a` of `b`; letters that only changed places are one. */
function slipsBetween(a: string, b: string): number {
  const letters = (text: string) => [...text].sort().join('');
  return letters(a) === letters(b) ? Math.min(1, distance(a, b)) : distance(a, b);
}

/** The known key that `key` was probably meant to be: at most a third of its letters are wrong. */
function nearest(key: string, known: readonly string[]): string | undefined {
  const near = known
    .map((name) => ({ name, slips: slipsBetween(bareKey(key), bareKey(name)) }))
    .filter(({ name, slips }) => slips <= Math.max(1, Math.floor(name.length / 3)));
  return near.sort((a, b) => a.slips - b.slips)[0]?.name;
}
