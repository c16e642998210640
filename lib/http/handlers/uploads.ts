// `/v2/<name>/blobs/uploads/`: how a blob gets into a repository, at once, in chunks, or by a mount.
import { RegistryError } from '../../errors.js';
import { type Digest, digestAlgorithm, digestOf, parseDigest, parseDigestAlgorithm } from '../../model/digest.js';
import { formatUploadRange, parseContentRange } from '../../model/range.js';
import { isRepositoryName, type RepositoryName } from '../../model/repository-name.js';
import type { Chunk, SessionReference, UploadState } from '../../services/index.js';
import { answerEmpty } from '../answers.js';
import { hasBody, requestBody } from '../body.js';
import type { Call } from '../call.js';
import { mayAlso, pullScope } from '../grants.js';
import { notifyOfBlob } from '../notify.js';
import type { Handler } from '../routes.js';

/** A blob of no bytes needs no body. */
const NOTHING = Buffer.alloc(0);

/** `POST`: a mount, a whole blob, or the start of a session, whichever the query asks for and can be had. */
export const startUpload: Handler = async (call) => {
  const { ctx, repository, services } = call;
  const mount = call.query('mount');
  if (mount !== undefined && (await mounted(call, parseDigest(mount)))) return;

  const named = call.query('digest');
  const digest = named === undefined ? undefined : parseDigest(named);
  const algorithm = digest ? digestAlgorithm(digest) : parseDigestAlgorithm(call.query('digest-algorithm') ?? 'sha256');
  if (digest !== undefined && (hasBody(ctx.req) || digest === digestOf(NOTHING, algorithm))) {
    const blob = await services.uploads.receive(repository, digest, hasBody(ctx.req) ? chunk(call) : undefined);
    await notifyOfBlob(call, 'push', digest, blob);
    answerCreated(call, digest);
    return;
  }
  const state = await services.uploads.start(repository, algorithm);
  call.set('OCI-Chunk-Min-Length', String(call.settings.minChunkBytes));
  answerSession(call, state, 202);
};

/** `GET`: how far the session is. */
export const getUpload: Handler = async (call) => {
  answerSession(call, await call.services.uploads.status(await session(call)), 204);
};

/** `PATCH`: a chunk, or all of it as a stream. */
export const appendUpload: Handler = async (call) => {
  const reference = await session(call);
  await sayingWhereItStands(call, reference, async () => {
    answerSession(call, await call.services.uploads.append(reference, chunk(call)), 202);
  });
};

/** `PUT`: the end, with the last chunk or without. */
export const finishUpload: Handler = async (call) => {
  const named = call.query('digest');
  if (named === undefined) throw new RegistryError('DIGEST_INVALID', { problem: 'the parameter digest is missing' });
  const digest = parseDigest(named);
  const reference = await session(call);
  await sayingWhereItStands(call, reference, async () => {
    const blob = await call.services.uploads.finish(reference, digest, hasBody(call.ctx.req) ? chunk(call) : undefined);
    await notifyOfBlob(call, 'push', digest, blob);
    answerCreated(call, digest);
  });
};

/** `DELETE`: the client thought better of it. */
export const cancelUpload: Handler = async (call) => {
  await call.services.uploads.cancel(await session(call));
  answerEmpty(call.ctx, 204);
};

/** The session of the path, with the state that its last answer left. */
async function session(call: Call): Promise<SessionReference> {
  const { repository, session: uuid } = call;
  return { repository, uuid, ...(await call.services.uploadStates.load(uuid, call.query('_state'))) };
}

/** The request's body and what its headers say of it. */
function chunk(call: Call): Chunk {
  const { req } = call.ctx;
  const source = requestBody(req, call.settings.bodyTimeout);
  const header = call.header('content-range');
  if (header === undefined) return { source, signal: call.signal };
  const range = parseContentRange(header);
  if (range === undefined) throw new RegistryError('SIZE_INVALID', { 'content-range': header.slice(0, 100) });
  const length = range.end - range.start + 1;
  const announced = call.header('content-length');
  if (announced !== undefined && Number(announced) !== length) {
    throw new RegistryError('SIZE_INVALID', { 'content-range': header, 'content-length': announced });
  }
  return { source, start: range.start, length, signal: call.signal };
}

/** Runs `work`; where it fails and the session lives on, the answer says how far it is. */
async function sayingWhereItStands(call: Call, reference: SessionReference, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof RegistryError && (error.code === 'RANGE_INVALID' || error.code === 'SIZE_INVALID')) {
      // What is wrong with the request is worth more than where the session stands.
      const state = await call.services.uploads.status(reference).catch(() => undefined);
      if (state !== undefined) setSessionHeaders(call, state);
    }
    throw error;
  }
}

function setSessionHeaders(call: Call, state: UploadState): void {
  const token = call.services.uploadStates.tokenOf(state);
  call.set('Location', call.urls.upload(call.repository, state.uuid, token));
  call.set('Range', formatUploadRange(state.offset));
  call.set('Docker-Upload-UUID', state.uuid);
}

function answerSession(call: Call, state: UploadState, status: 202 | 204): void {
  setSessionHeaders(call, state);
  answerEmpty(call.ctx, status);
}

function answerCreated(call: Call, digest: Digest): void {
  call.set('Location', call.urls.blob(call.repository, digest));
  call.set('Docker-Content-Digest', digest);
  answerEmpty(call.ctx, 201);
}

/**
 * Tries a mount. Where the caller may not pull the source, or it does not have the blob, there is no
 * difference to a blob that nobody has.
 */
async function mounted(call: Call, digest: Digest): Promise<boolean> {
  for (const source of await mountSources(call, digest)) {
    const blob = await call.services.blobs.mount(call.repository, digest, source);
    if (blob === undefined) continue;
    await notifyOfBlob(call, 'mount', digest, blob, source);
    answerCreated(call, digest);
    return true;
  }
  return false;
}

/** The repository that `from` names; without one, those that are known to have the blob, the target first. */
async function mountSources(call: Call, digest: Digest): Promise<readonly RepositoryName[]> {
  const from = call.query('from');
  const candidates = from === undefined ? [call.repository, ...call.services.blobs.sources(digest)] : [from];
  const sources: RepositoryName[] = [];
  for (const candidate of candidates) {
    if (!isRepositoryName(candidate)) continue;
    if (candidate === call.repository || (await mayAlso(call.grant, pullScope(candidate)))) sources.push(candidate);
  }
  return sources;
}
