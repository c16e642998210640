// What a request has done, for those who are told: known here, where it is known who asked and by which address. It
// costs little until somebody wants to see the event.
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { EventAction, EventTarget, RegistryEvent } from '../contracts/notification.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';
import type { Manifest } from '../model/manifest.js';
import { OCTET_STREAM } from '../model/media-types.js';
import { isDigestReference, type Tag } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { Events } from '../notifications/events.js';
import type { Occurrence } from '../notifications/occurrence.js';
import type { StoredManifest } from '../services/manifest-reader.js';
import type { Call } from './call.js';

/** What was pushed, pulled, mounted or deleted. */
interface Subject {
  readonly digest?: Digest | undefined;
  readonly tag?: Tag | undefined;
  /** In bytes; of what was deleted nothing is known any more. */
  readonly size?: number | undefined;
  readonly mediaType?: string | undefined;
  readonly fromRepository?: RepositoryName | undefined;
  readonly references?: readonly Descriptor[] | undefined;
}

/** Keeps nothing of the request itself, which may wait for long. */
class CallOccurrence implements Occurrence {
  readonly action: EventAction;
  readonly repository: RepositoryName;
  readonly #subject: Subject;
  readonly #root: string;
  readonly #requestId: string;
  readonly #method: string;
  readonly #host: string;
  readonly #agent: string;
  readonly #address: string;
  readonly #remotePort: number | undefined;
  readonly #localPort: number | undefined;
  readonly #actor: string | undefined;
  readonly #source: Events['source'];
  #time = Date.now();
  #event: RegistryEvent | undefined;

  constructor(call: Call, action: EventAction, subject: Subject) {
    const { ctx } = call;
    const { socket } = ctx.req;
    this.action = action;
    this.repository = call.repository;
    this.#subject = subject;
    this.#root = call.urls.root();
    this.#requestId = call.id;
    this.#method = ctx.method;
    this.#host = ctx.host;
    this.#agent = call.header('user-agent') ?? '';
    this.#address = ctx.ip;
    this.#remotePort = ctx.app.proxy ? undefined : socket.remotePort;
    this.#localPort = socket.localPort;
    this.#actor = call.grant.actor?.name;
    this.#source = call.services.events.source;
  }

  /** It is over only now. */
  conclude(): this {
    this.#time = Date.now();
    return this;
  }

  get mediaType(): string | undefined {
    return this.#subject.mediaType;
  }

  get references(): number {
    return this.#subject.references?.length ?? 0;
  }

  get event(): RegistryEvent {
    this.#event ??= this.#make();
    return this.#event;
  }

  #make(): RegistryEvent {
    const { host, instanceID } = this.#source;
    // Nobody who is told may change what others are told.
    return Object.freeze<RegistryEvent>({
      id: randomUUID(),
      timestamp: new Date(this.#time).toISOString(),
      action: this.action,
      target: Object.freeze(this.#target()),
      request: Object.freeze({
        id: this.#requestId,
        addr: this.#remotePort === undefined ? this.#address : addressOf(this.#address, this.#remotePort),
        host: this.#host,
        method: this.#method,
        useragent: this.#agent,
      }),
      actor: Object.freeze(this.#actor === undefined ? {} : { name: this.#actor }),
      source: Object.freeze({ addr: addressOf(host, this.#localPort ?? 0), instanceID }),
    });
  }

  #target(): EventTarget {
    const { repository } = this;
    const { size, digest, tag, mediaType, fromRepository, references } = this.#subject;
    const kind = references === undefined ? 'blobs' : 'manifests';
    return {
      ...(mediaType !== undefined && { mediaType }),
      ...(size !== undefined && { size }),
      ...(digest !== undefined && { digest }),
      ...(size !== undefined && { length: size }),
      repository,
      ...(fromRepository !== undefined && { fromRepository }),
      ...(size !== undefined && { url: `${this.#root}${repository}/${kind}/${digest}` }),
      ...(tag !== undefined && { tag }),
      ...(references !== undefined && { references }),
    };
  }
}

function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Tells what a call has done; answers what to wait for before it is acknowledged. */
function notify(call: Call, action: EventAction, subject: Subject): Promise<unknown> | undefined {
  const { events } = call.services;
  return events.isHeard ? events.emit(new CallOccurrence(call, action, subject)) : undefined;
}

/** A manifest was pushed; by the tags that it was given, or by none. */
export async function notifyOfManifestPush(call: Call, stored: StoredManifest, tags: readonly Tag[]): Promise<void> {
  if (tags.length === 0) await notify(call, 'push', manifestSubject(stored));
  for (const tag of tags) await notify(call, 'push', manifestSubject(stored, tag));
}

/** A manifest was pulled. */
export function notifyOfManifestPull(call: Call, stored: StoredManifest): void {
  if (!isPull(call)) return;
  const { reference } = call;
  void notify(call, 'pull', manifestSubject(stored, isDigestReference(reference) ? undefined : reference));
}

function manifestSubject({ digest, bytes, manifest }: StoredManifest, tag?: Tag): Subject {
  return { digest, tag, size: bytes.length, mediaType: manifest.mediaType, references: referencesOf(manifest) };
}

/** By manifest: what one refers to is told again and again. */
const REFERENCES = new WeakMap<Manifest, readonly Descriptor[]>();

/** What a manifest refers to, without what may be of any size. */
function referencesOf(manifest: Manifest): readonly Descriptor[] {
  let references = REFERENCES.get(manifest);
  if (references === undefined) {
    const { blobs, manifests } = manifest;
    references = Object.freeze((manifests.length > 0 ? manifests : blobs).map(briefly));
    REFERENCES.set(manifest, references);
  }
  return references;
}

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
 * @param size of a blob that is not here nobody knows it.
 */
export function notifyOfBlobPull(call: Call, { size }: { readonly size?: number }): void {
  if (!isPull(call)) return;
  const response: PulledResponse = call.ctx.res;
  const occurrence = new CallOccurrence(call, 'pull', { digest: call.digest, size, mediaType: OCTET_STREAM });
  response[PULL] = { events: call.services.events, occurrence };
  response.on('finish', tellPull);
}

/** A blob or a manifest was deleted, or only a tag. */
export function notifyOfDelete(
  call: Call,
  subject: { readonly digest: Digest } | { readonly tag: Tag },
): Promise<unknown> | undefined {
  return notify(call, 'delete', subject);
}

function isPull({ ctx, services: { events } }: Call): boolean {
  return events.isHeard && (ctx.method !== 'HEAD' || events.includeHead);
}

const PULL = Symbol('pull');

interface PulledResponse extends ServerResponse {
  [PULL]?: { readonly events: Events; readonly occurrence: CallOccurrence };
  /** Of HTTP/2, whose responses finish though they are cut off. */
  readonly stream?: { readonly rstCode?: number };
}

/** A download that broke off is no pull; nobody waits for the event of one that did not. One function for all of them. */
function tellPull(this: PulledResponse): void {
  const pull = this[PULL];
  if (pull !== undefined && !this.stream?.rstCode) void pull.events.emit(pull.occurrence.conclude());
}
