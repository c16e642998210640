// What a request has done, for those who are told: known here, where it is known who asked and by which address. It
// costs little until somebody wants to see the event.
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { EventAction, EventTarget, RegistryEvent } from '../contracts/notification.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';
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
  readonly #time = Date.now();
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
    return {
      id: randomUUID(),
      timestamp: new Date(this.#time).toISOString(),
      action: this.action,
      target: this.#target(),
      request: {
        id: this.#requestId,
        addr: this.#remotePort === undefined ? this.#address : addressOf(this.#address, this.#remotePort),
        host: this.#host,
        method: this.#method,
        useragent: this.#agent,
      },
      actor: this.#actor === undefined ? {} : { name: this.#actor },
      source: { addr: addressOf(host, this.#localPort ?? 0), instanceID },
    };
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
  const { mediaType, blobs, manifests } = manifest;
  return { digest, tag, size: bytes.length, mediaType, references: manifests.length > 0 ? manifests : blobs };
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

/** A blob is being answered, or the client sent elsewhere for it; it is pulled once that is done. */
export function notifyOfBlobPull(call: Call, { size }: Pick<Descriptor, 'size'>): void {
  if (!isPull(call)) return;
  const response: PulledResponse = call.ctx.res;
  const { digest } = call;
  response[PULL] = { call, subject: { digest, size, mediaType: OCTET_STREAM } };
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
  [PULL]?: { readonly call: Call; readonly subject: Subject };
}

/** A download that broke off is no pull; nobody waits for the event of one that did not. One function for all of them. */
function tellPull(this: PulledResponse): void {
  const pull = this[PULL];
  if (pull !== undefined) void notify(pull.call, 'pull', pull.subject);
}
