// `/v2/<name>/manifests/<reference>`.
import { RegistryError } from '../../errors.js';
import { DOCKER_IMAGE, DOCKER_LIST, mediaTypeOf } from '../../model/media-types.js';
import { isDigestReference, parseTag } from '../../model/reference.js';
import type { StoredManifest } from '../../services/manifest-reader.js';
import { answerEmpty, isNotModified } from '../answers.js';
import { manifestBody } from '../body.js';
import type { Call } from '../call.js';
import { notifyOfDelete, notifyOfManifestPull, notifyOfManifestPush } from '../notify.js';
import type { Handler } from '../routes.js';

/** More tags in one push are answered 414; the specification asks for at least 10. */
const MAX_TAGS_PER_PUSH = 100;

export const getManifest: Handler = async (call) => {
  const { ctx, repository, reference } = call;
  const { manifests } = call.services;
  const found = await manifests.get(repository, reference);
  const answered = isDigestReference(reference) ? found : await acceptable(call, found);
  const { digest, bytes, manifest } = answered;
  call.set('Docker-Content-Digest', isDigestReference(reference) ? reference : digest);
  call.set('ETag', `"${digest}"`);
  if (isNotModified(call.header('if-none-match'), digest)) {
    ctx.status = 304;
    return;
  }
  ctx.status = 200;
  call.set('Content-Type', manifest.mediaType);
  ctx.body = bytes;
  notifyOfManifestPull(call, answered);
};

/**
 * A Docker list for a client that takes only single Docker images becomes its linux/amd64 child, as
 * distribution does; by tag only, since a digest names one content.
 */
async function acceptable(call: Call, found: StoredManifest): Promise<StoredManifest> {
  if (found.manifest.mediaType !== DOCKER_LIST) return found;
  const accept = call.header('accept') ?? '';
  if (!accept.includes(DOCKER_IMAGE) || accept.includes(DOCKER_LIST) || accept.includes('*/*')) return found;
  const child = found.manifest.manifests.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
  return child === undefined ? found : call.services.manifests.get(call.repository, child.digest);
}

export const putManifest: Handler = async (call) => {
  const { ctx, repository, reference } = call;
  const given = call.queries('tag');
  if (given.length > MAX_TAGS_PER_PUSH) {
    throw new RegistryError('TAG_INVALID', { problem: `more than ${MAX_TAGS_PER_PUSH} tags` }, { status: 414 });
  }
  const tags = [...new Set(given.map(parseTag))];
  const mediaType = mediaTypeOf(call.header('content-type'));
  const bytes = await manifestBody(call);
  const stored = await call.services.manifests.put({ repository, reference, bytes, mediaType, tags });
  const { digest, manifest } = stored;
  await notifyOfManifestPush(call, stored, isDigestReference(reference) ? tags : [reference, ...tags]);
  call.set('Location', call.urls.manifest(repository, digest));
  call.set('Docker-Content-Digest', digest);
  if (manifest.subject !== undefined) call.set('OCI-Subject', manifest.subject.digest);
  if (tags.length > 0) call.set('OCI-Tag', tags.join(', '));
  answerEmpty(ctx, 201);
};

export const deleteManifest: Handler = async (call) => {
  const { repository, reference } = call;
  const tags = await call.services.manifests.delete(repository, reference);
  if (isDigestReference(reference)) await notifyOfDelete(call, { digest: reference });
  for (const tag of tags) await notifyOfDelete(call, { tag });
  answerEmpty(call.ctx, 202);
};
