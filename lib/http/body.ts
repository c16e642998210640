// Reading what a client sends, as long as it sends it.
import type { IncomingMessage } from 'node:http';
import getRawBody from 'raw-body';
import { RegistryError } from '../errors.js';
import type { Call } from './call.js';

/** Whether the request has a body at all, be it empty. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** @throws RegistryError `UNKNOWN`: not the client's mistake but the application's, and the log says how to mend it. */
function refuseConsumed(req: IncomingMessage): void {
  if (!hasBody(req) || !req.readableDidRead) return;
  const cause = new Error(
    'the request body was already read: use koa-registry before the body parser, or keep the body parser away from its path',
  );
  throw new RegistryError('UNKNOWN', undefined, { cause });
}

/**
 * The body as it arrives, one chunk at a time. The request is not destroyed when the consumer stops:
 * it still wants an answer.
 *
 * @throws RegistryError `SIZE_INVALID` when the client goes away, and with status 408 when it sends
 *   nothing for `timeout` milliseconds.
 */
export async function* requestBody(req: IncomingMessage, timeout: number): AsyncGenerator<Buffer, void, void> {
  refuseConsumed(req);
  let wake = () => {};
  let stalled = false;
  const onEvent = () => wake();
  const timer = setTimeout(() => {
    stalled = true;
    wake();
  }, timeout).unref();
  for (const event of ['readable', 'end', 'close', 'error']) req.on(event, onEvent);
  try {
    for (;;) {
      const chunk: Buffer | null = req.read();
      if (chunk !== null) {
        yield chunk;
        timer.refresh();
        stalled = false;
        continue;
      }
      if (req.readableEnded) return;
      if (req.destroyed) throw new RegistryError('SIZE_INVALID', { problem: 'the body ended early' });
      if (stalled) throw stopped();
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    clearTimeout(timer);
    for (const event of ['readable', 'end', 'close', 'error']) req.off(event, onEvent);
  }
}

/**
 * A manifest, whole.
 *
 * @throws RegistryError `MANIFEST_INVALID` with status 413 when it is larger than `maxManifestBytes`;
 *   `SIZE_INVALID` as {@link requestBody}.
 */
export async function manifestBody(call: Call): Promise<Buffer> {
  const { req } = call.ctx;
  const { maxManifestBytes: limit, bodyTimeout } = call.settings;
  const announced = call.header('content-length');
  const parsed = parsedElsewhere(call, announced);
  if (parsed !== undefined) return parsed;
  refuseConsumed(req);
  try {
    return await untilStalled(req, bodyTimeout, getRawBody(req, { limit, length: announced ?? null }));
  } catch (error) {
    const { type } = error as { type?: string };
    if (type === 'entity.too.large') {
      throw new RegistryError('MANIFEST_INVALID', { problem: `larger than ${limit} bytes` }, { status: 413 });
    }
    if (type === undefined) throw error;
    throw new RegistryError('SIZE_INVALID', { problem: 'the body ended early' }, { cause: error });
  }
}

/** What `reading` the body answers, unless nothing arrives for `timeout` milliseconds. */
async function untilStalled(req: IncomingMessage, timeout: number, reading: Promise<Buffer>): Promise<Buffer> {
  let timer: NodeJS.Timeout | undefined;
  const onData = () => timer?.refresh();
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(stopped()), timeout).unref();
  });
  req.on('data', onData);
  try {
    return await Promise.race([reading, stalled]);
  } finally {
    clearTimeout(timer);
    req.off('data', onData);
  }
}

function stopped(): RegistryError {
  return new RegistryError('SIZE_INVALID', { problem: 'the body stopped arriving' }, { status: 408 });
}

/** What a body parser before us has kept of the body, if it kept every byte. */
function parsedElsewhere({ ctx }: Call, announced: string | undefined): Buffer | undefined {
  if (!ctx.req.readableDidRead || announced === undefined) return undefined;
  const { rawBody } = ctx.request as { rawBody?: string | Buffer };
  // What is not UTF-8 was replaced when it became a string.
  if (rawBody === undefined || (typeof rawBody === 'string' && rawBody.includes('\uFFFD'))) return undefined;
  const bytes = Buffer.isBuffer(rawBody) ? rawBody : Buffer.from(rawBody);
  return bytes.length === Number(announced) ? bytes : undefined;
}
