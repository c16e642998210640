// Hosts of a registry that share a Redis, as the tests of both plugins on it need them: quick to notice an
// outage, and with a log that can be read.
import type { Descriptor, Logger, Plugin, PluginKind, Started } from 'koa-registry';
import { digestOf, startPlugin } from 'koa-registry';
import { journalLine } from '../support/log-journal.js';

/** What is the same for both plugins. The least pauses that a busy machine does not take for an outage. */
export const QUICK = { dialTimeout: 100, breaker: { failures: 3, pause: 20 }, commandTimeout: 400 } as const;

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A plugin at work, and what it has logged. */
export type LoggedPlugin<K extends PluginKind> = Started<K> & { readonly log: readonly LogLine[] };

export async function startLogged<K extends PluginKind>(plugin: Plugin<K>): Promise<LoggedPlugin<K>> {
  const log: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) => {
    log.push({ level, fields, message });
    journalLine(fields, message);
  };
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return { ...(await startPlugin(plugin, { logger })), log };
}

/** Runs `work` with plugins at work, which are closed afterwards. */
export async function withPlugins<K extends PluginKind>(
  plugins: readonly Plugin<K>[],
  work: (...started: LoggedPlugin<K>[]) => Promise<void>,
): Promise<void> {
  const started: LoggedPlugin<K>[] = [];
  try {
    for (const plugin of plugins) started.push(await startLogged(plugin));
    await work(...started);
  } finally {
    for (const { close } of started) await close();
  }
}

export function descriptorOf(text: string): Descriptor {
  return { mediaType: 'application/octet-stream', digest: digestOf(Buffer.from(text)), size: text.length };
}
