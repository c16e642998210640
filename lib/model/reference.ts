// References: a tag or a digest, as in a path, and whole image references as people write them.
import { RegistryError } from '../errors.js';
import { type Digest, parseDigest } from './digest.js';
import { parseRepositoryName, type RepositoryName } from './repository-name.js';

/** A well-formed tag. Made by {@link parseTag} only. */
export type Tag = string & { readonly __brand: 'Tag' };

/** What names a manifest within a repository: `<tag-or-digest>` in the specification. */
export type Reference = Tag | Digest;

const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

export function isTag(text: string): text is Tag {
  return TAG.test(text);
}

/** @throws RegistryError `TAG_INVALID`. */
export function parseTag(text: string): Tag {
  if (!isTag(text)) throw new RegistryError('TAG_INVALID', { tag: text.slice(0, 200) });
  return text;
}

/**
 * A tag, or a digest where there is a colon: `sha256:zzz` is a bad digest, not a tag.
 *
 * @throws RegistryError `TAG_INVALID`, `DIGEST_INVALID`.
 */
export function parseReference(text: string): Reference {
  return text.includes(':') ? parseDigest(text) : parseTag(text);
}

/** Tells the two apart: no tag contains a colon, every digest does. */
export function isDigestReference(reference: Reference): reference is Digest {
  return reference.includes(':');
}

/** An image as people name it: `host:port/path:tag@digest`, everything but the path optional. */
export interface ImageReference {
  /** `registry.example:5000`, where the first component can only be a host. */
  readonly host?: string;
  readonly repository: RepositoryName;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

const HOST =
  /^(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(?::\d{1,5})?$/;

/** The first component is a host if it could not be one of a path: it has a dot or a port, or is `localhost`. */
function splitHost(text: string): [host: string | undefined, rest: string] {
  const slash = text.indexOf('/');
  if (slash < 0) return [undefined, text];
  const first = text.slice(0, slash);
  const looksLikeHost = first === 'localhost' || first.includes('.') || first.includes(':') || /[A-Z]/.test(first);
  return looksLikeHost && HOST.test(first) ? [first, text.slice(slash + 1)] : [undefined, text];
}

/**
 * Parses `host:port/path:tag@digest`. No default host, no default tag: what is not said stays unsaid.
 *
 * @throws RegistryError `NAME_INVALID`, `TAG_INVALID`, `DIGEST_INVALID`.
 */
export function parseImageReference(text: string): ImageReference {
  const [host, rest] = splitHost(text);
  const at = rest.indexOf('@');
  const named = at < 0 ? rest : rest.slice(0, at);
  const colon = named.indexOf(':');
  const repository = parseRepositoryName(colon < 0 ? named : named.slice(0, colon));
  return {
    ...(host !== undefined && { host }),
    repository,
    ...(colon >= 0 && { tag: parseTag(named.slice(colon + 1)) }),
    ...(at >= 0 && { digest: parseDigest(rest.slice(at + 1)) }),
  };
}

/** The inverse of {@link parseImageReference}. */
export function formatImageReference({ host, repository, tag, digest }: ImageReference): string {
  return `${host === undefined ? '' : `${host}/`}${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * The tag under which clients without a referrers API keep the referrers of a digest (OCI
 * distribution-spec, "Referrers Tag Schema").
 */
export function referrersTag(subject: Digest): Tag {
  const colon = subject.indexOf(':');
  return `${subject.slice(0, colon).slice(0, 32)}-${subject.slice(colon + 1).slice(0, 64)}` as Tag;
}
