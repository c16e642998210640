// `/v2/<name>/blobs/<digest>`.
import { Readable } from 'node:stream';
import type { LayerRequest } from '../../contracts/layer.js';
import { RegistryError } from '../../errors.js';
import type { Descriptor } from '../../model/descriptor.js';
import { OCTET_STREAM } from '../../model/media-types.js';
import { type ByteRange, parseRange } from '../../model/range.js';
import type { Offload } from '../../services/offload.js';
import { answerEmpty, isNotModified } from '../answers.js';
import type { Call } from '../call.js';
import { notifyOfBlobPull, notifyOfDelete } from '../notify.js';
import type { Handler } from '../routes.js';

export const getBlob: Handler = async (call) => {
  const { ctx, digest } = call;
  const descriptor = await statBlob(call);
  if (descriptor === undefined) return;
  const { size } = descriptor;
  if (isNotModified(call.header('if-none-match'), digest)) {
    setContentHeaders(call);
    ctx.status = 304;
    return;
  }
  const { offload } = call.services;
  if (offload !== undefined && (await answeredElsewhere(call, offload, descriptor))) {
    notifyOfBlobPull(call, descriptor);
    return;
  }
  if (call.method === 'HEAD') {
    setContentHeaders(call);
    call.set('Content-Type', OCTET_STREAM);
    call.set('Content-Length', size);
    ctx.status = 200;
    notifyOfBlobPull(call, descriptor);
    return;
  }
  await sendBlob(call, descriptor, wantedRange(call, size));
};

/**
 * The blob's descriptor; `undefined` once the client was sent to another site, which has the blob while this one has
 * not. HEAD is how clients ask whether to push a blob, and that depends on what is here.
 */
async function statBlob(call: Call): Promise<Descriptor | undefined> {
  const { repository, digest, services } = call;
  try {
    return await services.blobs.stat(repository, digest);
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== 'BLOB_UNKNOWN' || call.method === 'HEAD') throw error;
    const url = await services.foreign.urlOf(repository, digest);
    if (url === undefined) throw error;
    redirect(call, url);
    notifyOfBlobPull(call);
    return undefined;
  }
}

/** Not to be kept: where it leads is signed for a while, or may be elsewhere tomorrow. */
function redirect(call: Call, url: string): void {
  call.set('Location', url);
  call.set('Docker-Content-Digest', call.digest);
  call.set('Cache-Control', 'no-store');
  answerEmpty(call.ctx, 307);
}

/** What is said of the content once nothing can fail any more: an error must not be kept for a year. */
function setContentHeaders(call: Call): void {
  call.set('Docker-Content-Digest', call.digest);
  call.set('ETag', `"${call.digest}"`);
  call.set('Cache-Control', 'max-age=31536000');
  call.set('Accept-Ranges', 'bytes');
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
  call.set('Content-Type', OCTET_STREAM);
  ctx.status = range === undefined ? 200 : 206;
  if (range !== undefined) call.set('Content-Range', `bytes ${range.start}-${range.end}/${size}`);
  if (content instanceof Readable) {
    // Once bytes are on their way the only honest answer to a failure is to break off.
    content.once('error', () => ctx.res.destroy());
  }
  ctx.body = content;
  call.set('Content-Length', range === undefined ? size : range.end - range.start + 1);
  // Of a blob that is pulled in parts the last one counts.
  if (range === undefined || range.end === size - 1) notifyOfBlobPull(call, descriptor);
}

/** Lets the layer handler answer: by a redirect, or by headers for a front server that sends the file. */
async function answeredElsewhere(call: Call, offload: Offload, descriptor: Descriptor): Promise<boolean> {
  const { ctx, repository, digest } = call;
  const answer = await offload.resolve(repository, descriptor, new BlobRequest(call));
  if (answer === undefined) return false;
  if ('redirect' in answer) {
    redirect(call, answer.redirect);
    return true;
  }
  // For how long it may be kept is said by whoever knows that the file is there.
  call.set('Content-Type', OCTET_STREAM);
  call.set('Docker-Content-Digest', digest);
  call.set('ETag', `"${digest}"`);
  call.set('Accept-Ranges', 'bytes');
  for (const [name, value] of Object.entries(answer.headers)) {
    // The host application may vary its answers, too.
    if (name.toLowerCase() === 'vary' && ctx.res.hasHeader('Vary')) ctx.vary(value);
    else call.set(name, value);
  }
  // Of no bytes, a string is sent in one piece with the head.
  ctx.body = '';
  ctx.status = 200;
  return true;
}

/** Whoever asks for a blob, as a layer handler sees it. */
class BlobRequest implements LayerRequest {
  readonly method: LayerRequest['method'];
  readonly #call: Call;

  constructor(call: Call) {
    this.method = call.method === 'HEAD' ? 'HEAD' : 'GET';
    this.#call = call;
  }

  get client(): string {
    return this.#call.ctx.ip;
  }

  get headers(): LayerRequest['headers'] {
    return this.#call.ctx.headers;
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }
}

export const deleteBlob: Handler = async (call) => {
  await call.services.blobs.delete(call.repository, call.digest);
  await notifyOfDelete(call, { digest: call.digest });
  answerEmpty(call.ctx, 202);
};
