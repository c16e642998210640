// Every failure becomes an answer here: the JSON envelope, its status, and nothing that is not the
// client's business.
import type { Context } from 'koa';
import { Challenge, DriverError, RegistryError } from '../errors.js';
import type { Call } from './call.js';

/** What a client is told to wait when a backend is away, in seconds. */
const RETRY_AFTER = '5';

/** How long the rest of an unwanted body is read so that the client sees the answer, in milliseconds. */
const LINGER = 5_000;

/** The answer to whatever was thrown. A backend that is away is a 503; what nobody foresaw is a 500. */
export function toRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  if (error instanceof DriverError && (error.reason === 'unavailable' || error.reason === 'quota')) {
    return new RegistryError('UNAVAILABLE', undefined, { cause: error });
  }
  return new RegistryError('UNKNOWN', undefined, { cause: error });
}

/** Answers a call that failed. What handlers have set before, such as `Location` of a 416, stays. */
export function answerError(call: Call, thrown: unknown): void {
  const { ctx } = call;
  if (call.signal.aborted && thrown === call.signal.reason) {
    call.log.debug({ err: thrown, path: call.mount.path }, 'request abandoned');
    return;
  }
  const error = sendable(ctx, toRegistryError(thrown));
  report(call, error);
  ctx.status = error.status;
  if ((error.status === 503 || error.status === 429) && !ctx.response.get('Retry-After')) {
    ctx.set('Retry-After', RETRY_AFTER);
  }
  const body = Buffer.from(JSON.stringify({ errors: error.entries }));
  ctx.set('Content-Type', 'application/json');
  ctx.body = body;
  if (!ctx.req.complete) linger(ctx);
}

/** Puts the error's own headers on. What an auth handler has put into them may be something that Node refuses. */
function sendable(ctx: Context, error: RegistryError): RegistryError {
  try {
    ctx.set(error.headers as Record<string, string>);
    if (error instanceof Challenge) ctx.set('WWW-Authenticate', [...error.challenges]);
    return error;
  } catch (cause) {
    return new RegistryError('UNKNOWN', undefined, { cause });
  }
}

function report(call: Call, error: RegistryError): void {
  const { cause, code, status, actor } = error;
  const fields = { err: cause ?? error, code, status, path: call.mount.path, ...(actor && { actor: actor.name }) };
  if (error.status < 500) {
    call.log.debug(fields, 'request refused');
    return;
  }
  call.log.error(fields, error.status === 503 ? 'backend unavailable' : 'request failed');
  if (error.code === 'UNKNOWN') call.ctx.app.emit('error', error.cause ?? error, call.ctx);
}

/** Reads on what is left of the body, which Node does not where a part was read; a client that never stops is cut off. */
function linger({ req, res }: Context): void {
  req.resume();
  res.once('finish', () => {
    if (req.complete || req.destroyed) return;
    const timer = setTimeout(() => req.socket.destroy(), LINGER).unref();
    req.once('close', () => clearTimeout(timer));
  });
}
