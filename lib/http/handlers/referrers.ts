// `GET /v2/<name>/referrers/<digest>`: an index of the manifests that have this one as their subject.
import { isDigest } from '../../model/digest.js';
import { OCI_INDEX } from '../../model/media-types.js';
import { answerJson } from '../answers.js';
import { linkNext, pageSize } from '../paging.js';
import type { Handler } from '../routes.js';

/** A page ends earlier where its descriptors are large. */
const MAX_REFERRERS = 1000;

export const getReferrers: Handler = async (call) => {
  const limit = pageSize(call, MAX_REFERRERS);
  const artifactType = call.query('artifactType') || undefined;
  const last = call.query('last');
  const after = last !== undefined && isDigest(last) ? last : undefined;
  const page = await call.services.referrers.list(call.repository, call.digest, { artifactType, after, limit });
  const end = page.items.at(-1);
  if (page.more && end !== undefined) linkNext(call, end.digest, limit, artifactType ? { artifactType } : {});
  if (artifactType !== undefined) call.set('OCI-Filters-Applied', 'artifactType');
  answerJson(call.ctx, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: page.items }, OCI_INDEX);
};
