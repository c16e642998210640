// What a registry logs while a test runs, and whether something is in it that must not be.
import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import { isPlugin, type Logger, type Plugin, redact } from 'koa-registry';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export function recorder(lines: LogLine[], bound: LogLine['fields'] = {}): Logger {
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) =>
    void lines.push({ level, fields: { ...bound, ...fields }, message });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => recorder(lines, { ...bound, ...fields }),
  };
}

/** Shorter, and nobody can tell whether it is the secret or a word that happens to be the same. */
const DISTINCTIVE_LENGTH = 8;

/** As long as signatures are, and longer than the names and dates that stand beside them. */
const SIGNATURE_LENGTH = 20;

/** All of something, as text: also what an error carries besides its message. */
function textOf(seen: unknown): string {
  return inspect(seen, {
    depth: Infinity,
    maxArrayLength: Infinity,
    maxStringLength: Infinity,
    breakLength: Infinity,
    showHidden: true,
  });
}

/** Asserts that something holds none of the texts, without saying which. */
export function assertUnseen(secrets: Iterable<string>, seen: unknown, where: string): void {
  const text = textOf(seen);
  for (const secret of secrets) assert.ok(!text.includes(secret), `${where} holds what nobody may see`);
}

/** What a plugin's options say that is marked secret, line by line; plugins among them too. */
export function secretsOf({ definition, options }: Plugin): string[] {
  const lines = hiddenIn(options, redact(definition.options, options)).flatMap((text) => text.split('\n'));
  return lines.filter((line) => line.length >= DISTINCTIVE_LENGTH && !line.startsWith('-----'));
}

function hiddenIn(value: unknown, shown: unknown): string[] {
  if (isPlugin(value)) return secretsOf(value);
  if (typeof value === 'string') return value === shown ? [] : [value];
  if (typeof value !== 'object' || value === null) return [];
  const shownOf = (key: string): unknown =>
    typeof shown === 'object' && shown !== null ? Reflect.get(shown, key) : shown;
  return Object.entries(value).flatMap(([key, member]) => hiddenIn(member, shownOf(key)));
}

/** The query of a URL, and what in it is long enough to be a signature. */
export function signaturesOf(url: string): string[] {
  const { search, searchParams } = new URL(url);
  const encoded = search.split(/[&=]/);
  const values = [...searchParams.values(), ...encoded].filter((value) => value.length >= SIGNATURE_LENGTH);
  return search === '' ? [] : [search, ...values];
}
