// Secrets among the options: marked `writeOnly` in the schema, and never printed.
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { z } from 'zod';
import { classNameOf, containsItself, isGroup, isPlainObject } from './clone-options.js';
import { isPlugin } from './define-plugin.js';
import { Outline } from './outline.js';

const SECRET = '[secret]';

/** Marks a zod schema as a secret: `secret(z.string())`. Other libraries: `writeOnly: true` in the JSON Schema. */
export function secret<S extends z.ZodType>(schema: S): S {
  return schema.meta({ ...schema.meta(), writeOnly: true });
}

/**
 * A copy of options for a log: `[secret]` where the schema marks a secret and where it does not know
 * the key (a misspelt `secret` is one too), the name of the class for an instance. Where a schema
 * gives no JSON Schema, nothing tells a secret from another text, and every text is hidden.
 */
export function redact(schema: StandardSchemaV1, options: unknown): unknown {
  if (containsItself(options)) return '[circular]';
  const outline = Outline.of(schema);
  const hideMember =
    outline === undefined ? hideTexts : (value: unknown, key: string) => hideSecrets(outline.member(key), value);
  return isPlainObject(options) ? mapMembers(options, hideMember) : hideTexts(options);
}

function hideSecrets(outline: Outline | undefined, value: unknown): unknown {
  if (value === undefined) return undefined;
  if (outline === undefined || outline.secret) return SECRET;
  if (Array.isArray(value)) return value.map((element, index) => hideSecrets(outline.element(index), element));
  // What lives and is not described (a logger) may go on for ever.
  if (!isPlainObject(value) || (outline.open && !isGroup(value))) return nameOf(value);
  return mapMembers(value, (member, key) => hideSecrets(outline.member(key), member));
}

function hideTexts(value: unknown): unknown {
  if (typeof value === 'string') return SECRET;
  if (Array.isArray(value)) return value.map(hideTexts);
  return isPlainObject(value) && isGroup(value) ? mapMembers(value, hideTexts) : nameOf(value);
}

function mapMembers(value: object, map: (member: unknown, key: string) => unknown): unknown {
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, map(member, key)]));
}

/** What a log shows of functions and live objects; plain values are shown as they are. */
function nameOf(value: unknown): unknown {
  if (typeof value === 'function') return '[function]';
  return typeof value === 'object' && value !== null ? `[${classNameOf(value)}]` : value;
}

/** The texts that {@link redact} hides, longest first. */
export function secretsIn(schema: StandardSchemaV1, options: unknown): readonly string[] {
  const found = hiddenTexts(options, redact(schema, options));
  return [...new Set(found)].sort((a, b) => b.length - a.length);
}

function hiddenTexts(value: unknown, shown: unknown): string[] {
  // A plugin among the options has secrets of its own.
  if (isPlugin(value)) return [...secretsIn(value.definition.options, value.options)];
  if (isGroup(value) || (isPlainObject(value) && typeof shown === 'object')) {
    const inner = (key: string): unknown =>
      typeof shown === 'object' && shown !== null ? Reflect.get(shown, key) : shown;
    return Object.entries(value).flatMap(([key, member]) => hiddenTexts(member, inner(key)));
  }
  const printable = typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
  return shown === SECRET && printable && value !== '' ? [String(value)] : [];
}

/** Shorter ones occur in any sentence, and are looked for as words of their own. */
const DISTINCTIVE_LENGTH = 4;

function occurrencesOf(text: string): RegExp {
  const pattern = text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  return new RegExp(text.length < DISTINCTIVE_LENGTH ? `(?<!\\w)${pattern}(?!\\w)` : pattern, 'g');
}

/** Takes texts out of a message, also where they stand as JSON writes them. */
export function scrub(message: string, secrets: readonly string[]): string {
  const spellings = secrets.flatMap((text) => [JSON.stringify(text).slice(1, -1), text]);
  return spellings.reduce((clean, text) => clean.replace(occurrencesOf(text), SECRET), message);
}
