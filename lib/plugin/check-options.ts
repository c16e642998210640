// Checks options against any Standard Schema and says everything that is wrong at once: what the
// library found, and every key that the schema does not know, whether or not the library minds.
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { OptionsProblem } from '../errors.js';
import { classNameOf, cloneOptions, containsItself, freezeOptions, isPlainObject } from './clone-options.js';
import { formatPath, type OptionPath } from './option-path.js';
import { Outline } from './outline.js';
import { scrub, secretsIn } from './secrets.js';
import { droppedKeys, unknownKeys } from './unknown-keys.js';

/** A problem whose path is not written yet. */
export interface ProblemAt {
  readonly at: OptionPath;
  readonly message: string;
}

/** The value with its defaults, or what is wrong. */
export type Checked<T, P = OptionsProblem> =
  | { readonly value: T; readonly problems?: never }
  | { readonly value?: never; readonly problems: readonly P[] };

/**
 * Checks options, and refuses keys that the schema does not know at every level, suggesting the one
 * that was probably meant.
 *
 * Which keys are known is read from the schema's JSON Schema (Standard Schema 1.1). A schema that
 * has none must at least drop what it does not know: the keys of its output are taken for those of
 * its input.
 *
 * The input is neither changed nor kept; the value is frozen. No message contains a secret.
 *
 * @param input `undefined` is an object without options.
 * @param path where the options stand: `storage.gcs`.
 */
export function checkOptions<S extends StandardSchemaV1>(
  schema: S,
  input: unknown,
  path = '',
): Checked<StandardSchemaV1.InferOutput<S>> {
  const { value, problems } = inspectOptions(schema, input);
  if (problems === undefined) return { value };
  return { problems: problems.map(({ at, message }) => ({ path: formatPath(at, path), message })) };
}

/** {@link checkOptions}, for those that write the path themselves. */
export function inspectOptions<S extends StandardSchemaV1>(
  schema: S,
  input: unknown,
): Checked<StandardSchemaV1.InferOutput<S>, ProblemAt> {
  const options = cloneOptions(input === undefined ? {} : input);
  const unfit = whyUnfit(options);
  if (unfit !== undefined) return { problems: [{ at: [], message: unfit }] };
  const outline = Outline.of(schema);
  const result = validate(schema, options);
  const issues = result.issues?.flatMap(problemsOf) ?? [];
  const unknown = outline === undefined ? unknownByOutput(options, result) : unknownKeys(outline, options);
  const problems = withoutRepetition([...unknown, ...issues]);
  if (problems.length === 0 && result.issues === undefined) return { value: freezeOptions(result.value) };
  const secrets = secretsIn(schema, options);
  return { problems: problems.map(({ at, message }) => ({ at, message: scrub(message, secrets) })) };
}

function unknownByOutput(options: unknown, result: StandardSchemaV1.Result<unknown>): ProblemAt[] {
  return result.issues === undefined ? droppedKeys(options, result.value) : [];
}

/** Why `options` are no options object at all. */
function whyUnfit(options: unknown): string | undefined {
  if (isPlainObject(options)) return containsItself(options) ? 'must not contain itself' : undefined;
  return `must be an object of options, not ${describeSort(options)}`;
}

function describeSort(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value !== 'object') return `a ${typeof value}`;
  return `an instance of ${classNameOf(value)}`;
}

/** What the library says. A library that throws, or that wants to be waited for, has said no. */
function validate(schema: StandardSchemaV1, options: unknown): StandardSchemaV1.Result<unknown> {
  try {
    const result = schema['~standard'].validate(options);
    if (!(result instanceof Promise)) return result;
    // Its failure, if it fails, is not interesting any more.
    result.catch(() => undefined);
    return { issues: [{ message: 'the schema must check synchronously' }] };
  } catch (error) {
    return { issues: [{ message: `cannot be checked: ${error instanceof Error ? error.message : String(error)}` }] };
  }
}

/** What zod says besides what the standard asks. */
interface ZodIssue extends StandardSchemaV1.Issue {
  readonly code?: unknown;
  readonly keys?: unknown;
  readonly errors?: unknown;
}

/** One issue as problems: zod names several unknown keys in one, and hides those of a union's variants within. */
function problemsOf(issue: ZodIssue): ProblemAt[] {
  const at = (issue.path ?? []).map((segment) => (typeof segment === 'object' ? segment.key : segment));
  const below = (problem: ProblemAt) => ({ at: [...at, ...problem.at], message: problem.message });
  if (issue.code === 'unrecognized_keys' && Array.isArray(issue.keys)) {
    return issue.keys.map((key: PropertyKey) => ({ at: [...at, key], message: 'unknown option' }));
  }
  if (issue.code === 'invalid_union' && Array.isArray(issue.errors)) {
    const variant = likeliestVariant(issue.errors.map((issues: ZodIssue[]) => issues.flatMap(problemsOf)));
    if (variant !== undefined) return variant.map(below);
  }
  return [{ at, message: issue.message }];
}

/** The variant of a union that fails least, unless the value as a whole is like none of them. */
function likeliestVariant(variants: readonly (readonly ProblemAt[])[]): readonly ProblemAt[] | undefined {
  const alike = variants.filter((problems) => problems.length > 0 && problems.every(({ at }) => at.length > 0));
  return alike.sort((a, b) => a.length - b.length)[0];
}

/** The first word on an unknown key is ours, with its suggestion; what the library says of it is not said again. */
function withoutRepetition(problems: readonly ProblemAt[]): ProblemAt[] {
  const unknown = new Set<string>();
  return problems.filter(({ at, message }) => {
    const path = formatPath(at);
    if (unknown.has(path)) return false;
    if (message.startsWith('unknown option')) unknown.add(path);
    return true;
  });
}
