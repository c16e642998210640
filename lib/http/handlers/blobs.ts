// `/v2/<name>/blobs/<digest>`.
import { Readable } from 'node:stream';
import { RegistryError } from '../../errors.js';
import type { Descriptor } from '../../model/descriptor.js';
import { OCTET_STREAM } from '../../model/media-types.js';
import { type ByteRange, parseRange } from '../../model/range.js';
import { blobKey } from '../../services/keys.js';
import { answerEmpty, isNotModified } from '../answers.js';
import type { Call } from '../call.js';
import type { Handler } from '../routes.js';

export const getBlob: Handler = async (call) => {
  const { ctx, repository, digest } = call;
  const descriptor = await call.services.blobs.stat(repository, digest);
  const { size } = descriptor;
  if (isNotModified(call.header('if-none-match'), digest)) {
    setContentHeaders(call);
    ctx.status = 304;
    return;
  }
  if (await answeredElsewhere(call, descriptor)) return;
  if (ctx.method === 'HEAD') {
    setContentHeaders(call);
    ctx.set('Content-Type', OCTET_STREAM);
    ctx.status = 200;
    ctx.length = size;
    return;
  }
  await sendBlob(call, descriptor, wantedRange(call, size));
};

/** What is said of the content once nothing can fail any more: an error must not be kept for a year. */
function setContentHeaders({ ctx, digest }: Call): void {
  ctx.set('Docker-Content-Digest', digest);
  ctx.set('ETag', `"${digest}"`);
  ctx.set('Cache-Control', 'max-age=31536000');
  ctx.set('Accept-Ranges', 'bytes');
}

/** `Range`, unless `If-Range` names another content (RFC 9110, section 13.1.5). */
function wantedRange(call: Call, size: number): ByteRange | undefined {
  const condition = call.header('if-range');
  if (condition !== undefined && condition !== `"${call.digest}"`) return undefined;
  const range = parseRange(call.header('range'), size);
  if (range !== 'unsatisfiable') return range;
  throw new RegistryError('RANGE_INVALID', { size }, { headers: { 'Content-Range': `bytes */${size}` } });
}

async function sendBlob(call: Call, descriptor: Descriptor, range: ByteRange | undefined): Promise<void> {
  const { ctx } = call;
  const { size } = descriptor;
  const content = await call.services.blobs.open(call.repository, call.digest, { descriptor, range, call });
  setContentHeaders(call);
  ctx.set('Content-Type', OCTET_STREAM);
  ctx.status = range === undefined ? 200 : 206;
  if (range !== undefined) ctx.set('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
  if (content instanceof Readable) {
    // Once bytes are on their way the only honest answer to a failure is to break off.
    content.once('error', () => ctx.res.destroy());
  }
  ctx.body = content;
  ctx.length = range === undefined ? size : range.end - range.start + 1;
}

/** Lets the layer handler answer: by a redirect, or by headers for a front server that sends the file. */
async function answeredElsewhere(call: Call, descriptor: Descriptor): Promise<boolean> {
  const { layer, storage } = call.services;
  if (layer === undefined) return false;
  const { ctx, repository, signal } = call;
  const method = ctx.method === 'HEAD' ? 'HEAD' : 'GET';
  const answer = await layer.resolve(
    { repository, descriptor, key: blobKey(descriptor.digest), ...(storage.url && { url: storage.url }) },
    { method, client: ctx.ip, headers: ctx.headers, signal },
  );
  // A plugin in JavaScript may answer null for nothing.
  if (answer === undefined || answer === null) return false;
  if ('redirect' in answer && typeof answer.redirect === 'string') {
    ctx.set('Location', answer.redirect);
    answerEmpty(ctx, 307);
  } else {
    if (!('headers' in answer)) throw new TypeError('the layer handler answered neither a redirect nor headers');
    ctx.set('Content-Type', OCTET_STREAM);
    ctx.set(answer.headers as Record<string, string>);
    ctx.body = Buffer.alloc(0);
    ctx.status = 200;
  }
  // Last, because a header that the handler made up may be one that Node refuses.
  setContentHeaders(call);
  return true;
}

export const deleteBlob: Handler = async (call) => {
  await call.services.blobs.delete(call.repository, call.digest);
  answerEmpty(call.ctx, 202);
};
