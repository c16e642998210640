// Tells what a request has done to those who want to know, once it is done.
import type { ServerResponse } from 'node:http';
import type { EventAction } from '../contracts/notification.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';
import type { Manifest } from '../model/manifest.js';
import { OCTET_STREAM } from '../model/media-types.js';
import { isDigestReference, type Tag } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { StoredManifest } from '../services/manifest-reader.js';
import type { Call } from './call.js';
import { CallOccurrence, type Subject } from './call-occurrence.js';

/** Tells what a call has done; answers what to wait for before it is acknowledged. */
function notify(call: Call, action: EventAction, subject: Subject, tag?: Tag): Promise<unknown> | undefined {
  const { events } = call.services;
  return events.isHeard ? events.emit(new CallOccurrence(call, action, subject, tag)) : undefined;
}

/** A manifest was pushed; by the tags that it was given, or by none. */
export async function notifyOfManifestPush(call: Call, stored: StoredManifest, tags: readonly Tag[]): Promise<void> {
  if (tags.length === 0) await notify(call, 'push', manifestSubject(stored));
  for (const tag of tags) await notify(call, 'push', manifestSubject(stored), tag);
}

/** A manifest was pulled. */
export function notifyOfManifestPull(call: Call, stored: StoredManifest): void {
  if (!isPull(call)) return;
  const { reference } = call;
  void notify(call, 'pull', manifestSubject(stored), isDigestReference(reference) ? undefined : reference);
}

/** By manifest: what one is, is told again and again. */
const SUBJECTS = new WeakMap<Manifest, Subject>();

function manifestSubject({ digest, bytes, manifest }: StoredManifest): Subject {
  let subject = SUBJECTS.get(manifest);
  if (subject === undefined) {
    const { mediaType, blobs, manifests } = manifest;
    const references = Object.freeze((manifests.length > 0 ? manifests : blobs).map(briefly));
    subject = { digest, size: bytes.length, mediaType, references };
    SUBJECTS.set(manifest, subject);
  }
  return subject;
}

/** Without what may be of any size. */
function briefly({ mediaType, digest, size, platform }: Descriptor): Descriptor {
  return Object.freeze({ mediaType, digest, size, ...(platform && { platform: Object.freeze({ ...platform }) }) });
}

/** A blob was pushed, or mounted from another repository. */
export function notifyOfBlob(
  call: Call,
  action: 'push' | 'mount',
  digest: Digest,
  { size }: Pick<Descriptor, 'size'>,
  fromRepository?: RepositoryName,
): Promise<unknown> | undefined {
  return notify(call, action, { digest, size, mediaType: OCTET_STREAM, fromRepository });
}

/**
 * A blob is being answered, or the client sent elsewhere for it; it is pulled once that is done.
 *
 * @param descriptor of a blob that is not here nobody knows it.
 */
export function notifyOfBlobPull(call: Call, descriptor?: Descriptor): void {
  if (!isPull(call)) return;
  const occurrence = new CallOccurrence(call, 'pull', blobSubject(call.digest, descriptor), undefined);
  const { events } = call.services;
  const response: PulledResponse = call.ctx.res;
  // A download that broke off is no pull; nobody waits for the event of one that did not.
  response.on('finish', () => {
    if (!response.stream?.rstCode) void events.emit(occurrence.conclude());
  });
}

/** A blob by the digest that it was asked for by, which need not be the one that it is kept under. */
function blobSubject(digest: Digest, descriptor: Descriptor | undefined): Subject {
  if (descriptor?.digest === digest && descriptor.mediaType === OCTET_STREAM) return descriptor;
  return { digest, size: descriptor?.size, mediaType: OCTET_STREAM };
}

/** A blob or a manifest was deleted, or only a tag. */
export function notifyOfDelete(
  call: Call,
  subject: { readonly digest: Digest } | { readonly tag: Tag },
): Promise<unknown> | undefined {
  return 'tag' in subject ? notify(call, 'delete', {}, subject.tag) : notify(call, 'delete', subject);
}

function isPull({ method, services: { events } }: Call): boolean {
  return events.isHeard && (method !== 'HEAD' || events.includeHead);
}

interface PulledResponse extends ServerResponse {
  /** Of HTTP/2, whose responses finish though they are cut off. */
  readonly stream?: { readonly rstCode?: number };
}
