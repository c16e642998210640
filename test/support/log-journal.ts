// What every registry of a test run has logged, in files of one folder, for the tests in `test/after`
// that look through all of it.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';

/** The folder; the runner sets it. */
export const LOG_FOLDER = 'KOA_REGISTRY_TEST_LOGS';

/** Adds text to the journal of the run, where there is one. */
export function journal(text: string): void {
  const folder = process.env[LOG_FOLDER];
  if (folder !== undefined) appendFileSync(join(folder, `${process.pid}.log`), text);
}

/** Writes a line as pino would, errors and all: a recording logger keeps objects, and no log does. */
export function journalLine(fields: Readonly<Record<string, unknown>>, message: string): void {
  if (process.env[LOG_FOLDER] !== undefined) lines.info(fields, message);
}

const lines = pino({ level: 'info' }, { write: journal });
