// Every error that may cross a module boundary: the table of wire codes and the four classes that
// design gives to those who throw. Nothing here imports anything.

/**
 * The codes of an error answer, each with its HTTP status and default message.
 *
 * Most are the specification's (OCI Distribution 1.1, "Error Codes", and Docker
 * Registry HTTP API V2, "Errors"); `RANGE_INVALID`, `UNAVAILABLE` and `UNKNOWN` are those that
 * `distribution` added and clients know.
 */
export const ERRORS = {
  UNAUTHORIZED: [401, 'authentication required'],
  DENIED: [403, 'requested access to the resource is denied'],
  BLOB_UNKNOWN: [404, 'blob unknown to registry'],
  BLOB_UPLOAD_INVALID: [404, 'blob upload invalid'],
  BLOB_UPLOAD_UNKNOWN: [404, 'blob upload unknown to registry'],
  MANIFEST_UNKNOWN: [404, 'manifest unknown to registry'],
  NAME_UNKNOWN: [404, 'repository name not known to registry'],
  UNSUPPORTED: [405, 'the operation is unsupported'],
  DIGEST_INVALID: [400, 'provided digest did not match uploaded content'],
  SIZE_INVALID: [400, 'provided length did not match content length'],
  NAME_INVALID: [400, 'invalid repository name'],
  TAG_INVALID: [400, 'manifest tag did not match URI'],
  MANIFEST_INVALID: [400, 'manifest invalid'],
  MANIFEST_BLOB_UNKNOWN: [400, 'manifest references a manifest or blob unknown to registry'],
  MANIFEST_UNVERIFIED: [400, 'manifest failed signature verification'],
  PAGINATION_NUMBER_INVALID: [400, 'invalid number of results requested'],
  RANGE_INVALID: [416, 'invalid content range'],
  TOOMANYREQUESTS: [429, 'too many requests'],
  UNAVAILABLE: [503, 'service unavailable'],
  UNKNOWN: [500, 'unknown error'],
} as const satisfies Record<string, readonly [status: number, message: string]>;

/** A code of the {@link ERRORS} table. */
export type ErrorCode = keyof typeof ERRORS;

/** One element of `errors` in an error answer. */
export interface ErrorEntry {
  readonly code: ErrorCode;
  readonly message: string;
  readonly detail?: unknown;
}

/** What a {@link RegistryError} may carry besides its code and detail. */
export interface RegistryErrorOptions {
  /** What led to it; logged, never sent. */
  readonly cause?: unknown;
  /** A status other than the code's own, where the specification asks for one (a manifest that is too large: 413). */
  readonly status?: number;
  /** Headers of the answer: `Location` and `Range` of a 416, `Retry-After` of a 503. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Further errors of the same answer, such as one for each missing blob. */
  readonly also?: readonly ErrorEntry[];
  /** Whom it is refused, where that is known: for the log, never sent. */
  readonly actor?: { readonly name: string } | undefined;
}

/** An answer that is an error: thrown by services and handlers, turned into the JSON envelope in one place. */
export class RegistryError extends Error {
  readonly code: ErrorCode;
  /** Sent to the client: never a secret, never an internal path. */
  readonly detail: unknown;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly also: readonly ErrorEntry[];
  readonly actor: { readonly name: string } | undefined;

  constructor(code: ErrorCode, detail?: unknown, options: RegistryErrorOptions = {}) {
    super(ERRORS[code][1], 'cause' in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
    this.code = code;
    this.detail = detail;
    this.status = options.status ?? ERRORS[code][0];
    this.headers = options.headers ?? {};
    this.also = options.also ?? [];
    this.actor = options.actor;
  }

  /** The elements of the envelope's `errors`, this one first. */
  get entries(): readonly ErrorEntry[] {
    return [errorEntry(this.code, this.detail), ...this.also];
  }
}

/** An {@link ErrorEntry} with the code's own message. */
export function errorEntry(code: ErrorCode, detail?: unknown): ErrorEntry {
  const message = ERRORS[code][1];
  return detail === undefined ? { code, message } : { code, message, detail };
}

/**
 * What was wrong with credentials that were sent (RFC 6750, section 3.1): they are not valid, or they
 * are and do not suffice.
 */
export type ChallengeError = 'invalid_token' | 'insufficient_scope';

/** What a {@link Challenge} may carry besides the values of `WWW-Authenticate`. */
export interface ChallengeOptions extends RegistryErrorOptions {
  /** Left out where no credentials were sent, or none that the handler knows. */
  readonly error?: ChallengeError | undefined;
}

/**
 * "Who are you?": thrown by an auth handler, answered 401 with `WWW-Authenticate`. `basicChallenge`
 * and `bearerChallenge` write those of the two schemes that clients know.
 *
 * @see RFC 9110, section 11.6.1
 */
export class Challenge extends RegistryError {
  /** The values of `WWW-Authenticate`, in order of preference. */
  readonly challenges: readonly string[];
  readonly error: ChallengeError | undefined;

  constructor(challenges: string | readonly string[], detail?: unknown, options: ChallengeOptions = {}) {
    super('UNAUTHORIZED', detail, options);
    this.challenges = typeof challenges === 'string' ? [challenges] : [...challenges];
    this.error = options.error;
  }
}

/**
 * Why a driver could not do what it was asked.
 *
 * - `not-found`: there is nothing at the key. An outage or a refusal of the backend is never this.
 * - `invalid-key`: the key breaks the grammar of keys.
 * - `invalid-offset`: a range that is negative, or begins at or past the end.
 * - `offset-conflict`: an append at an offset that is not the object's present size.
 * - `unsupported`: this driver cannot do it at all.
 * - `unavailable`: the backend is absent, refuses, or is too slow; trying again later may help.
 * - `quota`: the backend is full.
 */
export type DriverErrorReason =
  | 'not-found'
  | 'invalid-key'
  | 'invalid-offset'
  | 'offset-conflict'
  | 'unsupported'
  | 'unavailable'
  | 'quota';

/** What a storage driver throws; a service turns it into the answer that fits what was asked. */
export class DriverError extends Error {
  readonly reason: DriverErrorReason;
  readonly key: string;

  constructor(reason: DriverErrorReason, key: string, options?: { cause?: unknown }) {
    super(`${reason}: ${JSON.stringify(key)}`, options);
    this.name = 'DriverError';
    this.reason = reason;
    this.key = key;
  }
}

/** Whether `error` is a {@link DriverError} for `reason`. */
export function isDriverError(error: unknown, reason: DriverErrorReason): error is DriverError {
  return error instanceof DriverError && error.reason === reason;
}

/** Thrown by a notification sink that wants no events any more: it gets none until the registry is started again. */
export class SinkGoneError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'SinkGoneError';
  }
}

/** One thing that is wrong with an options object. */
export interface OptionsProblem {
  /** Where it stands, as it would be written: `storage.gcs.bucket`, `notifications.sinks[1].url`. */
  readonly path: string;
  /** What is wrong, without the value. */
  readonly message: string;
}

/** Thrown by `registry(options)` at start-up, with every problem of the options object at once. */
export class OptionsError extends Error {
  readonly problems: readonly OptionsProblem[];

  constructor(problems: readonly OptionsProblem[]) {
    const lines = problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
    super(lines.length === 1 ? `invalid options: ${lines[0]}` : ['invalid options:', ...lines].join('\n  '));
    this.name = 'OptionsError';
    this.problems = problems;
  }
}
