// Where everything stands in the store: distribution's layout, key for key, so that either registry
// serves what the other has written.
//
//   docker/registry/v2/
//     blobs/<alg>/<first two hex>/<hex>/data                               content
//     repositories/<name>/
//       _layers/<alg>/<hex>/link                                           a blob is in the repository
//       _manifests/revisions/<alg>/<hex>/link                              a manifest is in the repository
//       _manifests/tags/<tag>/current/link                                 what the tag names now
//       _manifests/tags/<tag>/index/<alg>/<hex>/link                       what it ever named
//       _uploads/<uuid>/{data,startedat}                                   an upload session
//       _referrers/<alg>/<hex>/<alg>-<hex>                                 ours: a referrer's descriptor by subject
//       _foreign/<alg>/<hex>/<alg>-<hex>                                   ours: a manifest by a blob that is elsewhere
//     _purge/uploads                                                       ours: when the last purge of uploads ended
//
// A link's content is the digest it leads to. distribution ignores folders whose names it does not
// know below `_`, so `_referrers` and `_foreign` do not disturb it; nor does `_purge`, beside the folders that it looks at.
import { type Digest, digestAlgorithm, digestHex } from '../model/digest.js';
import type { Tag } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';

/** The prefix below which everything stands. */
export const ROOT = 'docker/registry/v2';

/** `<alg>/<hex>`. */
function path(digest: Digest): string {
  return digest.replace(':', '/');
}

/** The prefix below which all repositories stand. */
export const REPOSITORIES = `${ROOT}/repositories`;

/** When abandoned uploads were last purged, by whichever host. */
export const UPLOADS_PURGED = `${ROOT}/_purge/uploads`;

/** The folder of a repository below which its upload sessions stand. */
export const UPLOADS = '_uploads';

/** The content of a digest, whoever links to it. */
export function blobKey(digest: Digest): string {
  const hex = digestHex(digest);
  return `${ROOT}/blobs/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}/data`;
}

export function repositoryKey(name: RepositoryName): string {
  return `${REPOSITORIES}/${name}`;
}

/** The prefix to remove when a repository gives up a blob. */
export function blobMembershipKey(name: RepositoryName, digest: Digest): string {
  return `${REPOSITORIES}/${name}/_layers/${path(digest)}`;
}

export function blobLinkKey(name: RepositoryName, digest: Digest): string {
  return `${blobMembershipKey(name, digest)}/link`;
}

export function revisionsKey(name: RepositoryName): string {
  return `${REPOSITORIES}/${name}/_manifests/revisions`;
}

/** The prefix to remove when a repository gives up a manifest; schema 1 signatures stand there too. */
export function revisionKey(name: RepositoryName, digest: Digest): string {
  return `${revisionsKey(name)}/${path(digest)}`;
}

export function revisionLinkKey(name: RepositoryName, digest: Digest): string {
  return `${revisionKey(name, digest)}/link`;
}

export function tagsKey(name: RepositoryName): string {
  return `${REPOSITORIES}/${name}/_manifests/tags`;
}

export function tagKey(name: RepositoryName, tag: Tag): string {
  return `${tagsKey(name)}/${tag}`;
}

export function tagCurrentKey(name: RepositoryName, tag: Tag): string {
  return `${REPOSITORIES}/${name}/_manifests/tags/${tag}/current/link`;
}

export function tagIndexKey(name: RepositoryName, tag: Tag, digest: Digest): string {
  return `${tagKey(name, tag)}/index/${path(digest)}/link`;
}

export function uploadsKey(name: RepositoryName): string {
  return `${REPOSITORIES}/${name}/${UPLOADS}`;
}

export function uploadKey(name: RepositoryName, uuid: string): string {
  return `${uploadsKey(name)}/${uuid}`;
}

export function uploadDataKey(name: RepositoryName, uuid: string): string {
  return `${uploadKey(name, uuid)}/data`;
}

export function uploadStartedKey(name: RepositoryName, uuid: string): string {
  return `${uploadKey(name, uuid)}/startedat`;
}

export function allReferrersKey(name: RepositoryName): string {
  return `${REPOSITORIES}/${name}/_referrers`;
}

export function referrersKey(name: RepositoryName, subject: Digest): string {
  return `${allReferrersKey(name)}/${path(subject)}`;
}

/** A digest as one component of a key, such as a referrer below {@link referrersKey}; in the order of the digests. */
export function digestName(digest: Digest): string {
  return digest.replace(':', '-');
}

export function referrerKey(name: RepositoryName, subject: Digest, referrer: Digest): string {
  return `${referrersKey(name, subject)}/${digestName(referrer)}`;
}

export function allForeignKey(name: RepositoryName): string {
  return `${REPOSITORIES}/${name}/_foreign`;
}

/** The folder of the manifests that say where a blob may be had that is not here. */
export function foreignKey(name: RepositoryName, blob: Digest): string {
  return `${allForeignKey(name)}/${path(blob)}`;
}

export function foreignLinkKey(name: RepositoryName, blob: Digest, manifest: Digest): string {
  return `${foreignKey(name, blob)}/${digestName(manifest)}`;
}
