// Durations and sizes as people write them: numbers, or strings with a unit.
import { z } from 'zod';

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1_000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  tb: 1_000_000_000_000,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|[smhdw])/g;
const SIZE = /^(\d+(?:\.\d+)?) ?((?:[kmgt]i?)?b)?$/i;

function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  const parts = [...text.matchAll(DURATION_PART)];
  return Math.round(parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (DURATION_UNITS[unit] ?? 0), 0));
}

function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text);
  if (match === null) return undefined;
  const [, count, unit = ''] = match;
  return Math.round(Number(count) * (SIZE_UNITS[unit.toLowerCase()] ?? 0));
}

/** The least and the greatest value, both allowed, each written as the option itself may be. */
export interface UnitBounds {
  readonly min?: number | string;
  readonly max?: number | string;
}

interface Unit {
  readonly parse: (text: string) => number | undefined;
  /** What a value must be, for the message. */
  readonly form: string;
  /** What a plain number counts. */
  readonly base: string;
}

const DURATION_UNIT: Unit = { parse: parseDuration, form: 'milliseconds or a string such as "20m"', base: 'ms' };
const SIZE_UNIT: Unit = {
  parse: parseSize,
  form: 'a whole number of bytes or a string such as "16MiB"',
  base: 'bytes',
};

/** The number that `value` stands for; `undefined` when it stands for none. */
function read(unit: Unit, value: number | string): number | undefined {
  const number = typeof value === 'number' ? value : unit.parse(value);
  return number !== undefined && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

interface Bound {
  readonly value: number;
  readonly text: string;
}

function readBound(unit: Unit, bound: number | string | undefined, otherwise: number): Bound {
  const value = bound === undefined ? otherwise : read(unit, bound);
  if (value === undefined) throw new TypeError(`a bound must be ${unit.form}, not ${bound}`);
  return { value, text: typeof bound === 'string' ? bound : `${value} ${unit.base}` };
}

function quantity(unit: Unit, bounds: UnitBounds): z.ZodType<number, number | string> {
  const min = readBound(unit, bounds.min, 0);
  const max = readBound(unit, bounds.max, Number.MAX_SAFE_INTEGER);
  const form = `must be ${unit.form}`;
  return z.union([z.number(), z.string()], { error: form }).transform((value, context) => {
    const number = read(unit, value);
    if (number !== undefined && number >= min.value && number <= max.value) return number;
    const bound = number !== undefined && number < min.value ? `at least ${min.text}` : `at most ${max.text}`;
    context.addIssue({ code: 'custom', message: number === undefined ? form : `must be ${bound}` });
    return z.NEVER;
  });
}

/**
 * A duration: whole milliseconds, or a string of numbers with the units `ms s m h d w` (`500ms`,
 * `1.5h`, `1h30m`). The output is milliseconds.
 *
 * A default is given as output (`duration().default(1_200_000)`), or with zod's `prefault` as input
 * (`duration().prefault('20m')`).
 *
 * @throws TypeError when a bound is no duration.
 */
export function duration(bounds: UnitBounds = {}): z.ZodType<number, number | string> {
  return quantity(DURATION_UNIT, bounds);
}

/**
 * A size: whole bytes, or a string with one of the units `B KB MB GB TB` (powers of 1000) and `KiB
 * MiB GiB TiB` (powers of 1024), in whatever case. The output is bytes.
 *
 * @throws TypeError when a bound is no size.
 */
export function size(bounds: UnitBounds = {}): z.ZodType<number, number | string> {
  return quantity(SIZE_UNIT, bounds);
}
