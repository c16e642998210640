// Events of what a request has done: made here, where it is known who asked and by which address.
import { randomUUID } from 'node:crypto';
import type { EventAction, EventTarget, RegistryEvent } from '../contracts/notification.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';
import { OCTET_STREAM } from '../model/media-types.js';
import { isDigestReference, type Tag } from '../model/reference.js';
import type { StoredManifest } from '../services/manifest-reader.js';
import type { Call } from './call.js';

/** Without the repository, which is the call's. */
type Target = Omit<EventTarget, 'repository'>;

/** Tells what a call has done; answers what to wait for before it is acknowledged. */
function notify(call: Call, action: EventAction, target: Target): Promise<unknown> | undefined {
  const { ctx, repository, services, grant } = call;
  const { remotePort, localPort } = ctx.req.socket;
  const { host, instanceID } = services.events.source;
  const event: RegistryEvent = {
    id: randomUUID(),
    timestamp: new Date().toISOString(),
    action,
    target: { ...target, repository },
    request: {
      id: call.id,
      addr: ctx.app.proxy || remotePort === undefined ? ctx.ip : addressOf(ctx.ip, remotePort),
      host: ctx.host,
      method: ctx.method,
      useragent: call.header('user-agent') ?? '',
    },
    actor: grant.actor === undefined ? {} : { name: grant.actor.name },
    source: { addr: addressOf(host, localPort ?? 0), instanceID },
  };
  return services.events.emit(event);
}

function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A manifest was pushed; by the tags that it was given, or by none. */
export async function notifyOfManifestPush(call: Call, stored: StoredManifest, tags: readonly Tag[]): Promise<void> {
  if (!call.services.events.isHeard) return;
  const target = manifestTarget(call, stored);
  if (tags.length === 0) await notify(call, 'push', target);
  for (const tag of tags) await notify(call, 'push', { ...target, tag });
}

/** A manifest is being answered; it is pulled once that is done. */
export function notifyOfManifestPull(call: Call, stored: StoredManifest): void {
  if (!isPull(call)) return;
  const { reference } = call;
  const target = manifestTarget(call, stored);
  onceAnswered(call, isDigestReference(reference) ? target : { ...target, tag: reference });
}

function manifestTarget(call: Call, { digest, bytes, manifest }: StoredManifest) {
  const { mediaType, blobs, manifests } = manifest;
  const size = bytes.length;
  const url = call.urls.manifest(call.repository, digest);
  return { mediaType, size, digest, length: size, url, references: manifests.length > 0 ? manifests : blobs };
}

/** A blob was pushed, or mounted from another repository. */
export function notifyOfBlob(
  call: Call,
  action: 'push' | 'mount',
  digest: Digest,
  blob: Descriptor,
  fromRepository?: string,
): Promise<unknown> | undefined {
  if (!call.services.events.isHeard) return undefined;
  const target = blobTarget(call, digest, blob);
  return notify(call, action, fromRepository === undefined ? target : { ...target, fromRepository });
}

/** A blob is being answered, or the client sent elsewhere for it; it is pulled once that is done. */
export function notifyOfBlobPull(call: Call, blob: Descriptor): void {
  if (isPull(call)) onceAnswered(call, blobTarget(call, call.digest, blob));
}

function blobTarget(call: Call, digest: Digest, { size }: Descriptor) {
  return { mediaType: OCTET_STREAM, size, digest, length: size, url: call.urls.blob(call.repository, digest) };
}

/** A blob or a manifest was deleted, or only a tag. */
export function notifyOfDelete(
  call: Call,
  target: { readonly digest: Digest } | { readonly tag: Tag },
): Promise<unknown> | undefined {
  return call.services.events.isHeard ? notify(call, 'delete', target) : undefined;
}

function isPull({ ctx, services: { events } }: Call): boolean {
  return events.isHeard && (ctx.method !== 'HEAD' || events.includeHead);
}

/** A download that broke off is no pull; nobody waits for the event of one that did not. */
function onceAnswered(call: Call, target: Target): void {
  call.ctx.res.once('finish', () => void notify(call, 'pull', target));
}
