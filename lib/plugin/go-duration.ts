// Durations as Go writes them, and so the configuration of distribution: `168h`, `1h30m`, `500us`.
import { z } from 'zod';

/** In nanoseconds. Days and weeks are not Go's, and mean the same to everybody. */
const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 3.6e12,
  d: 8.64e13,
  w: 6.048e14,
};

const DURATION = /^\+?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|ms|[smhdw]))+)$/;
const PART = /([\d.]+)([a-z]+)/g;

/** Go takes the micro sign and the Greek letter for the `u` of microseconds. */
const MICRO = /[\u00b5\u03bc]/g;

const FORM = 'must be a duration with a unit, such as "168h" or "1h30m"';

/** Whole milliseconds, rounded up: a time that is not zero stays one. */
function parseGoDuration(written: string): number | undefined {
  const text = written.replace(MICRO, 'u');
  if (!DURATION.test(text)) return undefined;
  const parts = [...text.matchAll(PART)].map(([, count, unit = '']) => Number(count) * (UNITS[unit] ?? 0));
  const milliseconds = Math.ceil(Math.round(parts.reduce((sum, part) => sum + part, 0)) / 1e6);
  return Number.isSafeInteger(milliseconds) ? milliseconds : undefined;
}

/**
 * The schema of a duration in a document of distribution; the output is milliseconds. A number without a
 * unit is refused: distribution would count nanoseconds, and everything else here milliseconds.
 */
export const goDuration = z.union([z.literal(0), z.string()], { error: FORM }).transform((written, context) => {
  const milliseconds = written === 0 ? 0 : parseGoDuration(written);
  if (milliseconds !== undefined) return milliseconds;
  context.addIssue({ code: 'custom', message: FORM });
  return z.NEVER;
});
