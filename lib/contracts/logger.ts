// What the registry asks of a logger: pino's interface, as far as it is used.

/** One level's method: `log.info({ repository }, 'manifest pushed')`. */
export type LogMethod = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** pino's interface; the host application's own pino logger fits as it is. */
export interface Logger {
  debug: LogMethod;
  info: LogMethod;
  warn: LogMethod;
  error: LogMethod;
  child(fields: Readonly<Record<string, unknown>>): Logger;
}
