// Reading what a client sends, as long as it sends it.
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
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
      if (stalled) throw new RegistryError('SIZE_INVALID', { problem: 'the body stopped arriving' }, { status: 408 });
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
 * @throws RegistryError `MANIFEST_INVALID` with status 413 when it is larger than `maxManifestBytes`.
 */
export async function manifestBody(call: Call): Promise<Buffer> {
  const { req } = call.ctx;
  const { maxManifestBytes: limit, bodyTimeout } = call.settings;
  const announced = call.header('content-length');
  const parsed = parsedElsewhere(call, announced);
  if (parsed !== undefined) return parsed;
  try {
    refuseConsumed(req);
    return await getRawBody(Readable.from(requestBody(req, bodyTimeout)), { limit, length: announced ?? null });
  } catch (error) {
    if ((error as { type?: string }).type !== 'entity.too.large') throw error;
    throw new RegistryError('MANIFEST_INVALID', { problem: `larger than ${limit} bytes` }, { status: 413 });
  }
}

/** What a body parser before us has kept of the body, if it kept every byte. */
function parsedElsewhere({ ctx }: Call, announced: string | undefined): Buffer | undefined {
  if (!ctx.req.readableDidRead || announced === undefined) return undefined;
  const { rawBody } = ctx.request as { rawBody?: string | Buffer };
  if (rawBody === undefined) return undefined;
  const bytes = Buffer.isBuffer(rawBody) ? rawBody : Buffer.from(rawBody);
  return bytes.length === Number(announced) ? bytes : undefined;
}
