// What may be told of a plugin's failure: an error's message and causes without the plugin's secrets.
import type { Plugin } from './define-plugin.js';
import { scrub, secretsIn } from './secrets.js';

/** An error without its secrets, and without the stack and fields in which more of them may hide. */
export interface FailureReport {
  /** The messages of the error and of what caused it. */
  readonly message: string;
  /** `ECONNREFUSED` and the like, where the error or its cause has one. */
  readonly code?: string;
}

/** An error and its causes, the outermost first. */
function chainOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let at: unknown = error; at !== undefined && !chain.includes(at); ) {
    chain.push(at);
    at = at instanceof Error ? at.cause : undefined;
  }
  return chain;
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join(', ');
  return error instanceof Error ? error.message || error.name : String(error);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

export function reportFailure({ definition, options }: Plugin, error: unknown): FailureReport {
  const chain = chainOf(error);
  const message = scrub([...new Set(chain.map(messageOf))].join(': '), secretsIn(definition.options, options));
  const code = chain.map(codeOf).find((known) => known !== undefined);
  return code === undefined ? { message } : { message, code };
}

/** The same as an error, with the stack of the plugin's own, for the log of whoever has written it. */
export function failureWithoutSecrets(plugin: Plugin, error: unknown): Error {
  const { message, code } = reportFailure(plugin, error);
  const told = Object.assign(new Error(message), code === undefined ? {} : { code });
  if (!(error instanceof Error) || error.stack === undefined) return told;
  told.name = error.name;
  told.stack = scrub(error.stack, secretsIn(plugin.definition.options, plugin.options));
  return told;
}
